"""Rows of the templates of stars: record them, and find those that may be used."""

import numpy as np
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from nrespipe.database.states import Standing
from nrespipe.database.tables import StarTemplate
from nrespipe.frames.template import Template
from nrespipe.frames.velocity import Star


def record(session: Session, template: StarTemplate) -> None:
    """Record a template; it replaces the one of the same star, site and nights."""
    same = (
        StarTemplate.star == template.star, StarTemplate.site == template.site,
        StarTemplate.first_day == template.first_day, StarTemplate.last_day == template.last_day,
        StarTemplate.standing == Standing.CURRENT,
    )  # fmt: skip
    session.execute(update(StarTemplate).where(*same).values(standing=Standing.REPLACED))
    session.add(template)


def current(session: Session, day: str = "") -> list[StarTemplate]:
    """Return the templates that may be used.

    Parameters
    ----------
    day
        Night of the frame, ``YYYYMMDD``; '' for all.

    Returns
    -------
    list of StarTemplate
        By star and site, the newest first.
    """
    query = select(StarTemplate).where(StarTemplate.standing == Standing.CURRENT)
    found = session.scalars(query.order_by(StarTemplate.star, StarTemplate.site, StarTemplate.id.desc()))
    return [t for t in found if not day or (t.first_day or day) <= day <= (t.last_day or day)]


def summary(row: StarTemplate) -> Template:
    """Return the template of a row, without its spectrum.

    Returns
    -------
    Template
        With empty arrays.
    """
    star = Star(
        row.star, teff_k=row.teff_k, logg=row.logg, metallicity=row.metallicity, spectral_type=row.spectral_type,
        aliases=tuple(row.aliases),
    )  # fmt: skip
    nothing = np.zeros((0, 0))
    return Template(
        star, np.zeros(0, int), nothing, nothing, nothing, 0.0, row.site, row.instrument, (), row.start_mjd or 0.0,
        row.end_mjd or 0.0, row.berv_range_ms or 0.0, tuple(row.inputs),
    )  # fmt: skip
