"""Choice of the masters that the reduction of a frame, or the making of a master, uses."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from types import ModuleType
from typing import TYPE_CHECKING, NamedTuple

from nrespipe.database.dialects import clock
from nrespipe.database.masters import calibrations, lineage
from nrespipe.database.tables import Frame, Master
from nrespipe.frames.raw import Kind

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from nrespipe.service.assembly import Assembly
    from nrespipe.settings import Settings


class MasterFile(NamedTuple):
    """File of a master that was chosen.

    Attributes
    ----------
    row_id
        Key of its row.
    path, md5
        File and its checksum.
    """

    row_id: int
    path: str
    md5: str


def choose(
    session: "Session", frame: Frame | Master, recipe: ModuleType, assembly: "Assembly"
) -> tuple[dict[Kind, MasterFile], str]:
    """Choose the masters that a recipe needs.

    Parameters
    ----------
    frame
        A frame, or a master that is to be made.
    recipe
        Its recipe, which names the kinds of masters that it needs.

    Returns
    -------
    chosen : dict of Kind to MasterFile
        File of each.
    missing : str
        Why others are not there; '' where all are. Of masters that need each other the first is described in full.
    """
    chosen: dict[Kind, MasterFile] = {}
    missing: list[Kind] = []
    far, future = _impatient(session, frame, assembly.settings), assembly.settings.future_masters
    mistrusted = lineage.suspects(session, frame)
    for kind in recipe.NEEDS:
        master = calibrations.nearest(session, kind, frame, far=far, future=future, without=mistrusted)
        master = master or calibrations.nearest(session, kind, frame, far=far, future=future)
        if master is None:
            missing.append(kind)
        else:
            chosen[kind] = MasterFile(master.id, str(assembly.output / master.path), master.md5)
    return chosen, _missing(session, frame, missing, assembly.recipes)


def _impatient(session: "Session", frame: Frame | Master, settings: "Settings") -> bool:
    """Whether a frame has waited for so long that a master far away in time is better than none."""
    if not isinstance(frame, Frame) or frame.kind is not Kind.SCIENCE:
        return False
    return clock(session) - frame.created > timedelta(days=settings.master_patience_days)


def _missing(
    session: "Session", frame: Frame | Master, kinds: Sequence[Kind], recipes: Mapping[Kind, ModuleType]
) -> str:
    """Return why masters are missing, without those whose frames only wait for another of these."""
    roots = [
        kind
        for kind in kinds
        if not set(recipes[kind].NEEDS) & set(kinds)
        or calibrations.count_candidates(session, kind, frame) < recipes[kind].MINIMUM
    ]
    if not roots:
        return ""
    first, *others = roots
    also = f"; there is no master {', '.join(others)} either" if others else ""
    return calibrations.why_none(session, first, frame, recipes[first].MINIMUM) + also
