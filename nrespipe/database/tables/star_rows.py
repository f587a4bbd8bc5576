"""Rows about stars over many nights: templates, and the zero points of nights."""

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, ForeignKey, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from nrespipe.database.dialects import now
from nrespipe.database.states import Standing
from nrespipe.database.tables.base import Row
from nrespipe.database.tables.column_types import Moment, Real, words


class StarTemplate(Row):
    """The template of one star, made of its spectra at one site.

    Attributes
    ----------
    star
        Name of the star by the catalog.
    ra_deg, dec_deg
        ICRS position of a star that no catalog has; None for others [degree].
    site, instrument
        Where it was seen.
    path, md5
        The file, below the output directory, and its checksum.
    fingerprint
        Hash of its spectrum.
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
        Nights whose frames may use it, ``YYYYMMDD``; '' for no limit.
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
    ra_deg: Mapped[float | None] = mapped_column(Real)
    dec_deg: Mapped[float | None] = mapped_column(Real)
    site: Mapped[str] = mapped_column(Text)
    instrument: Mapped[str] = mapped_column(Text)
    path: Mapped[str] = mapped_column(Text)
    md5: Mapped[str] = mapped_column(String(32))
    fingerprint: Mapped[str] = mapped_column(Text)
    teff_k: Mapped[float | None] = mapped_column(Real)
    logg: Mapped[float | None] = mapped_column(Real)
    metallicity: Mapped[float | None] = mapped_column(Real)
    spectral_type: Mapped[str] = mapped_column(Text, default="")
    aliases: Mapped[list[str]] = mapped_column(JSON, default=list)
    inputs: Mapped[list[str]] = mapped_column(JSON, default=list)
    berv_range_ms: Mapped[float | None] = mapped_column(Real)
    start_mjd: Mapped[float | None] = mapped_column(Real)
    end_mjd: Mapped[float | None] = mapped_column(Real)
    first_day: Mapped[str] = mapped_column(Text, default="")
    last_day: Mapped[str] = mapped_column(Text, default="")
    standing: Mapped[Standing] = mapped_column(words(Standing))
    code_version: Mapped[str] = mapped_column(Text)
    created: Mapped[datetime] = mapped_column(Moment, default=now)


class ZeroPointVersion(Row):
    """One measurement of all zero points.

    Attributes
    ----------
    created
        When it was made.
    code_version
        Version of the program.
    parameters
        Its options: sites, nights, stars and limits.
    n_velocities
        How many velocities it was made of.
    zeros
        In order of spectrograph, camera, fiber and night.
    """

    __tablename__ = "zero_point_versions"

    id: Mapped[int] = mapped_column(primary_key=True)
    created: Mapped[datetime] = mapped_column(Moment, default=now)
    code_version: Mapped[str] = mapped_column(Text)
    parameters: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
    n_velocities: Mapped[int]

    zeros: Mapped[list["ZeroPoint"]] = relationship(
        cascade="all, delete-orphan",
        order_by="ZeroPoint.instrument, ZeroPoint.camera, ZeroPoint.fiber, ZeroPoint.day",
    )


class ZeroPoint(Row):
    """Zero point of the velocities of one fiber in one night.

    Attributes
    ----------
    version_id
        The measurement that it belongs to.
    instrument, camera, fiber, day
        Of which velocities.
    value_ms, error_ms
        Value to subtract from a velocity, and its error; None where it could not be measured [m / s].
    n_stars
        Constant stars that were observed in the night.
    method
        ``stars``: those of the night itself; ``around``: the median of the nights around it; ``none``.
    stars
        Distance of each star of the night from its mean of the other nights, and the error of that [m / s].
    """

    __tablename__ = "zero_points"
    __table_args__ = (UniqueConstraint("version_id", "instrument", "camera", "fiber", "day"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    version_id: Mapped[int] = mapped_column(ForeignKey("zero_point_versions.id", ondelete="CASCADE"))
    instrument: Mapped[str] = mapped_column(Text)
    camera: Mapped[str] = mapped_column(Text)
    fiber: Mapped[int]
    day: Mapped[str] = mapped_column(Text)
    value_ms: Mapped[float | None] = mapped_column(Real)
    error_ms: Mapped[float | None] = mapped_column(Real)
    n_stars: Mapped[int]
    method: Mapped[str] = mapped_column(Text)
    stars: Mapped[dict[str, tuple[float, float]]] = mapped_column(JSON, default=dict)
