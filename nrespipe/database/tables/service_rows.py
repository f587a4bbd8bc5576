"""Rows by which the service runs: nodes of workers, circuit breakers, summaries, reprocessings, compatibility."""

from datetime import datetime

from sqlalchemy import JSON, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from nrespipe.database.tables.base import Row, Work, work_indices
from nrespipe.database.tables.column_types import Moment


class Node(Row):
    """A node of workers that runs, or that ended without unregistering.

    Attributes
    ----------
    name
        Name of the node, with that of its host: ``worker0@nrespipe``.
    owner
        Process that has the name, as the owner of rows.
    heartbeat
        When it last reported that it runs, by the clock of the database.
    processes
        How many frames it reduces at a time.
    queues
        Queues that it serves, with commas between them.
    """

    __tablename__ = "nodes"

    name: Mapped[str] = mapped_column(Text, primary_key=True)
    owner: Mapped[str] = mapped_column(Text)
    heartbeat: Mapped[datetime] = mapped_column(Moment)
    processes: Mapped[int]
    queues: Mapped[str] = mapped_column(Text)


class Breaker(Row):
    """The circuit breaker of a server: one that fails gets requests of one process at a time, after growing pauses.

    Attributes
    ----------
    server
        The server, or the directory, as the settings name it.
    failures
        How many requests in a row failed.
    since
        Since when it fails; None where it works.
    next_try
        From when on one process may send a request again; None where all may.
    reason
        Why the last request failed.
    """

    __tablename__ = "breakers"

    server: Mapped[str] = mapped_column(Text, primary_key=True)
    failures: Mapped[int] = mapped_column(default=0, server_default="0")
    since: Mapped[datetime | None] = mapped_column(Moment)
    next_try: Mapped[datetime | None] = mapped_column(Moment)
    reason: Mapped[str] = mapped_column(Text, default="", server_default="")


class NightSummary(Work):
    """The summary of a night, which is written and, where recipients are set, mailed.

    Attributes
    ----------
    site, day
        ``lsc``, ``YYYYMMDD``.
    written, mailed
        When it was written, and when the mail server took it; None where not yet, or where no recipients are set.
    reason
        Why the last try failed, or which recipients the mail server refused; '' otherwise.
    """

    __tablename__ = "summaries"
    __table_args__ = (UniqueConstraint("site", "day", name="uq_summaries_night"), *work_indices("summaries"))

    id: Mapped[int] = mapped_column(primary_key=True)
    site: Mapped[str] = mapped_column(Text)
    day: Mapped[str] = mapped_column(Text)
    written: Mapped[datetime | None] = mapped_column(Moment)
    mailed: Mapped[datetime | None] = mapped_column(Moment)
    reason: Mapped[str] = mapped_column(Text, default="", server_default="")


class Reprocessing(Row):
    """One run over nights that had been reduced before.

    Attributes
    ----------
    site, first_day, last_day
        Site and nights, both included.
    kinds
        Kinds of frames that were reduced again.
    why
        The reason, in the words of the person who asked for it.
    code_version
        Version of the program.
    begun, finished
        When; `finished` is None while it runs, or where it was interrupted.
    """

    __tablename__ = "reprocessings"

    id: Mapped[int] = mapped_column(primary_key=True)
    site: Mapped[str] = mapped_column(Text)
    first_day: Mapped[str] = mapped_column(Text)
    last_day: Mapped[str] = mapped_column(Text)
    kinds: Mapped[list[str]] = mapped_column(JSON, default=list)
    why: Mapped[str] = mapped_column(Text, default="")
    code_version: Mapped[str] = mapped_column(Text)
    begun: Mapped[datetime] = mapped_column(Moment)
    finished: Mapped[datetime | None] = mapped_column(Moment)


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
