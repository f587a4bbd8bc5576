"""Whether a new master may be used: held against the last good one, and against those that may speak for it."""

import math
from contextlib import suppress
from typing import NamedTuple

from sqlalchemy import select

from nrespipe import __version__
from nrespipe.database import calibrations, neighbors
from nrespipe.database.columns import Standing, State
from nrespipe.database.frames import latest
from nrespipe.database.tables import Frame, Master
from nrespipe.errors import MissingCalibration
from nrespipe.files import masters
from nrespipe.frames.judgement import Verdict


class Peers(NamedTuple):
    """Files of the masters that a new one is held against.

    Attributes
    ----------
    last : str
        The last good one of another night; '' for the first. Where all others are later, the one that was made of this
        night before: what came after it may have changed.
    passed : tuple of (str, str) or None
        The one that was made of this night before and let through although something held it, and what was said of it.
    witnesses : tuple of (int, str, str)
        Row and file of masters of other nights that may speak for the new one, and what is said of it then.
    """

    last: str = ""
    passed: tuple[str, str] | None = None
    witnesses: tuple[tuple[int, str, str], ...] = ()


def peers(session, kind, night, mean_mjd, output):
    """Choose the masters that a new one is held against.

    Parameters
    ----------
    session : sqlalchemy.orm.Session
        An open session.
    kind : Kind
        Of the new one.
    night : Night
        Of the new one.
    mean_mjd : float
        Of the new one.
    output : Path
        Where masters lie.

    Returns
    -------
    Peers
    """
    last, own = neighbors.peer(session, kind, night, mean_mjd), neighbors.own(session, kind, night)
    if last is not None and last.mean_mjd > mean_mjd:
        last = own or last
    passed = own if own is not None and neighbors.was_held(own) else None
    held = neighbors.peer(session, kind, night, mean_mjd, Standing.HELD)
    if held is not None and neighbors.refused(session, kind, calibrations.night_of(held)) is not None:
        held = None
    later = neighbors.following(session, kind, night)
    witnesses = [(held, f"{_agrees(held)}, and serves from now on ({_again(held)})")] if held else []
    witnesses += [(later, _agrees(later))] if later else []
    return Peers(
        last=str(output / last.path) if last else "",
        passed=(str(output / passed.path), passed.reason) if passed else None,
        witnesses=tuple((other.id, str(output / other.path), words) for other, words in witnesses),
    )


def judge(master, others, recipe, spectrograph):
    """Judge a new master.

    Parameters
    ----------
    master : Bias, Dark, Flat or Arc
        The new one.
    others : Peers
        What it is held against; a file that cannot be read is as good as none.
    recipe : module
        Its `judge` compares two masters.
    spectrograph : Spectrograph
        Says what the first one should be like.

    Returns
    -------
    columns : dict of str to object
        Standing, reason and findings of its row.
    agrees_with : int or None
        Row of the master of another night that speaks for it.
    unchanged : bool
        Whether nothing is said against it, by the last good one either.
    """
    last = _read(others.last)
    judged = recipe.judge(master, last, spectrograph)
    columns = {"standing": Standing.CURRENT, "reason": "; ".join(judged.reasons), "findings": _numbered(judged)}
    if judged.verdict is not Verdict.HELD:
        return columns, None, last is not None and judged.verdict is Verdict.ACCEPTED
    if others.passed and _is_like(master, _read(others.passed[0]), recipe, spectrograph, flawed=True):
        return columns | {"reason": others.passed[1]}, None, False
    for row, path, words in others.witnesses:
        if _is_like(master, _read(path), recipe, spectrograph):
            return columns | {"reason": f"{columns['reason']}; {words}"}, row, False
    return columns | {"standing": Standing.HELD}, None, False


