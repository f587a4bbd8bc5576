"""Numbers for the dashboards, pushed to OpenTSDB and scraped by Prometheus; a dead server never stops a frame."""

import math
import os
import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

from sqlalchemy import case, func, select
from sqlalchemy.orm import Session

from nrespipe.database import frames
from nrespipe.database.dialects import clock
from nrespipe.database.states import UNFINISHED, Standing, State
from nrespipe.database.tables import Attempt, Frame, Master
from nrespipe.frames.quality import Quality

if TYPE_CHECKING:
    from prometheus_client.core import Metric

    from nrespipe.service.opentsdb_client import Client
    from nrespipe.service.outcome import Outcome
    from nrespipe.service.reduction.frame_results import Result

#: Columns of a velocity that are worth a curve.
_OF_STAR = {"snr": "snr", "rv_err_ms": "rv_error_ms", "drift_ms": "drift_ms"}

#: So many frames that are to be reduced again are counted one by one.
_MOST = 5000
#: States of frames that have an end before them.
_OPEN = (*UNFINISHED, State.RUNNING)


@dataclass(frozen=True)
class Point:
    """One number of one moment.

    Attributes
    ----------
    name
        Such as ``nrespipe.frame.seconds``.
    value
        The number.
    tags
        What it belongs to.
    """

    name: str
    value: float
    tags: dict[str, str] = field(default_factory=dict)


def of_frame(row: Frame, ended: "Outcome[Result]") -> list[Point]:
    """Return the numbers of the reduction of a frame; finite ones only."""
    tags = {"site": row.site, "instrument": row.instrument, "kind": str(row.kind or "unknown")}
    seconds = (ended.finished - ended.started).total_seconds()
    numbers: list[tuple[str, float | None, dict[str, str]]] = [
        ("nrespipe.frame.seconds", seconds, {**tags, "state": str(ended.state)})
    ]
    if ended.value is not None:
        numbers += [(f"nrespipe.frame.{name}", value, tags) for name, value in ended.value.measurements.items()]
        steps = ended.value.seconds.items()
        numbers += [("nrespipe.step.seconds", value, {**tags, "step": name}) for name, value in steps]
        for star in ended.value.velocities:
            of_star = {**tags, "fiber": str(star["fiber"])}
            numbers += [(f"nrespipe.star.{name}", star[column], of_star) for column, name in _OF_STAR.items()]
    return [Point(name, value, tags) for name, value, tags in numbers if value is not None and math.isfinite(value)]


def of_database(session: Session) -> list[Point]:
    """Return the numbers of the database as a whole, at a cost that does not grow with the number of frames.

    Returns
    -------
    list of Point
        Of the last nights of which there are frames (`frames.RECENT_NIGHTS`): frames by state, those whose last result
        comes from a master that needs review, and masters by standing. Frames of earlier nights count where they are
        queued, at work or waiting, masters where they need review. Attempts of the last 24 hours by outcome. Of all
        nights: frames that are to be reduced again (up to `_MOST`), and for how long the oldest other frame that is due
        has waited [second].
    """
    since = frames.first_of_last_nights(session)
    recent, older = (*frames.of_nights(Frame, "", since), Frame.is_latest()), (Frame.day < since, Frame.is_latest())
    flagged = func.sum(case((Frame.quality.op("&")(int(Quality.UNREVIEWED_MASTER)) != 0, 1), else_=0))
    states: Counter[str] = Counter()
    unreviewed = 0
    counts = select(Frame.state, func.count().label("n"), flagged.label("flagged")).where(*recent)
    for row in session.execute(counts.group_by(Frame.state)):
        states[str(row.state)] += row.n
        unreviewed += row.flagged
    open_yet = (
        select(Frame.state, func.count())
        .where(Frame.is_not_done(), Frame.state.in_(_OPEN), *older)
        .group_by(Frame.state)
    )
    states.update({str(state): count for state, count in session.execute(open_yet)})
    day = Attempt.finished > clock(session) - timedelta(days=1)
    outcomes = session.execute(select(Attempt.outcome, func.count()).where(day).group_by(Attempt.outcome))
    return [
        *(Point("nrespipe.frames", float(count), {"state": state}) for state, count in states.items()),
        *(Point("nrespipe.attempts", float(count), {"outcome": str(outcome)}) for outcome, count in outcomes),
        *_of_masters(session, since),
        Point("nrespipe.frames.unreviewed", float(unreviewed)),
        *_of_due(session),
    ]


