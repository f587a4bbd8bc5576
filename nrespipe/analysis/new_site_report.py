"""Report of a new site: gather the findings about each camera, and write them as a document."""

import os
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from sqlalchemy import select
from sqlalchemy.orm import Session

from nrespipe.analysis import master_drawing, new_site_advice
from nrespipe.database.states import USABLE, State
from nrespipe.database.tables import Frame, Master
from nrespipe.engine.orders import trace
from nrespipe.files import layout, master_files
from nrespipe.files.atomic_files import temporary_path
from nrespipe.frames.masters import Arc, Bias, Dark, Flat
from nrespipe.frames.raw import Kind
from nrespipe.frames.reports import CameraReport, FlatLook

if TYPE_CHECKING:
    from nrespipe.frames.spectrograph import Spectrograph
    from nrespipe.frames.traces import Traces
    from nrespipe.service.assembly import Assembly

KINDS = (Kind.BIAS, Kind.DARK, Kind.FLAT, Kind.ARC)
_ALL_THERE = (
    "all masters are there: reduce standard stars, and compare `nrespipe velocities` with what is known of them"
)


def gather(session: Session, assembly: "Assembly", site: str, days: Collection[str] = ()) -> list[CameraReport]:
    """Return the findings about the masters of each camera of a site.

    Parameters
    ----------
    site
        ``lsc`` ...
    days
        Only masters of these nights; all if empty.

    Returns
    -------
    list of CameraReport
        By spectrograph and camera.
    """
    known = select(Frame.instrument, Frame.camera).where(Frame.site == site, Frame.instrument != "", Frame.is_latest())
    places = sorted((instrument, camera) for instrument, camera in session.execute(known.distinct()).all())
    return [_camera(session, assembly, (site, *place), days) for place in places]


def write(reports: Sequence[CameraReport], output: Path, site: str, others: Sequence[str] = ()) -> Path:
    """Write the findings as a document.

    Parameters
    ----------
    reports
        One for each camera; none makes a document that says so.
    site
        ``lsc`` ...
    others
        Lines about frames that are no calibrations.

    Returns
    -------
    Path
        The document (PDF); the same reports always give the same bytes.
    """
    # matplotlib is slow to load, and no other command needs it
    from nrespipe.plots import new_site as plots
    from nrespipe.plots import page

    pages = [drawing for report in reports for drawing in plots.pages(report)]
    pages += page.of_text(f"{site}: other frames that are of no use", others) if others else []
    path = layout.start_path(output, site)
    path.parent.mkdir(parents=True, exist_ok=True)
    # matplotlib chooses the format by the suffix
    partial = temporary_path(path).with_suffix(".pdf")
    master_drawing.save(
        pages or page.of_text(site, ["no raw frame of this site was found"]), partial, f"start of {site}"
    )
    os.replace(partial, path)
    return path


def _camera(session: Session, assembly: "Assembly", place: tuple[str, str, str], days: Collection[str]) -> CameraReport:
    _, instrument, _ = place
    try:
        spectrograph = assembly.spectrographs(instrument)
    except KeyError:
        said = (f"no table describes a spectrograph {instrument}",)
        return CameraReport(" ".join(place), said, ("give a table of it with `nrespipe site start --table`",))
    except (OSError, ValueError) as error:
        said = (f"the table of {instrument} cannot be used: {error}",)
        return CameraReport(" ".join(place), said, ("mend it, or give another with `nrespipe site start --table`",))
    rows = {kind: row for kind in KINDS if (row := _row(session, kind, place, days)) is not None}
    made = {kind: master_files.read(assembly.output / row.path) for kind, row in rows.items()}
    missing = [str(kind) for kind in KINDS if kind not in made]
    told = [f"missing: {', '.join(missing)}" if missing else "there is a master of every kind"]
    advice: list[str] = []
    for kind in KINDS:
        here = (rows[kind], made[kind], assembly.judge(made[kind], None, spectrograph)) if kind in made else None
        more, further = new_site_advice.of(session, kind, place, assembly.recipes[kind], here)
        told, advice = told + more, advice + further
    flat, arc = made.get(Kind.FLAT), made.get(Kind.ARC)
    numbering = _numbering(flat.traces, spectrograph) if isinstance(flat, Flat) else {}
    if numbering and isinstance(flat, Flat):
        told += ["numbers of the orders:", f"  {_why_these(numbering, flat, arc)}"]
    advice.append("then run `nrespipe site start` again" if missing else _ALL_THERE)
    looks: tuple[FlatLook, ...] = ()
    if {Kind.BIAS, Kind.DARK, Kind.FLAT} <= set(made):
        # the engine compiles kernels and is slow to load; the other commands do not need it
        from nrespipe.analysis import new_site_flats

        looks = new_site_flats.gather(rows[Kind.FLAT], made, spectrograph)
    arcs = _arcs(rows[Kind.ARC]) if Kind.ARC in made else ()
    return CameraReport(" ".join(place), tuple(told), tuple(advice), made, looks, numbering, arcs)


def _row(session: Session, kind: Kind, place: tuple[str, str, str], days: Collection[str]) -> Master | None:
    """Return the row of the last master of a kind that may be used."""
    site, instrument, camera = place
    query = select(Master).filter_by(kind=kind, site=site, instrument=instrument, camera=camera)
    query = query.where(Master.standing.in_(USABLE))
    if days:
        query = query.where(Master.day.in_(days))
    return session.scalar(query.order_by(Master.mean_mjd.desc()).limit(1))


def _numbering(traces: "Traces", spectrograph: "Spectrograph") -> dict[int, float]:
    middle = traces.centers[:, :, traces.centers.shape[2] // 2]
    upward = tuple(fiber for fiber in spectrograph.fibers.upward if fiber in traces.fibers)
    rows = np.stack([middle[traces.fibers.index(fiber)] for fiber in upward])
    if len(upward) < 2 or rows.shape[1] < 5:
        return {}
    return trace.numbering_costs(trace.highest_fiber(rows, upward, spectrograph.fibers.upward), spectrograph)


def _why_these(numbering: Mapping[int, float], flat: Flat, arc: "Bias | Dark | Flat | Arc | None") -> str:
    first = int(flat.traces.orders[0])
    other = min((number for number in numbering if number != first), key=numbering.__getitem__)
    text = (
        f"the lowest is {first}: its distances deviate from the pattern by {numbering[first]:.1f} (squared), "
        f"if it were {other} by {numbering[other]:.1f}"
    )
    if isinstance(arc, Arc):
        added = int(arc.solution.orders[0]) - first
        text += f"; the lamp adds {added:+d}" if added else "; the lines of the lamp agree"
    return text


def _arcs(row: Master) -> tuple[tuple[float, dict[int, float]], ...]:
    """Return the start of each arc [MJD], and by fiber the mean position of its lines [pixel]."""
    found = []
    for frame in row.inputs:
        measured = next((a.measurements for a in reversed(frame.attempts) if a.outcome is State.DONE), {})
        places = {fiber: measured.get(f"lines_fiber{fiber}_px") for fiber in range(3)}
        if frame.start_mjd is None:
            continue
        found.append((frame.start_mjd, {fiber: x for fiber, x in places.items() if x is not None}))
    return tuple(sorted(found, key=lambda pair: pair[0]))
