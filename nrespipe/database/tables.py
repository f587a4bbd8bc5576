"""The tables. The row of a frame is the truth about it; everything else can be made again from the raw files."""

from datetime import datetime

from sqlalchemy import JSON, BigInteger, Column, ForeignKey, Index, String, Table, Text, UniqueConstraint, false
from sqlalchemy.orm import Mapped, mapped_column, relationship

from nrespipe.database.base import Row, Work
from nrespipe.database.columns import Moment, Real, Standing, State, now, words
from nrespipe.database.nodes import Node
from nrespipe.database.outside import Breaker, NightSummary
from nrespipe.database.reprocessings import Reprocessing
from nrespipe.database.results import Delivery, FrameDrift, Product, StarVelocity
from nrespipe.database.templates import StarTemplate
from nrespipe.database.zeropoints import ZeroPoint, ZeroPointVersion
from nrespipe.frames.raw import Kind

__all__ = [
    "Attempt", "Breaker", "Compatibility", "Delivery", "Frame", "FrameDrift", "Master", "NightSummary", "Node",
    "Product", "Reprocessing", "Row", "Stacking", "StarTemplate", "StarVelocity", "ZeroPoint", "ZeroPointVersion",
    "attempt_masters", "master_inputs", "master_parents",
]  # fmt: skip

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


