"""Whether a new master is accepted: compared with the last good one, and with those that may speak for it."""

import math
from collections.abc import Callable, Collection
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import select
from sqlalchemy.orm import Session

from nrespipe import __version__
from nrespipe.database.frames import latest
from nrespipe.database.masters import calibrations, neighbors
from nrespipe.database.states import USABLE, Standing, State
from nrespipe.database.tables import Frame, Master
from nrespipe.errors import MissingCalibration
from nrespipe.files import master_files
from nrespipe.frames.judgement import Judgement, Verdict
from nrespipe.service.calibrations import redo

if TYPE_CHECKING:
    from nrespipe.database.masters.calibrations import Night
    from nrespipe.frames.masters import Arc, Bias, Dark, Flat
    from nrespipe.frames.raw import Kind
    from nrespipe.frames.spectrograph import Spectrograph

_STANDINGS = {Verdict.REVIEW: Standing.REVIEW, Verdict.REJECTED: Standing.REJECTED}


class Peers(NamedTuple):
    """Files of the masters that a new one is compared with.

    Attributes
    ----------
    last
        The last good one of another night; '' for the first. Where all others are later, the one that was made of this
        night before: what came after it may have changed.
    accepted
        The one that was made of this night before and accepted although it needed review, and what was said of it.
    unreviewed, later
        Row and file of a master of another night that may speak for the new one, and what is said of it then: the last
        one that needs review itself, and the first good one that follows.
    """

    last: str = ""
    accepted: tuple[str, str] | None = None
    unreviewed: tuple[int, str, str] | None = None
    later: tuple[int, str, str] | None = None


def choose_peers(session: Session, kind: "Kind", night: "Night", mean_mjd: float, output: Path) -> Peers:
    """Choose the masters that a new one is compared with.

    Parameters
    ----------
    kind
        Of the new one.
    night
        Of the new one.
    mean_mjd
        Of the new one.
    """
    last, own = neighbors.reference_master(session, kind, night, mean_mjd), neighbors.used_master(session, kind, night)
    if last is not None and last.mean_mjd > mean_mjd:
        last = own or last
    is_accepted = own is not None and own.standing is Standing.CURRENT and neighbors.needed_review(own)
    unreviewed = neighbors.reference_master(session, kind, night, mean_mjd, Standing.REVIEW)
    if unreviewed is not None and neighbors.rejected_master(session, kind, calibrations.night_of(unreviewed)):
        unreviewed = None
    later = neighbors.next_master(session, kind, night)
    unreviewed, later = (
        (other.id, str(output / other.path), _agrees(other)) if other is not None else None
        for other in (unreviewed, later)
    )
    return Peers(
        last=str(output / last.path) if last else "",
        accepted=(str(output / own.path), own.reason) if is_accepted else None,
        unreviewed=unreviewed,
        later=later,
    )


def judge(
    master: "Bias | Dark | Flat | Arc",
    others: Peers,
    judge_master: Callable[..., Judgement],
    spectrograph: "Spectrograph",
) -> tuple[dict[str, object], int | None, bool]:
    """Judge a new master.

    Parameters
    ----------
    others
        What it is compared with; a file that cannot be read is as good as none.
    judge_master
        As ``master_checks.judge``.
    spectrograph
        Says what the first one should be like.

    Returns
    -------
    columns : dict of str to object
        Standing, reason and findings of its row.
    agrees_with : int or None
        Row of the master of another night that agrees with it.
    unchanged : bool
        Whether the last good one says nothing against it.
    """
    last = _read(others.last)
    judged = compare(master, last, judge_master, spectrograph)
    standing = _STANDINGS.get(judged.verdict, Standing.CURRENT)
    columns = {"standing": standing, "reason": "; ".join(judged.reasons), "findings": _numbered(judged)}
    if standing is Standing.REJECTED:
        return columns, None, False
    if standing is Standing.CURRENT:
        agrees_with, _ = _agreeing(master, (others.unreviewed,), judge_master, spectrograph)
        return columns, agrees_with, last is not None and not judged.changed
    if others.accepted and _is_like(master, _read(others.accepted[0]), judge_master, spectrograph):
        return columns | {"standing": Standing.CURRENT, "reason": others.accepted[1]}, None, False
    agrees_with, words = _agreeing(master, (others.unreviewed, others.later), judge_master, spectrograph)
    if agrees_with is not None:
        columns |= {"standing": Standing.CURRENT, "reason": f"{columns['reason']}; {words}"}
    return columns, agrees_with, False


def _agreeing(master, others, judge_master, spectrograph):
    """Row of the first of some masters of other nights that a master is like, and what is said of it then."""
    for row, path, words in filter(None, others):
        if _is_like(master, _read(path), judge_master, spectrograph):
            return row, words
    return None, ""


