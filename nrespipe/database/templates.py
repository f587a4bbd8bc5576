"""Templates of stars: where they lie, and whom they may serve."""

from datetime import datetime

import numpy as np
from sqlalchemy import JSON, String, Text, select, update
from sqlalchemy.orm import Mapped, Session, mapped_column

from nrespipe.database.base import Row
from nrespipe.database.columns import Moment, Real, Standing, now, words
from nrespipe.frames.star import Star
from nrespipe.frames.template import Template


class StarTemplate(Row):
    """The template of one star, made of its spectra at one site.

    Attributes
    ----------
    star
        Name of the star by the catalog.
    site, instrument
        Where it was seen.
    path, md5
        The file, below the output directory, and its checksum.
    fingerprint
        What tells its spectrum from other ones.
    teff_k, logg, metallicity
        Of the star, to choose by: temperature [kelvin], surface gravity [cgs], [Fe/H].
    spectral_type
        '' where unknown.
    aliases, inputs
        Other names of the star; the frames that it was made of.
    berv_range_ms
        Difference of the largest and the smallest barycentric correction of the inputs [m / s].
    start_mjd, end_mjd
        First and last input, UTC [MJD].
    first_day, last_day
        Nights whose frames it may serve, ``YYYYMMDD``; '' for no limit.
    standing
        Whether it may be used.
    code_version
        Version of the program.
    created
        When it was made.
    """

    __tablename__ = "templates"

    id: Mapped[int] = mapped_column(primary_key=True)
    star: Mapped[str] = mapped_column(Text, index=True)
    site: Mapped[str] = mapped_column(Text)
    instrument: Mapped[str] = mapped_column(Text)
    path: Mapped[str] = mapped_column(Text)
    md5: Mapped[str] = mapped_column(String(32))
    fingerprint: Mapped[str] = mapped_column(Text)
    teff_k: Mapped[float | None] = mapped_column(Real)
    logg: Mapped[float | None] = mapped_column(Real)
    metallicity: Mapped[float | None] = mapped_column(Real)
    spectral_type: Mapped[str] = mapped_column(Text, default="")
    aliases: Mapped[list] = mapped_column(JSON, default=list)
    inputs: Mapped[list] = mapped_column(JSON, default=list)
    berv_range_ms: Mapped[float | None] = mapped_column(Real)
    start_mjd: Mapped[float | None] = mapped_column(Real)
    end_mjd: Mapped[float | None] = mapped_column(Real)
    first_day: Mapped[str] = mapped_column(Text, default="")
    last_day: Mapped[str] = mapped_column(Text, default="")
    standing: Mapped[Standing] = mapped_column(words(Standing))
    code_version: Mapped[str] = mapped_column(Text)
    created: Mapped[datetime] = mapped_column(Moment, default=now)


def record(session: Session, template: StarTemplate) -> None:
    """Write a template down; it replaces the one of the same star, site and nights."""
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


def known(row: StarTemplate) -> Template:
    """Return a template as the database knows it, without its spectrum.

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
