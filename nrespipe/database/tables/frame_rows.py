"""Rows of frames and masters, and of their attempts, products, deliveries, velocities and drifts."""

from datetime import datetime
from math import hypot
from typing import Any, NotRequired, TypedDict

from sqlalchemy import (
    JSON,
    BigInteger,
    Column,
    ColumnElement,
    ForeignKey,
    Index,
    String,
    Table,
    Text,
    UniqueConstraint,
    false,
    literal_column,
    select,
)
from sqlalchemy.engine.default import DefaultExecutionContext
from sqlalchemy.orm import Mapped, aliased, mapped_column, relationship

from nrespipe.database.dialects import now
from nrespipe.database.states import Standing, State
from nrespipe.database.tables.base import Row, Work, part_index, work_indices
from nrespipe.database.tables.column_types import Moment, Real, words
from nrespipe.frames.raw import Kind
from nrespipe.frames.star import name_key

_PLACE = ("site", "instrument", "camera", "binning", "readout_mode")

#: Which masters an attempt used.
attempt_masters = Table(
    "attempt_masters",
    Row.metadata,
    Column("attempt_id", ForeignKey("attempts.id", ondelete="CASCADE"), primary_key=True),
    Column("master_id", ForeignKey("masters.id"), primary_key=True, index=True),
)

#: Which frames a master was made of.
master_inputs = Table(
    "master_inputs",
    Row.metadata,
    Column("master_id", ForeignKey("masters.id", ondelete="CASCADE"), primary_key=True),
    Column("frame_id", ForeignKey("frames.id"), primary_key=True, index=True),
)


#: Which masters a master was made with.
master_parents = Table(
    "master_parents",
    Row.metadata,
    Column("master_id", ForeignKey("masters.id", ondelete="CASCADE"), primary_key=True),
    Column("parent_id", ForeignKey("masters.id", ondelete="CASCADE"), primary_key=True, index=True),
)


class Finding(TypedDict):
    """One number of a master and its limits, as ``frames.judgement.Finding`` is stored.

    Attributes
    ----------
    name
        Name of the number, with its unit at the end.
    value
        None where it could not be measured.
    usual, worst
        Limits beyond which the master is flagged, and needs review.
    verdict
        A word of ``frames.judgement.Verdict``.
    known
        Whether the last good master shows the same; left out where not.
    """

    name: str
    value: float | None
    usual: float
    worst: float
    verdict: str
    known: NotRequired[bool]


