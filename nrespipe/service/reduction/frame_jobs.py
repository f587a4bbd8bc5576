"""Plan the reduction of one frame: choose its masters and its templates."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from nrespipe.analysis import frame_drawing
from nrespipe.database import measurements
from nrespipe.database.masters import calibrations, lineage
from nrespipe.database.tables import Frame, Master
from nrespipe.errors import Unavailable
from nrespipe.frames.quality import Quality
from nrespipe.frames.raw import Kind
from nrespipe.frames.reports import EarlierVelocities, MasterUse
from nrespipe.frames.spectrograph import Spectrograph
from nrespipe.frames.wavelength import DRIFT_SCATTER_MS
from nrespipe.service.masters import master_choice
from nrespipe.service.masters.master_choice import MasterFile
from nrespipe.service.reduction.template_choice import Candidate, candidates

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from nrespipe.service.assembly import Assembly


@dataclass(frozen=True)
class Job:
    """Everything that a process needs to reduce one frame.

    Attributes
    ----------
    frame_id
        Row of the frame.
    path
        The raw file.
    recipe
        Recipe of its kind.
    spectrographs
        Returns the spectrograph of a name.
    masters
        File of each master that is used.
    missing
        Why a master that it needs is not there; '' where all are.
    output
        Where products go.
    flags
        Quality flags that follow from the choice of masters.
    with_velocities
        Whether velocities are measured.
    templates
        Templates to choose from.
    drift_scatter_ms
        As in ``References`` [m / s].
    is_drawn
        Whether the frame is drawn.
    masters_used, earlier
        As in ``FrameReport``, for the drawing.
    """

    frame_id: int
    path: str
    recipe: ModuleType
    spectrographs: Callable[[str], Spectrograph]
    masters: Mapping[Kind, MasterFile]
    missing: str
    output: Path
    flags: Quality = Quality(0)
    with_velocities: bool = True
    templates: tuple[Candidate, ...] = ()
    drift_scatter_ms: float = DRIFT_SCATTER_MS
    is_drawn: bool = False
    masters_used: tuple[MasterUse, ...] = ()
    earlier: Mapping[int, EarlierVelocities] = field(default_factory=dict)


def plan(session: "Session", frame: Frame, assembly: "Assembly") -> Job:
    """Choose the masters of a frame, and its templates.

    Raises
    ------
    Unavailable
        If another version of the program has recorded a kind that this one does not know.
    """
    if frame.kind is None:
        kinds = ", ".join(map(str, Kind))
        raise Unavailable(
            f"{frame.filename}: this version of the program does not know its kind; expected one of {kinds}"
        )
    recipe = assembly.recipes[frame.kind]
    chosen, missing = master_choice.choose(session, frame, recipe, assembly)
    masters = [session.get_one(Master, file.row_id) for file in chosen.values()]
    is_far = any(abs(calibrations.distance_days(one, frame)) > calibrations.REACH_DAYS[one.kind] for one in masters)
    flags = Quality.OLD_CALIBRATION if is_far else Quality(0)
    if frame.kind is Kind.SCIENCE and lineage.unreviewed(session, masters):
        flags |= Quality.UNREVIEWED_MASTER
    job = Job(
        frame.id, frame.path, recipe, assembly.spectrographs, chosen, missing, assembly.output, flags,
        with_velocities=assembly.settings.do_rv,
    )  # fmt: skip
    if frame.kind is not Kind.SCIENCE:
        return job
    templates = candidates(session, assembly.output, frame.day)
    job = replace(job, templates=templates, drift_scatter_ms=measurements.drift_scatter_ms(session, frame))
    if not assembly.settings.do_draw:
        return job
    used, earlier = frame_drawing.masters_of(masters, frame), frame_drawing.earlier_velocities(session, frame)
    return replace(job, is_drawn=True, masters_used=used, earlier=earlier)