def heed(session, kind, night, frame_ids, columns, passed):
    """Let what a person has said of a master of a night hold for the one that was made of it.

    Parameters
    ----------
    session : sqlalchemy.orm.Session
        An open session.
    kind : Kind
        Of the master.
    night : Night
        Of the master.
    frame_ids : collection of int
        Rows of the frames of this night that the new one was made of.
    columns : dict of str to object
        Standing and reason of the new one, as `judge` has them.
    passed : tuple or None
        As in `Peers`.

    Returns
    -------
    dict of str to object
        Standing and reason that it has. One that shares frames with the one that was called bad is held: a late frame
        must not bring back the others. One of the frames of a held one that was let through meanwhile is used.
    """
    standing, reason = columns["standing"], columns["reason"]
    refused = neighbors.refused(session, kind, night)
    own = neighbors.own(session, kind, night)
    shared = {frame.id for frame in refused.inputs} & set(frame_ids) if refused is not None else ()
    if shared:
        share = f"{len(shared)} of its {len(frame_ids)} frames"
        told = f"{share} are those of the one that was called bad: {refused.reason}"
        return {"standing": Standing.HELD, "reason": "; ".join(filter(None, (reason, told)))}
    # the files are not compared here: only the same frames are alike for certain
    is_new = passed is None and own is not None and neighbors.was_held(own)
    if standing is Standing.HELD and is_new and {frame.id for frame in own.inputs} == set(frame_ids):
        return {"standing": Standing.CURRENT, "reason": own.reason}
    return {"standing": standing, "reason": reason}


def retire(session, kind, night, minimum):
    """Take the master of a night out of use where too few of the frames that it was made of are good now.

    Parameters
    ----------
    session : sqlalchemy.orm.Session
        An open session; the caller commits.
    kind : Kind
        Of the master.
    night : Night
        Of the master, of which no other can be made.
    minimum : int
        How many good frames a master needs.
    """
    made = calibrations.last(session, kind, night)
    if made is None or made.standing not in (Standing.CURRENT, Standing.HELD):
        return
    names = [frame.filename for frame in made.inputs if frame.day == night.day]
    now = list(session.scalars(select(Frame).where(Frame.filename.in_(names), latest()).order_by(Frame.filename)))
    # what waits or was not tried yet may still be good
    gone = sum(frame.state in (State.BAD, State.SKIPPED) for frame in now)
    if not gone or len(now) - gone >= minimum:
        return
    made.standing = Standing.REPLACED
    good = [frame for frame in now if frame.state == State.DONE]
    reason = f"{gone} of the {len(now)} frames of the one made before are bad now, a master needs {minimum}"
    columns = {"standing": Standing.BAD, "reason": reason, "n_inputs": len(good), "inputs": good}
    session.add(Master(kind=kind, code_version=__version__, **columns, **night._asdict()))


def release(session, row_id, master):
    """Let a master that is held be used, because that of another night agrees with it.

    Parameters
    ----------
    session : sqlalchemy.orm.Session
        An open session; the caller commits.
    row_id : int
        The one that may be held.
    master : Master
        The other one.
    """
    row = session.get(Master, row_id)
    if row is not None and row.standing is Standing.HELD:
        calibrations.judge(session, row, Standing.CURRENT, f"{row.reason}; {_agrees(master)}")


def _agrees(master):
    return f"the one of {master.day} agrees with it"


def _again(master):
    return (
        f"that night is reduced again by nrespipe reprocess --site {master.site} --from {master.day} --to {master.day}"
    )


def _read(path):
    """Read a master that another is held against; None where there is none, or none that can be read."""
    with suppress(MissingCalibration):
        return masters.read(path) if path else None
    return None


def _is_like(master, peer, recipe, spectrograph, flawed=False):
    """Whether nothing holds a master against another; or, where it may be as flawed, nothing but the other's flaws."""
    if peer is None:
        return False
    flaws = _holding(recipe.judge(peer, None, spectrograph)) if flawed else set()
    return _holding(recipe.judge(master, peer, spectrograph)) <= flaws


def _holding(judged):
    return {finding.name for finding in judged.findings if finding.verdict is Verdict.HELD}


def _numbered(judged):
    """Findings as the database keeps them."""
    return [
        {
            "name": finding.name,
            "value": float(finding.value) if math.isfinite(finding.value) else None,
            "usual": float(finding.usual),
            "worst": float(finding.worst),
            "verdict": str(finding.verdict),
        }
        for finding in judged.findings
    ]