def compare(
    master: "Bias | Dark | Flat | Arc",
    last: "Bias | Dark | Flat | Arc | None",
    judge_master: Callable[..., Judgement],
    spectrograph: "Spectrograph",
) -> Judgement:
    """Compare a master with the last good one.

    Parameters
    ----------
    last
        The last good one; None for the first.
    judge_master
        As ``master_checks.judge``.
    spectrograph
        Says what the first one should be like.

    Returns
    -------
    Judgement
        What the last one shows as well is known.
    """
    judged = judge_master(master, last, spectrograph)
    return judged if last is None else judged.beside(judge_master(last, None, spectrograph))


def apply_decision(
    session: Session,
    kind: "Kind",
    night: "Night",
    frame_ids: Collection[int],
    columns: dict[str, object],
    accepted: tuple[Any, ...] | None,
) -> dict[str, object]:
    """Let what a person has said of a master of a night hold for the one that was made of it.

    Parameters
    ----------
    frame_ids
        Rows of the frames of this night that the new one was made of.
    columns
        Standing and reason of the new one, as `judge` has them.
    accepted
        As in `Peers`.

    Returns
    -------
    dict of str to object
        Standing and reason that it has. One that shares frames with the one that was called bad is rejected: a late
        frame must not bring back the others. One of the frames of another that was accepted meanwhile is so too.
    """
    standing, reason = columns["standing"], columns["reason"]
    refused = neighbors.rejected_master(session, kind, night)
    own = neighbors.used_master(session, kind, night)
    shared = {frame.id for frame in refused.inputs} & set(frame_ids) if refused is not None else ()
    if shared:
        share = f"{len(shared)} of its {len(frame_ids)} frames"
        said = refused.reason.rpartition(_CALLED_BAD)[-1]
        return {
            "standing": Standing.REJECTED,
            "reason": "; ".join(filter(None, (reason, f"{share} are those of {_CALLED_BAD}{said}"))),
        }
    # the files are not compared here: only the same frames are alike for certain
    is_new = accepted is None and own is not None and own.standing is Standing.CURRENT
    is_new = is_new and neighbors.needed_review(own)
    if standing is Standing.REVIEW and is_new and {frame.id for frame in own.inputs} == set(frame_ids):
        return {"standing": Standing.CURRENT, "reason": own.reason}
    return {"standing": standing, "reason": reason}


_CALLED_BAD = "the one that was called bad: "


def withdraw(session: Session, kind: "Kind", night: "Night", minimum: int) -> None:
    """Take the master of a night out of use where too few of the frames that it was made of are good now.

    Parameters
    ----------
    night
        Of the master, of which no other can be made.
    minimum
        How many good frames a master needs.
    """
    made = calibrations.last_attempt(session, kind, night)
    if made is None or made.standing not in USABLE:
        return
    names = [frame.filename for frame in made.inputs if frame.day == night.day]
    here = (Frame.filename.in_(names), Frame.version.is_not(None), latest())
    now = list(session.scalars(select(Frame).where(*here).order_by(Frame.filename)))
    # what waits or was not tried yet may still be good
    gone = sum(frame.state in (State.BAD, State.SKIPPED) for frame in now)
    if not gone or len(now) - gone >= minimum:
        return
    made.standing = Standing.REPLACED
    good = [frame for frame in now if frame.state == State.DONE]
    reason = f"{gone} of the {len(now)} frames of the one made before are bad now, a master needs {minimum}"
    columns = {"standing": Standing.REJECTED, "reason": reason, "n_inputs": len(good), "inputs": good}
    session.add(Master(kind=kind, code_version=__version__, **columns, **night._asdict()))


def accept(session: Session, row_id: int, master: Master) -> None:
    """Accept a master that needs review, because that of another night agrees with it.

    Parameters
    ----------
    session
        An open session; the caller commits. What was reduced with it is reduced again when nothing else is due.
    row_id
        The one that may need review.
    """
    row = session.get(Master, row_id)
    if row is not None and row.standing is Standing.REVIEW:
        calibrations.set_standing(session, row, Standing.CURRENT, f"{row.reason}; {_agrees(master)}")
        redo.after_acceptance(session, row)


def _agrees(master):
    return f"the one of {master.day} agrees with it"


def _read(path):
    """Read a master that another is compared with; None where there is none, or none that can be read."""
    with suppress(MissingCalibration):
        return master_files.read(path) if path else None
    return None


def _is_like(master, peer, judge_master, spectrograph):
    """Whether a master needs no review beside another, but for what that one shows as well."""
    return peer is not None and compare(master, peer, judge_master, spectrograph).verdict in _GOOD


_GOOD = (Verdict.ACCEPTED, Verdict.FLAGGED)


def _numbered(judged):
    """Findings as the database keeps them."""
    return [
        {
            "name": finding.name,
            "value": float(finding.value) if math.isfinite(finding.value) else None,
            "usual": float(finding.usual),
            "worst": float(finding.worst),
            "verdict": str(finding.verdict),
            "known": finding.known,
        }
        for finding in judged.findings
    ]
