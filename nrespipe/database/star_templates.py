"""Rows of the templates of stars: record them, and find those that may be used."""

import numpy as np
from sqlalchemy import select
from sqlalchemy.orm import Session

from nrespipe.database.states import Standing
from nrespipe.database.tables import StarTemplate
from nrespipe.frames.star import Star, is_same_star
from nrespipe.frames.template import Template


def record(session: Session, template: StarTemplate) -> None:
    """Record a template; it replaces the one of the same star, site and nights."""
    alike = (
        StarTemplate.site == template.site, StarTemplate.standing == Standing.CURRENT,
        StarTemplate.first_day == template.first_day, StarTemplate.last_day == template.last_day,
    )  # fmt: skip
    for row in session.scalars(select(StarTemplate).where(*alike)):
        if is_same_star(_star(row), _star(template)):
            row.standing = Standing.REPLACED
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
    nothing = np.zeros((0, 0))
    return Template(
        _star(row), np.zeros(0, int), nothing, nothing, nothing, 0.0, row.site, row.instrument, (),
        row.start_mjd or 0.0, row.end_mjd or 0.0, row.berv_range_ms or 0.0, tuple(row.inputs),
    )  # fmt: skip


def _star(row: StarTemplate) -> Star:
    return Star(
        row.star, ra_deg=row.ra_deg, dec_deg=row.dec_deg, source="" if row.ra_deg is None else "telescope",
        teff_k=row.teff_k, logg=row.logg, metallicity=row.metallicity, spectral_type=row.spectral_type,
        aliases=tuple(row.aliases or ()),
    )  # fmt: skip
