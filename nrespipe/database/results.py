"""The tables of what a reduction leaves: files, where they were delivered, velocities, drifts."""

from datetime import datetime
from typing import TYPE_CHECKING

from sqlalchemy import JSON, ForeignKey, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from nrespipe.database.base import Row, Work
from nrespipe.database.columns import Moment, Real

if TYPE_CHECKING:
    from nrespipe.database.tables import Frame


class Product(Row):
    """One file that a reduction wrote.

    Attributes
    ----------
    frame_id, attempt_id
        Whose it is.
    path, md5
        The file, below the output directory, and its checksum.
    level
        Level of the data standard in its name: ``L2`` for spectra, ``L4`` for velocities; '' where the name has none.
    """

    __tablename__ = "products"

    id: Mapped[int] = mapped_column(primary_key=True)
    frame_id: Mapped[int] = mapped_column(ForeignKey("frames.id"), index=True)
    attempt_id: Mapped[int] = mapped_column(ForeignKey("attempts.id"), index=True)
    path: Mapped[str] = mapped_column(Text)
    level: Mapped[str] = mapped_column(Text, default="")
    md5: Mapped[str] = mapped_column(String(32))

    delivery: Mapped["Delivery | None"] = relationship(back_populates="product", cascade="all, delete-orphan")