class Frame(Work):
    """One raw file, by name and content: the same name with another checksum is a new version.

    A file that a message has announced and that was not read yet is a row without a version. It is work like
    any other row, and hides no other version of the file: these stay valid until the new content is known.

    Attributes
    ----------
    filename
        Base name without ``.fits`` or ``.fits.fz``.
    path
        Where it was last seen, or where the announcement says that it is.
    md5
        Checksum of the whole file; None where it is not known yet. That of the archive for a frame that was not fetched
        yet.
    version
        1 for the first content seen under this name, 2 for the second ...; only the highest is worked on. None for an
        announcement, and for a content that cannot be understood where another version exists.
    kind
        None where not even the file name gives it.
    site, instrument, camera, day, binning, readout_mode
        As in ``RawFrame``.
    objects
        OBJECTS, as ``HD102365&thar&none``.
    start_mjd, exposure_s
        Shutter open, UTC [MJD]; exposure time [second]. None where the header could not be read; the other columns
        are then those of the file name, or ''.
    state, reason
        State, and its reason in plain words; '' where done. A frame stays done with its result where a later attempt
        fails; the reason is then that of this attempt.
    archive_id
        Number of the frame in the archive from which it is fetched; None for a file on a disk.
    body
        The message that announced it, as it came, cut at 64 kB; '' where none did.
    retries
        How many attempts in a row failed for a reason outside the frame.
    low_priority
        Whether it is reduced only when nothing else is due: it has a result, and a better one is possible.
    quality
        Bits of ``frames.quality.Quality`` of the last reduction.
    code_version
        Version of the program that set the state.
    created, updated
        When it was recorded, and when its state was last decided: at the end of an attempt, or at a request for one.
        That a process claimed it, or was notified of it, does not count.
    attempts
        Its history, oldest first.
    products
        Files of its last reduction.
    velocities
        Velocities of its last reduction.
    drift
        Drift of its last reduction; None where there was none to measure.
    """

    __tablename__ = "frames"
    __table_args__ = (
        UniqueConstraint("filename", "md5"),
        UniqueConstraint("filename", "version"),
        Index(None, "site", "instrument", "camera", "day", "kind"),
        Index(None, "day", "site"),
        Index(None, "instrument", "start_mjd"),
        part_index("ix_frames_open", "state", where="state <> 'done'"),
        part_index("ix_frames_newer", "filename", "version", where="version > 1"),
        *work_indices("frames"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    filename: Mapped[str] = mapped_column(Text)
    path: Mapped[str] = mapped_column(Text)
    md5: Mapped[str | None] = mapped_column(String(32))
    version: Mapped[int | None]
    kind: Mapped[Kind | None] = mapped_column(words(Kind))
    site: Mapped[str] = mapped_column(Text, default="")
    instrument: Mapped[str] = mapped_column(Text, default="")
    camera: Mapped[str] = mapped_column(Text, default="")
    day: Mapped[str] = mapped_column(Text, default="")
    binning: Mapped[str] = mapped_column(Text, default="")
    readout_mode: Mapped[str] = mapped_column(Text, default="", server_default="")
    objects: Mapped[str] = mapped_column(Text, default="")
    start_mjd: Mapped[float | None] = mapped_column(Real)
    exposure_s: Mapped[float | None] = mapped_column(Real)
    state: Mapped[State] = mapped_column(words(State), default=State.QUEUED)
    reason: Mapped[str] = mapped_column(Text, default="")
    archive_id: Mapped[int | None] = mapped_column(BigInteger)
    body: Mapped[str] = mapped_column(Text, default="", server_default="", deferred=True)
    retries: Mapped[int] = mapped_column(default=0, server_default="0")
    low_priority: Mapped[bool] = mapped_column(default=False, server_default=false())
    quality: Mapped[int] = mapped_column(BigInteger, default=0)
    code_version: Mapped[str] = mapped_column(Text, default="")
    created: Mapped[datetime] = mapped_column(Moment, default=now)
    updated: Mapped[datetime] = mapped_column(Moment, default=now)

    attempts: Mapped[list["Attempt"]] = relationship(back_populates="frame", order_by="Attempt.id")
    products: Mapped[list["Product"]] = relationship(cascade="all, delete-orphan", order_by="Product.path")
    velocities: Mapped[list["StarVelocity"]] = relationship(
        back_populates="frame", cascade="all, delete-orphan", order_by="StarVelocity.fiber"
    )
    drift: Mapped["FrameDrift | None"] = relationship(back_populates="frame", cascade="all, delete-orphan")

    @classmethod
    def is_latest(cls) -> ColumnElement[bool]:
        """Return the condition that a row is the last version of its file, or an announcement.

        An announcement, which has no version, neither hides a version nor is hidden by one.
        """
        newer = aliased(cls)
        # what is newer than another is at least the second: few files have one, and these have an index of their own
        is_second = newer.version > literal_column("1")
        return ~select(newer.id).where(newer.filename == cls.filename, newer.version > cls.version, is_second).exists()

    @classmethod
    def is_not_done(cls) -> ColumnElement[bool]:
        """Return the condition that a frame is not done, in the words of the index of such frames."""
        return cls.state != literal_column("'done'")

    @classmethod
    def no_version_at_work(cls) -> ColumnElement[bool]:
        """Return the condition that no process works on another version of the file: both write the same products."""
        other = aliased(cls)
        at_work = (other.filename == cls.filename, other.id != cls.id, other.owner != literal_column("''"))
        return ~select(other.id).where(*at_work).exists()


class Attempt(Row):
    """One try at reducing a frame.

    Attributes
    ----------
    frame_id
        The frame.
    started, finished
        When.
    outcome, reason
        State in which it ended, and the reason; '' where done.
    traceback
        Where the program failed; '' otherwise.
    code_version
        Version of the program.
    measurements
        Numbers that the recipe measured, by name; None for what is not finite.
    masters
        The masters that were used.
    """

    __tablename__ = "attempts"
    __table_args__ = (Index(None, "finished", "outcome"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    frame_id: Mapped[int] = mapped_column(ForeignKey("frames.id"), index=True)
    started: Mapped[datetime] = mapped_column(Moment)
    finished: Mapped[datetime] = mapped_column(Moment)
    outcome: Mapped[State] = mapped_column(words(State))
    reason: Mapped[str] = mapped_column(Text, default="")
    traceback: Mapped[str] = mapped_column(Text, default="")
    code_version: Mapped[str] = mapped_column(Text)
    measurements: Mapped[dict[str, float | None]] = mapped_column(JSON, default=dict)

    frame: Mapped[Frame] = relationship(back_populates="attempts")
    masters: Mapped[list["Master"]] = relationship(secondary=attempt_masters, order_by="Master.id")


class Product(Row):
    """One file that a reduction wrote.

    Attributes
    ----------
    frame_id, attempt_id
        The frame and the attempt that wrote it.
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


class Delivery(Work):
    """One file that is to be delivered, where deliveries are switched on.

    Attributes
    ----------
    product_id
        The file.
    delivered
        When it was; None where not yet.
    refusals
        How often the server refused this file; failures of the server itself do not count.
    reason
        Why the last try failed; '' where it did not.
    """

    __tablename__ = "deliveries"
    __table_args__ = (
        UniqueConstraint("product_id"),
        part_index("ix_deliveries_undelivered", "next_try", where="delivered is null"),
        *work_indices("deliveries"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    product_id: Mapped[int] = mapped_column(ForeignKey("products.id", ondelete="CASCADE"))
    delivered: Mapped[datetime | None] = mapped_column(Moment)
    refusals: Mapped[int] = mapped_column(default=0, server_default="0")
    reason: Mapped[str] = mapped_column(Text, default="")

    product: Mapped[Product] = relationship(back_populates="delivery")


def _object_key(context: DefaultExecutionContext) -> str:
    return name_key(context.get_current_parameters()["object"])


def _star_key(context: DefaultExecutionContext) -> str:
    row = context.get_current_parameters()
    return name_key(row.get("star") or row["object"])


class StarVelocity(Row):
    """Radial velocity of the star in one fiber of one frame.

    Attributes
    ----------
    frame_id, fiber
        Where it was measured.
    object, star, mask
        Name of the star in OBJECTS, and of the star that was identified ('' where that is the same and in no catalog);
        line mask.
    ra_deg, dec_deg
        ICRS position of the star that was identified; None in a row of a program before migration 0016 [degree].
    object_key, star_key
        `object`, and the star that was identified, in the form by which names are compared (``frames.star.name_key``):
        velocities are found by them. '' in a row of a program before migration 0017.
    bjd_tdb
        Photon-weighted midpoint at the barycenter [JD, TDB].
    rv_ms, rv_err_ms
        Barycentric radial velocity at the epoch of the catalog's position, and its error within a series of the star
        [m / s].
    perspective_ms
        Change of the velocity since that epoch by perspective: at the time of observation it is greater by this
        [m / s].
    second_rv_ms, second_contrast
        Barycentric velocity and depth of a second dip in the cross-correlation function; None where there is none
        [m / s, 1].
    photon_err_ms, wavelength_err_ms, drift_err_ms, mask_err_ms
        The parts of the error [m / s].
    transfer_err_ms
        Part of the error from the difference between the star's fiber and the reference fiber [m / s].
    scale_err_ms
        Error of the scale of the lamp, the same in every night and no part of the total [m / s].
    berv_ms, drift_ms
        Velocity added for the observer's motion; drift that was subtracted, None where unknown [m / s].
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
    ra_deg: Mapped[float | None] = mapped_column(Real)
    dec_deg: Mapped[float | None] = mapped_column(Real)
    object_key: Mapped[str] = mapped_column(Text, default=_object_key, server_default="", index=True)
    star_key: Mapped[str] = mapped_column(Text, default=_star_key, server_default="", index=True)
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
    quality: Mapped[int] = mapped_column(BigInteger, default=0)
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
    activity: Mapped[dict[str, Any] | None] = mapped_column(JSON)
    perspective_ms: Mapped[float | None] = mapped_column(Real)
    second_rv_ms: Mapped[float | None] = mapped_column(Real)
    second_contrast: Mapped[float | None] = mapped_column(Real)

    frame: Mapped["Frame"] = relationship(back_populates="velocities")

    @property
    def rv_abs_err_ms(self) -> float | None:
        """Error of the absolute velocity: that of a series, and those of line mask and lamp scale [m / s]."""
        if self.rv_err_ms is None:
            return None
        return hypot(self.rv_err_ms, self.mask_err_ms or 0.0, self.scale_err_ms or 0.0)


class FrameDrift(Row):
    """Drift of the spectrograph between the master arc and one frame, with the values of its sensors.

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
        Pressure change by the curvature of the shift along the orders [m / s].
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


class Master(Row):
    """One master calibration, or one that could not be made.

    Attributes
    ----------
    kind
        What it calibrates.
    site, instrument, camera, binning, readout_mode, day
        As in ``RawFrame``.
    fibers
        Fiber numbers that it serves, as ``012``; '' for a bias or a dark, which serve all.
    path, md5
        The file, below the output directory, and its checksum; '' where it could not be made.
    mean_mjd
        Mean of the start times of its inputs, UTC [MJD].
    n_inputs
        How many frames it was made of.
    quality
        Bits of ``frames.quality.Quality``.
    standing, reason
        Whether it is used; the reason for its flags, or why it could not be made.
    outdated
        Whether it was made with, or of frames of, a master that was rejected since: another is to be made.
    findings
        Every number that was compared with its limits: ``name``, ``value`` (None where it could not be measured), the
        limits ``usual`` and ``worst``, and the ``verdict``. None where nothing was compared.
    traceback
        Where the program failed; '' otherwise.
    code_version
        Version of the program.
    created
        When it was made.
    inputs
        The frames that it was made of.
    parents
        The masters that it was made with.
    """

    __tablename__ = "masters"
    __table_args__ = (
        Index(None, "instrument", "kind", "mean_mjd"),
        Index(None, "day", "instrument"),
        Index(None, "standing", "day"),
        Index(None, "created"),
        Index(None, "path"),
        Index(None, "outdated", "kind"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[Kind] = mapped_column(words(Kind))
    site: Mapped[str] = mapped_column(Text)
    instrument: Mapped[str] = mapped_column(Text)
    camera: Mapped[str] = mapped_column(Text)
    binning: Mapped[str] = mapped_column(Text)
    readout_mode: Mapped[str] = mapped_column(Text, default="", server_default="")
    day: Mapped[str] = mapped_column(Text)
    fibers: Mapped[str] = mapped_column(Text, default="")
    path: Mapped[str] = mapped_column(Text, default="")
    md5: Mapped[str] = mapped_column(String(32), default="")
    mean_mjd: Mapped[float | None] = mapped_column(Real)
    n_inputs: Mapped[int]
    quality: Mapped[int] = mapped_column(BigInteger, default=0)
    standing: Mapped[Standing] = mapped_column(words(Standing))
    reason: Mapped[str] = mapped_column(Text, default="")
    findings: Mapped[list[Finding] | None] = mapped_column(JSON)
    traceback: Mapped[str] = mapped_column(Text, default="")
    code_version: Mapped[str] = mapped_column(Text)
    created: Mapped[datetime] = mapped_column(Moment, default=now)
    outdated: Mapped[bool] = mapped_column(default=False, server_default=false())

    inputs: Mapped[list[Frame]] = relationship(secondary=master_inputs, order_by="Frame.filename")
    parents: Mapped[list["Master"]] = relationship(
        secondary=master_parents,
        primaryjoin=id == master_parents.c.master_id,
        secondaryjoin=id == master_parents.c.parent_id,
        order_by="Master.id",
    )


class ScheduledMaster(Work):
    """A master that is to be made: there is one of each kind for every night that has frames of it.

    Attributes
    ----------
    kind
        What it calibrates.
    site, instrument, camera, binning, readout_mode, day
        As in ``RawFrame``.
    """

    __tablename__ = "stackings"
    __table_args__ = (
        UniqueConstraint("kind", *_PLACE, "day", name="uq_stackings_night"),
        Index(None, "day"),
        *work_indices("stackings"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[Kind] = mapped_column(words(Kind))
    site: Mapped[str] = mapped_column(Text)
    instrument: Mapped[str] = mapped_column(Text)
    camera: Mapped[str] = mapped_column(Text)
    binning: Mapped[str] = mapped_column(Text)
    readout_mode: Mapped[str] = mapped_column(Text, default="", server_default="")
    day: Mapped[str] = mapped_column(Text)
