"""Numbers for the dashboards; a dead metrics server never stops a frame."""

import math
import os
import re
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from nrespipe.database.dialects import clock
from nrespipe.database.frames import latest
from nrespipe.database.tables import Attempt, Frame, Master
from nrespipe.frames.quality import Quality

if TYPE_CHECKING:
    from nrespipe.service.outcome import Outcome

#: Columns of a velocity that are worth a curve.
_OF_STAR = {"snr": "snr", "rv_err_ms": "rv_error_ms", "drift_ms": "drift_ms"}


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


def of_frame(row: Frame, result: "Outcome") -> list[Point]:
    """Return what the reduction of a frame tells.

    Parameters
    ----------
    result
        What came of it; its value is that of ``frame_reduction.reduce`` or None.

    Returns
    -------
    list of Point
        Finite numbers only.
    """
    tags = {"site": row.site, "instrument": row.instrument, "kind": str(row.kind or "unknown")}
    seconds = (result.finished - result.started).total_seconds()
    points = [Point("nrespipe.frame.seconds", seconds, {**tags, "state": str(result.state)})]
    if result.value is not None:
        points += [Point(f"nrespipe.frame.{name}", value, tags) for name, value in result.value.measurements.items()]
        steps = result.value.seconds.items()
        points += [Point("nrespipe.step.seconds", value, {**tags, "step": name}) for name, value in steps]
        for star in result.value.velocities:
            points += [
                Point(f"nrespipe.star.{name}", star[column], {**tags, "fiber": str(star["fiber"])})
                for column, name in _OF_STAR.items()
            ]
    return [point for point in points if point.value is not None and math.isfinite(point.value)]


def of_database(session: Session) -> list[Point]:
    """Return how things stand.

    Returns
    -------
    list of Point
        Frames by state, attempts by outcome, masters by standing; frames whose last result comes from a master that
        needs review, and frames that are to be reduced again; for how long the oldest other frame that is due has
        waited [second].
    """
    counted = (
        ("nrespipe.frames", "state", select(Frame.state, func.count()).where(latest()).group_by(Frame.state)),
        ("nrespipe.attempts", "outcome", select(Attempt.outcome, func.count()).group_by(Attempt.outcome)),
        ("nrespipe.masters", "standing", select(Master.standing, func.count()).group_by(Master.standing)),
    )
    points = [
        Point(name, float(count), {tag: str(word)})
        for name, tag, query in counted
        for word, count in session.execute(query)
    ]
    moment = clock(session)
    oldest = session.scalar(select(func.min(Frame.next_try)).where(Frame.owner == "", ~Frame.low_priority, latest()))
    waited_s = max((moment - oldest).total_seconds(), 0.0) if oldest else 0.0
    flagged = Frame.quality.op("&")(int(Quality.UNREVIEWED_MASTER)) != 0
    # few have a moment, which has an index
    to_redo = Frame.low_priority & Frame.next_try.is_not(None)
    for name, condition in (("unreviewed", flagged), ("to_redo", to_redo)):
        count = session.scalar(select(func.count()).select_from(Frame).where(condition, latest()))
        points.append(Point(f"nrespipe.frames.{name}", float(count)))
    return [*points, Point("nrespipe.oldest_due.seconds", waited_s)]


class Recorder:
    """The way to an OpenTSDB server; without a name of one a way to nowhere.

    Parameters
    ----------
    hostname : str
        Of the server; '' for none.
    port : int
        Where it takes ``/api/put``.
    """

    def __init__(self, hostname="", port=4242):
        self._where, self._clients = (hostname, port), {}

    def __reduce__(self):
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
            from nrespipe.service.tsdb_client import Client

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


def serve(port: int, points: Callable[..., Any], address: str = "127.0.0.1") -> Callable[..., Any]:
    """Answer Prometheus at ``/metrics``, in a thread.

    Parameters
    ----------
    points
        Returns the points of the moment; asked at every scrape.
    address
        Of the interface that it is asked at.

    Returns
    -------
    callable
        Ends it.
    """
    from prometheus_client import CollectorRegistry, start_http_server

    registry = CollectorRegistry()
    registry.register(_Collector(points))
    server, thread = start_http_server(port, addr=address, registry=registry)

    def stop():
        server.shutdown()
        server.server_close()
        thread.join()

    return stop


class _Collector:
    def __init__(self, points):
        self._points, self._one_at_a_time = points, threading.Lock()

    def describe(self):
        # nothing is asked of the database before the first scrape
        return []

    def collect(self):
        from prometheus_client.core import GaugeMetricFamily

        families = {}
        with self._one_at_a_time:
            for point in self._points():
                name = re.sub(r"\W", "_", point.name)
                family = families.setdefault(name, GaugeMetricFamily(name, point.name, labels=list(point.tags)))
                family.add_metric(list(point.tags.values()), point.value)
        return families.values()


def _clean(text):
    """Return a text with nothing in it that breaks a line of the protocol."""
    return re.sub(r"[^A-Za-z0-9_./-]", "_", str(text)) or "none"
