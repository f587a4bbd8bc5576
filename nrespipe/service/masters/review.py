"""Review of masters by a person: compare two of them, and decide whether one is used."""

import getpass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from nrespipe import instruments
from nrespipe.analysis import master_list
from nrespipe.analysis.master_list import name_of
from nrespipe.database.masters import calibrations, comparison_masters
from nrespipe.database.states import Standing
from nrespipe.database.tables import Master
from nrespipe.files import layout
from nrespipe.files.plain_table import aligned
from nrespipe.service.assembly import judge_master
from nrespipe.service.masters import redo

if TYPE_CHECKING:
    from sqlalchemy.orm import Session


def compare(session: "Session", name: str, output: Path, other: str = "") -> list[str]:
    """Compare a master with another, number by number.

    Parameters
    ----------
    output
        Output directory of the masters.
    other
        The other one; the last good one of its camera if not given.

    Returns
    -------
    list of str
        Lines: measured numbers, their limits, and the verdict.

    Raises
    ------
    LookupError
        If there is no such master, no file of it, or no table of its spectrograph.
    """
    # a list of masters is made without astropy.io.fits
    from nrespipe.files import master_files
    from nrespipe.service.masters import acceptance

    row = master_list.find(session, name)
    peer = master_list.find(session, other) if other else _peer(session, row)
    if peer is not None and peer.kind != row.kind:
        raise LookupError(f"{name_of(row)} and {name_of(peer)} are masters of different kinds")
    new = master_files.read(output / row.path)
    last = master_files.read(output / peer.path) if peer else None
    try:
        spectrograph = instruments.load(row.instrument, layout.instruments(output))
    except (KeyError, ValueError) as error:
        raise LookupError(f"the table of {row.instrument} cannot be used, correct it: {error}") from error
    judged = acceptance.compare(new, last, judge_master, spectrograph)
    numbers = [
        [f.name, f"{f.value:.4g}", f"{f.usual:.4g}", f"{f.worst:.4g}", str(f.verdict), f.words] for f in judged.findings
    ]
    against = f"against {name_of(peer)}" if peer else "by itself: there is no other one of its camera"
    return [
        f"{name_of(row)} {against}: {judged.verdict}",
        *aligned([["number", "value", "flagged at", "review at", "verdict", "in words"], *numbers]),
    ]


def decide(session: "Session", name: str, standing: Standing, why: str) -> list[str]:
    """Record the decision of a person on a master.

    Parameters
    ----------
    why
        The reason; it is kept with the name of the person and the day.

    Returns
    -------
    list of str
        Lines: the change; the masters and frames that come from one that is bad now; or the frames of its night that
        would use a good one and whose results come from another. All these are made and reduced again when nothing else
        is due; the last line is a command that does so at once.

    Raises
    ------
    LookupError
        If there is no such master, or no file of it.
    """
    row = master_list.find(session, name)
    before = row.standing
    if standing is Standing.REJECTED:
        affected, days = _affected(session, row)
    decision = f"{getpass.getuser()} on {datetime.now(UTC):%Y-%m-%d}: {why}"
    calibrations.set_standing(session, row, standing, "; ".join(filter(None, (row.reason, decision))))
    if standing is Standing.REJECTED:
        redo.after_rejection(session, row)
    else:
        frames = redo.affected_by_acceptance(session, row)
        affected, days = [f"another one was used for {f.filename}" for f in frames], [frame.day for frame in frames]
        redo.after_acceptance(session, row)
    lines = [f"{name_of(row)}: {before} -> {standing}", *affected]
    if days:
        again = f"nrespipe reprocess --site {row.site} --from {min(days)} --to {max(days)}"
        lines.append(f"they come again by themselves when nothing else is due; at once by: {again}")
    return lines


def _affected(session: "Session", row: Master) -> tuple[list[str], list[str]]:
    """Lines about everything that comes from a bad master, and the nights of it."""
    masters, frames = redo.affected_by_rejection(session, row)
    words = {"frames": "frames of its night are in", "with": "was used for"}
    lines = [f"{words[how]} {name_of(master)}" for master, how in masters.items()]
    lines += [f"was used for {frame.filename}{f', by way of {name_of(way)}' if way else ''}" for frame, way in frames]
    return lines, [master.day for master in masters] + [frame.day for frame, _ in frames]


def _peer(session: "Session", row: Master) -> Master | None:
    if row.mean_mjd is None:
        return None
    return comparison_masters.reference_master(session, row.kind, calibrations.night_of(row), row.mean_mjd)