class Delivery(Work, Row):
    """One file that is to be delivered, where the service is told to.

    Attributes
    ----------
    product_id
        The file.
    delivered
        When it was; None where not yet.
    refusals
        How often it failed by itself, and not because the server served nobody.
    reason
        Why the last try failed; '' where it did not.
    """

    __tablename__ = "deliveries"
    __table_args__ = (UniqueConstraint("product_id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    product_id: Mapped[int] = mapped_column(ForeignKey("products.id", ondelete="CASCADE"))
    delivered: Mapped[datetime | None] = mapped_column(Moment)
    refusals: Mapped[int] = mapped_column(default=0, server_default="0")
    reason: Mapped[str] = mapped_column(Text, default="")

    product: Mapped[Product] = relationship(back_populates="delivery")


class StarVelocity(Row):
    """Radial velocity of the star in one fiber of one frame.

    Attributes
    ----------
    frame_id, fiber
        Where it was measured.
    object, star, mask
        Whose velocity it is, as OBJECTS names it, and as the catalog does ('' in none); line mask.
    bjd_tdb
        Photon-weighted midpoint at the barycenter [JD, TDB].
    rv_ms, rv_err_ms
        Barycentric radial velocity and its total error [m / s].
    photon_err_ms, wavelength_err_ms, drift_err_ms, mask_err_ms
        The parts of the error [m / s].
    transfer_err_ms
        Part of the error that the difference of the star's fiber and the reference fiber makes [m / s].
    scale_err_ms
        Error of the scale of the lamp, the same in every night and no part of the total [m / s].
    berv_ms, drift_ms
        What the observer's motion added; what the drift of the spectrograph took away, None where unknown [m / s].
    snr
        Signal-to-noise ratio per pixel.
    fwhm_ms, contrast, bisector_ms
        Of the cross-correlation function [m / s, 1, m / s].
    fwhm_err_ms, contrast_err, bisector_err_ms
        Their errors.
    template
        Star whose template measured the velocity a second time; '' where none did.
    template_rv_ms, template_err_ms
        Velocity by the template, and its total error [m / s].
    teff_k, teff_err_k, vsini_ms, vsini_err_ms
        Temperature and rotation by the spectrum, with their errors [kelvin, m / s].
    activity
        Value and error of each activity index, or None and the reason why there is none.
    quality
        Bits of ``frames.quality.Quality``.
    """

    __tablename__ = "velocities"
    __table_args__ = (UniqueConstraint("frame_id", "fiber"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    frame_id: Mapped[int] = mapped_column(ForeignKey("frames.id"))
    fiber: Mapped[int]
    object: Mapped[str] = mapped_column(Text, index=True)
    mask: Mapped[str] = mapped_column(Text)
    bjd_tdb: Mapped[float | None] = mapped_column(Real)
    rv_ms: Mapped[float | None] = mapped_column(Real)
    rv_err_ms: Mapped[float | None] = mapped_column(Real)
    photon_err_ms: Mapped[float | None] = mapped_column(Real)
    wavelength_err_ms: Mapped[float | None] = mapped_column(Real)
    drift_err_ms: Mapped[float | None] = mapped_column(Real)
    mask_err_ms: Mapped[float | None] = mapped_column(Real)
    berv_ms: Mapped[float | None] = mapped_column(Real)
    drift_ms: Mapped[float | None] = mapped_column(Real)
    snr: Mapped[float | None] = mapped_column(Real)
    fwhm_ms: Mapped[float | None] = mapped_column(Real)
    contrast: Mapped[float | None] = mapped_column(Real)
    bisector_ms: Mapped[float | None] = mapped_column(Real)
    quality: Mapped[int] = mapped_column(default=0)
    star: Mapped[str] = mapped_column(Text, default="", server_default="")
    transfer_err_ms: Mapped[float | None] = mapped_column(Real)
    scale_err_ms: Mapped[float | None] = mapped_column(Real)
    fwhm_err_ms: Mapped[float | None] = mapped_column(Real)
    contrast_err: Mapped[float | None] = mapped_column(Real)
    bisector_err_ms: Mapped[float | None] = mapped_column(Real)
    template: Mapped[str] = mapped_column(Text, default="", server_default="")
    template_rv_ms: Mapped[float | None] = mapped_column(Real)
    template_err_ms: Mapped[float | None] = mapped_column(Real)
    teff_k: Mapped[float | None] = mapped_column(Real)
    teff_err_k: Mapped[float | None] = mapped_column(Real)
    vsini_ms: Mapped[float | None] = mapped_column(Real)
    vsini_err_ms: Mapped[float | None] = mapped_column(Real)
    activity: Mapped[dict | None] = mapped_column(JSON)

    frame: Mapped["Frame"] = relationship(back_populates="velocities")


class FrameDrift(Row):
    """Drift of the spectrograph between the master arc and one frame, and what its sensors said.

    Attributes
    ----------
    frame_id
        Where it was measured.
    mid_mjd
        Middle of the exposure, UTC [MJD].
    velocity_ms, velocity_err_ms
        Mean change of the wavelength of a fixed pixel, as a velocity, and its error; None where it could not be
        measured [m / s].
    shift_px, shift_err_px, stretch_px, stretch_err_px, turn_px, turn_err_px
        Shift along the order, and its change to the last column and to the highest order [pixel].
    bend_ms, bend_err_ms
        Pressure that the bend of the shift along the orders tells of [m / s].
    n_lines
        Lines of the lamp that were compared.
    pressure_psi, temperature_c
        NRESPRES, NRESTEMP: the spectrograph's own [PSI, degree Celsius].
    arc
        The master arc that it is measured from, below the output directory: drifts from two arcs are not comparable.
    """

    __tablename__ = "drifts"
    __table_args__ = (UniqueConstraint("frame_id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    frame_id: Mapped[int] = mapped_column(ForeignKey("frames.id"))
    mid_mjd: Mapped[float | None] = mapped_column(Real)
    velocity_ms: Mapped[float | None] = mapped_column(Real)
    velocity_err_ms: Mapped[float | None] = mapped_column(Real)
    shift_px: Mapped[float | None] = mapped_column(Real)
    shift_err_px: Mapped[float | None] = mapped_column(Real)
    stretch_px: Mapped[float | None] = mapped_column(Real)
    stretch_err_px: Mapped[float | None] = mapped_column(Real)
    turn_px: Mapped[float | None] = mapped_column(Real)
    turn_err_px: Mapped[float | None] = mapped_column(Real)
    bend_ms: Mapped[float | None] = mapped_column(Real)
    bend_err_ms: Mapped[float | None] = mapped_column(Real)
    n_lines: Mapped[int]
    pressure_psi: Mapped[float | None] = mapped_column(Real)
    temperature_c: Mapped[float | None] = mapped_column(Real)
    arc: Mapped[str] = mapped_column(Text, default="")

    frame: Mapped["Frame"] = relationship(back_populates="drift")
