"""Zero points of nights, in versions: each is measured anew, and the velocities stay as they are."""

from datetime import datetime

from sqlalchemy import JSON, ForeignKey, Text, UniqueConstraint, select
from sqlalchemy.orm import Mapped, Session, mapped_column, relationship

from nrespipe.database.base import Row
from nrespipe.database.columns import Moment, Real, now


class ZeroPointVersion(Row):
    """One measurement of all zero points.

    Attributes
    ----------
    created
        When it was made.
    code_version
        Version of the program.
    parameters
        What it was made with: sites, nights, stars and limits.
    n_velocities
        How many velocities it was made of.
    zeros
        In order of spectrograph, camera, fiber and night.
    """

    __tablename__ = "zero_point_versions"

    id: Mapped[int] = mapped_column(primary_key=True)
    created: Mapped[datetime] = mapped_column(Moment, default=now)
    code_version: Mapped[str] = mapped_column(Text)
    parameters: Mapped[dict] = mapped_column(JSON, default=dict)
    n_velocities: Mapped[int]

    zeros: Mapped[list["ZeroPoint"]] = relationship(
        cascade="all, delete-orphan",
        order_by="ZeroPoint.instrument, ZeroPoint.camera, ZeroPoint.fiber, ZeroPoint.day",
    )


class ZeroPoint(Row):
    """By how much the velocities of one fiber are off in one night.

    Attributes
    ----------
    version_id
        The measurement that it belongs to.
    instrument, camera, fiber, day
        Of which velocities.
    value_ms, error_ms
        What is to be taken from a velocity, and its error; None where nothing tells [m / s].
    n_stars
        Constant stars that tell of the night.
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
    stars: Mapped[dict] = mapped_column(JSON, default=dict)


def versions(session: Session) -> list[ZeroPointVersion]:
    """Return all versions.

    Returns
    -------
    list of ZeroPointVersion
        The oldest first.
    """
    return list(session.scalars(select(ZeroPointVersion).order_by(ZeroPointVersion.id)))


def version(session: Session, number: int | None = None) -> ZeroPointVersion:
    """Return one version.

    Parameters
    ----------
    number
        Which one; the last one if not given.

    Raises
    ------
    LookupError
        If there is none.
    """
    query = select(ZeroPointVersion).order_by(ZeroPointVersion.id.desc()).limit(1)
    found = session.scalar(query if number is None else query.where(ZeroPointVersion.id == number))
    if found is None:
        which = "no zero points were measured so far" if number is None else f"there are no zero points {number}"
        raise LookupError(f"{which}: see nrespipe zeropoints list")
    return found