class Frame(Work, Row):
    """One raw file, by name and content: the same name with another checksum is a new version.

    A file that somebody has told of and nobody has read yet is an announcement: a row without a version. It is work as
    any other row, and hides nothing: what is known of the name so far stays as it is until the new content is known.

    Attributes
    ----------
    filename
        Base name without ``.fits`` or ``.fits.fz``.
    path
        Where it was last seen, or is said to lie.
    md5
        Checksum of the whole file; None where nobody knows it yet. Of a frame of the archive that was not fetched yet,
        what the archive says.
    version
        1 for the first content seen under this name, 2 for the second ...; only the highest is worked on. None for an
        announcement, and for a content that cannot be understood where another version exists.
    kind
        None where not even the name tells.
    site, instrument, camera, day, binning, readout_mode
        As in ``RawFrame``.
    objects
        OBJECTS, as ``HD102365&thar&none``.
    start_mjd, exposure_s
        Shutter open, UTC [MJD]; exposure time [second]. None where the header could not be read; the other columns
        are then what the name tells, or ''.
    state, reason
        What has become of it, and why in plain words; '' where done. A frame stays done with the result that it has
        where a later attempt does not succeed; the reason tells of that attempt.
    archive_id
        Number of the frame in the archive that it is fetched from; None where it lies on a disk.
    body
        The message that told of it, as it came, but for what is beyond 64 kB; '' where none did.
    retries
        How many of the last attempts, one after the other, something outside the frame ended.
    low_priority
        Whether its turn comes when nothing else is due: it has a result, and a better one can be had.
    quality
        Bits of ``frames.quality.Quality`` of the last reduction.
    code_version
        Version of the program that set the state.
    created, updated
        When it was recorded, and when it was last decided what is to become of it: when an attempt ended, or somebody
        asked for one. That a process took it, or was told of it, is no such change.
    attempts
        Its history, oldest first.
    products
        Files of its last reduction.
    velocities
        Velocities of its last reduction.
    drift
        Drift that its last reduction measured; None where it had none to measure.
    """

    __tablename__ = "frames"
    __table_args__ = (
        UniqueConstraint("filename", "md5"),
        UniqueConstraint("filename", "version"),
        Index(None, "site", "instrument", "camera", "day", "kind"),
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
    state: Mapped[State] = mapped_column(words(State), default=State.QUEUED, index=True)
    reason: Mapped[str] = mapped_column(Text, default="")
    archive_id: Mapped[int | None] = mapped_column(BigInteger)
    body: Mapped[str] = mapped_column(Text, default="", server_default="")
    retries: Mapped[int] = mapped_column(default=0, server_default="0")
    low_priority: Mapped[bool] = mapped_column(default=False, server_default=false())
    quality: Mapped[int] = mapped_column(default=0)
    code_version: Mapped[str] = mapped_column(Text, default="")
    created: Mapped[datetime] = mapped_column(Moment, default=now)
    updated: Mapped[datetime] = mapped_column(Moment, default=now)

    attempts: Mapped[list["Attempt"]] = relationship(back_populates="frame", order_by="Attempt.id")
    products: Mapped[list["Product"]] = relationship(cascade="all, delete-orphan", order_by="Product.path")
    velocities: Mapped[list["StarVelocity"]] = relationship(
        back_populates="frame", cascade="all, delete-orphan", order_by="StarVelocity.fiber"
    )
    drift: Mapped["FrameDrift | None"] = relationship(back_populates="frame", cascade="all, delete-orphan")


class Attempt(Row):
    """One try at reducing a frame.

    Attributes
    ----------
    frame_id
        The frame.
    started, finished
        When.
    outcome, reason
        What came of it, and why; '' where done.
    traceback
        Where the program failed; '' otherwise.
    code_version
        Version of the program.
    measurements
        Numbers that the recipe found worth keeping; None for what is not finite.
    masters
        The masters that were used.
    """

    __tablename__ = "attempts"

    id: Mapped[int] = mapped_column(primary_key=True)
    frame_id: Mapped[int] = mapped_column(ForeignKey("frames.id"), index=True)
    started: Mapped[datetime] = mapped_column(Moment)
    finished: Mapped[datetime] = mapped_column(Moment)
    outcome: Mapped[State] = mapped_column(words(State))
    reason: Mapped[str] = mapped_column(Text, default="")
    traceback: Mapped[str] = mapped_column(Text, default="")
    code_version: Mapped[str] = mapped_column(Text)
    measurements: Mapped[dict] = mapped_column(JSON, default=dict)

    frame: Mapped[Frame] = relationship(back_populates="attempts")
    masters: Mapped[list["Master"]] = relationship(secondary=attempt_masters, order_by="Master.id")


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
        Whether it is used; what was said of it, or why it could not be made.
    outdated
        Whether it was made with, or of frames of, a master that was called bad since: another is to be made.
    findings
        Every number that it was judged by: ``name``, ``value`` (None where it could not be measured), the limits
        ``usual`` and ``worst``, and the ``verdict``. None where it was not judged.
    traceback
        Where the program failed; '' otherwise.
    code_version
        Version of the program.
    created
        When it was made.
    inputs
        What it was made of.
    parents
        What it was made with.
    """

    __tablename__ = "masters"
    __table_args__ = (Index(None, "kind", "instrument", "camera", "binning", "standing"),)

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
    quality: Mapped[int] = mapped_column(default=0)
    standing: Mapped[Standing] = mapped_column(words(Standing))
    reason: Mapped[str] = mapped_column(Text, default="")
    findings: Mapped[list | None] = mapped_column(JSON)
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


class Stacking(Work, Row):
    """The masters that are owed: one of each kind for every night that has frames of it.

    Attributes
    ----------
    kind
        What it calibrates.
    site, instrument, camera, binning, readout_mode, day
        As in ``RawFrame``.
    """

    __tablename__ = "stackings"
    __table_args__ = (UniqueConstraint("kind", *_PLACE, "day", name="uq_stackings_night"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[Kind] = mapped_column(words(Kind))
    site: Mapped[str] = mapped_column(Text)
    instrument: Mapped[str] = mapped_column(Text)
    camera: Mapped[str] = mapped_column(Text)
    binning: Mapped[str] = mapped_column(Text)
    readout_mode: Mapped[str] = mapped_column(Text, default="", server_default="")
    day: Mapped[str] = mapped_column(Text)


class Compatibility(Row):
    """Which programs can work with the tables; one row, which every migration writes.

    Attributes
    ----------
    revision
        That of the tables.
    oldest_program
        Revision that the oldest such program needs: that of the last migration that did more than add to the tables.
    """

    __tablename__ = "compatibility"

    revision: Mapped[str] = mapped_column(String(32), primary_key=True)
    oldest_program: Mapped[str] = mapped_column(String(32))
