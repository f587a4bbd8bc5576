"""Acceptance of a new master: compared with the last good one, and with unreviewed and later ones of other nights."""

import math
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import select
from sqlalchemy.orm import Session

from nrespipe import __version__
from nrespipe.database.masters import calibrations, comparison_masters
from nrespipe.database.states import USABLE, Standing, State
from nrespipe.database.tables import Frame, Master
from nrespipe.errors import MissingCalibration
from nrespipe.files import master_files
from nrespipe.frames.judgement import Judgement, Verdict
from nrespipe.service.masters import redo

if TYPE_CHECKING:
    from nrespipe.database.masters.calibrations import Night
    from nrespipe.frames.masters import Arc, Bias, Dark, Flat
    from nrespipe.frames.raw import Kind
    from nrespipe.frames.spectrograph import Spectrograph
    from nrespipe.service.assembly import Judge

    AnyMaster = Bias | Dark | Flat | Arc

_STANDINGS = {Verdict.REVIEW: Standing.REVIEW, Verdict.REJECTED: Standing.REJECTED}


class Peers(NamedTuple):
    """Files of the masters that a new one is compared with.

    Attributes
    ----------
    last
        The last good one of another night; '' for the first. Where all others are later, the one that was made of this
        night before: the spectrograph may have changed after it.
    accepted
        The one that was made of this night before and accepted although it needed review, and the reason.
    unreviewed, later
        Row and file of a master of another night that may agree with the new one, and the reason to record then: the
        last one that needs review itself, and the first good one that follows.
    """

    last: str = ""
    accepted: tuple[str, str] | None = None
    unreviewed: tuple[int, str, str] | None = None
    later: tuple[int, str, str] | None = None


def choose_peers(session: Session, kind: "Kind", night: "Night", mean_mjd: float, output: Path) -> Peers:
    """Choose the masters that a new one is compared with."""
    last, own = (
        comparison_masters.reference_master(session, kind, night, mean_mjd),
        comparison_masters.used_master(session, kind, night),
    )
    if last is not None and last.mean_mjd is not None and last.mean_mjd > mean_mjd:
        last = own or last
    unreviewed = comparison_masters.reference_master(session, kind, night, mean_mjd, Standing.REVIEW)
    if unreviewed is not None and comparison_masters.rejected_master(session, kind, calibrations.night_of(unreviewed)):
        unreviewed = None
    later = comparison_masters.next_master(session, kind, night)

    def described(other: Master | None) -> tuple[int, str, str] | None:
        return (other.id, str(output / other.path), _agrees(other)) if other is not None else None

    accepted = own if own is not None and _was_accepted(own) else None
    return Peers(
        last=str(output / last.path) if last else "",
        accepted=(str(output / accepted.path), accepted.reason) if accepted is not None else None,
        unreviewed=described(unreviewed),
        later=described(later),
    )


def judge(
    master: "AnyMaster", others: Peers, judge_master: "Judge", spectrograph: "Spectrograph"
) -> tuple[dict[str, Any], int | None, bool]:
    """Judge a new master.

    Parameters
    ----------
    others
        Masters that it is compared with; a file that cannot be read counts as none.
    judge_master
        As ``master_checks.judge``.
    spectrograph
        Its table has the expected values of the first one.

    Returns
    -------
    columns : dict of str to Any
        Standing, reason and findings of its row.
    agrees_with : int or None
        Row of the master of another night that agrees with it.
    unchanged : bool
        Whether it agrees with the last good one in everything.
    """
    last = read_reference(others.last)
    judged = compare(master, last, judge_master, spectrograph)
    standing = _STANDINGS.get(judged.verdict, Standing.CURRENT)
    columns: dict[str, Any] = {"standing": standing, "reason": "; ".join(judged.reasons), "findings": _numbered(judged)}
    if standing is Standing.REJECTED:
        return columns, None, False
    if standing is Standing.CURRENT:
        agrees_with, _ = _agreeing(master, (others.unreviewed,), judge_master, spectrograph)
        return columns, agrees_with, last is not None and not judged.changed
    if others.accepted and _is_like(master, read_reference(others.accepted[0]), judge_master, spectrograph):
        return columns | {"standing": Standing.CURRENT, "reason": others.accepted[1]}, None, False
    agrees_with, words = _agreeing(master, (others.unreviewed, others.later), judge_master, spectrograph)
    if agrees_with is not None:
        columns |= {"standing": Standing.CURRENT, "reason": f"{columns['reason']}; {words}"}
    return columns, agrees_with, False