def _of_masters(session: Session, since: str) -> list[Point]:
    """Masters of the last nights by standing, and all that need review."""
    recent = select(Master.standing, func.count()).where(*frames.of_nights(Master, "", since)).group_by(Master.standing)
    standings = {str(word): count for word, count in session.execute(recent)}
    older = select(Master.id).where(Master.standing == Standing.REVIEW, Master.day < since).limit(_MOST)
    count = session.scalar(select(func.count()).select_from(older.subquery())) or 0
    review = str(Standing.REVIEW)
    standings |= {review: standings.get(review, 0) + count} if count else {}
    return [Point("nrespipe.masters", float(count), {"standing": word}) for word, count in standings.items()]


def _of_due(session: Session) -> list[Point]:
    """How long the oldest frame that is due has waited, and how many are to be reduced again."""
    to_redo = select(Frame.id).where(Frame.low_priority, Frame.next_try.is_not(None), Frame.is_latest()).limit(_MOST)
    count = session.scalar(select(func.count()).select_from(to_redo.subquery()))
    due = (Frame.owner == "", Frame.next_try.is_not(None), ~Frame.low_priority, Frame.is_latest())
    oldest = session.scalar(select(Frame.next_try).where(*due).order_by(Frame.next_try).limit(1))
    waited_s = max((clock(session) - oldest).total_seconds(), 0.0) if oldest else 0.0
    return [Point("nrespipe.frames.to_redo", float(count or 0)), Point("nrespipe.oldest_due.seconds", waited_s)]


class Recorder:
    """Sends points to an OpenTSDB server, or nowhere if none is named.

    Parameters
    ----------
    hostname
        Of the server; '' for none.
    port
        Where it takes ``/api/put``.
    """

    def __init__(self, hostname: str = "", port: int = 4242) -> None:
        self._where = (hostname, port)
        self._clients: dict[int, Client] = {}

    def __reduce__(self) -> "tuple[type[Recorder], tuple[str, int]]":
        # in another process it sends by itself
        return Recorder, self._where

    def send(self, points: Sequence[Point]) -> None:
        """Hand points over; they are sent by a thread, and dropped if the server stays away."""
        if not self._where[0]:
            return
        # a thread does not survive a fork: every process has its own
        client = self._clients.get(os.getpid())
        if client is None:
            # most commands send nothing, and start without the library
            from nrespipe.service.opentsdb_client import Client

            self._clients = {os.getpid(): (client := Client(*self._where))}
        for point in points:
            if math.isfinite(point.value):
                client.send(_clean(point.name), float(point.value), **{k: _clean(v) for k, v in point.tags.items()})

    def flush(self, longest_s: float = 2.0) -> bool:
        """Wait until all is sent, but not for ever.

        Parameters
        ----------
        longest_s
            For how long at most [second].

        Returns
        -------
        bool
            Whether it was.
        """
        client, end = self._clients.get(os.getpid()), time.monotonic() + longest_s
        while client is not None and not client.has_sent_all():
            if time.monotonic() > end:
                return False
            time.sleep(0.02)
        return True


def serve(port: int, points: Callable[[], Iterable[Point]], address: str = "127.0.0.1") -> Callable[[], None]:
    """Answer Prometheus at ``/metrics``, in a thread.

    Parameters
    ----------
    points
        Returns the points of the moment; called at every scrape.
    address
        Of the interface to listen on.

    Returns
    -------
    callable
        Stops the thread.
    """
    from prometheus_client import CollectorRegistry, start_http_server

    registry = CollectorRegistry()
    registry.register(_Collector(points))
    server, thread = start_http_server(port, addr=address, registry=registry)

    def stop() -> None:
        server.shutdown()
        server.server_close()
        thread.join()

    return stop


class _Collector:
    def __init__(self, points: Callable[[], Iterable[Point]]) -> None:
        self._points, self._one_at_a_time = points, threading.Lock()

    def describe(self) -> "Iterable[Metric]":
        # no query before the first scrape
        return []

    def collect(self) -> "Iterable[Metric]":
        from prometheus_client.core import GaugeMetricFamily

        families: dict[str, GaugeMetricFamily] = {}
        with self._one_at_a_time:
            for point in self._points():
                name = re.sub(r"\W", "_", point.name)
                family = families.setdefault(name, GaugeMetricFamily(name, point.name, labels=list(point.tags)))
                family.add_metric(list(point.tags.values()), point.value)
        return families.values()


def _clean(text: str) -> str:
    """Return a text with nothing in it that breaks a line of the protocol."""
    return re.sub(r"[^A-Za-z0-9_./-]", "_", text) or "none"