def _agreeing(
    master: "AnyMaster",
    others: Sequence[tuple[int, str, str] | None],
    judge_master: "Judge",
    spectrograph: "Spectrograph",
) -> tuple[int | None, str]:
    """Row of the first of some masters of other nights that agrees with a master, and the reason to record."""
    for row, path, words in filter(None, others):
        if _is_like(master, read_reference(path), judge_master, spectrograph):
            return row, words
    return None, ""


def compare(
    master: "AnyMaster", last: "AnyMaster | None", judge_master: "Judge", spectrograph: "Spectrograph"
) -> Judgement:
    """Compare a master with the last good one.

    Parameters
    ----------
    last
        The last good one; None for the first.
    judge_master
        As ``master_checks.judge``.
    spectrograph
        Its table has the expected values of the first one.

    Returns
    -------
    Judgement
        Findings that the last one has as well are marked as known.
    """
    judged: Judgement = judge_master(master, last, spectrograph)
    return judged if last is None else judged.compared_with(judge_master(last, None, spectrograph))


def apply_decision(
    session: Session,
    kind: "Kind",
    night: "Night",
    frame_ids: Collection[int],
    columns: Mapping[str, Any],
    accepted: tuple[str, str] | None,
) -> dict[str, Any]:
    """Apply the decision of a person on a master of a night to the new one of that night.

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
    dict of str to Any
        Its standing and reason. A master that shares frames with the one that was called bad is rejected: a late frame
        must not bring back the others. A master of the same frames as one that was accepted meanwhile is accepted too.
    """
    standing, reason = columns["standing"], columns["reason"]
    refused = comparison_masters.rejected_master(session, kind, night)
    own = comparison_masters.used_master(session, kind, night)
    shared = {frame.id for frame in refused.inputs} & set(frame_ids) if refused is not None else set()
    if refused is not None and shared:
        share = f"{len(shared)} of its {len(frame_ids)} frames"
        why = refused.reason.rpartition(_CALLED_BAD)[-1]
        return {
            "standing": Standing.REJECTED,
            "reason": "; ".join(filter(None, (reason, f"{share} are those of {_CALLED_BAD}{why}"))),
        }
    # the files are not compared here: only the same frames are alike for certain
    is_new = accepted is None and own is not None and _was_accepted(own)
    is_same = own is not None and {frame.id for frame in own.inputs} == set(frame_ids)
    if standing is Standing.REVIEW and own is not None and is_new and is_same:
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
    made = calibrations.last_master(session, kind, night)
    if made is None or made.standing not in USABLE:
        return
    names = [frame.filename for frame in made.inputs if frame.day == night.day]
    here = (Frame.filename.in_(names), Frame.version.is_not(None), Frame.is_latest())
    now = list(session.scalars(select(Frame).where(*here).order_by(Frame.filename)))
    # a frame that waits or was not tried yet may still be good
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
        An open session; the caller commits. Frames that were reduced with it are reduced again when nothing else is
        due.
    row_id
        Key of the master that may need review.
    """
    row = session.get(Master, row_id)
    if row is not None and row.standing is Standing.REVIEW:
        calibrations.set_standing(session, row, Standing.CURRENT, f"{row.reason}; {_agrees(master)}")
        redo.after_acceptance(session, row)


def _was_accepted(master: Master) -> bool:
    """Whether a master is in use although it needed review."""
    return master.standing is Standing.CURRENT and comparison_masters.needed_review(master)


def _agrees(master: Master) -> str:
    return f"the one of {master.day} agrees with it"


def read_reference(path: str) -> "AnyMaster | None":
    """Read a master that another is compared with; None where there is none ('') or the file cannot be read."""
    with suppress(MissingCalibration):
        return master_files.read(path) if path else None
    return None


def _is_like(
    master: "AnyMaster", peer: "AnyMaster | None", judge_master: "Judge", spectrograph: "Spectrograph"
) -> bool:
    """Whether a master needs no review when compared with another, apart from findings that both have."""
    return peer is not None and compare(master, peer, judge_master, spectrograph).verdict in _GOOD


_GOOD = (Verdict.ACCEPTED, Verdict.FLAGGED)


def _numbered(judged: Judgement) -> list[dict[str, Any]]:
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
