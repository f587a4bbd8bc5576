"""What was found on each camera of a new site: gathered, and written as a document."""

import os
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from sqlalchemy import select
from sqlalchemy.orm import Session

from nrespipe.analysis import master_drawing, site_advice
from nrespipe.database.frames import latest
from nrespipe.database.states import USABLE, State
from nrespipe.database.tables import Frame, Master
from nrespipe.engine.orders import trace
from nrespipe.files import layout, master_files
from nrespipe.files.disk import temporary_path
from nrespipe.frames.raw import Kind
from nrespipe.frames.reports import CameraReport

if TYPE_CHECKING:
    from nrespipe.service.assembly import Assembly

KINDS = (Kind.BIAS, Kind.DARK, Kind.FLAT, Kind.ARC)
_ALL_THERE = (
    "all masters are there: reduce standard stars, and compare `nrespipe velocities` with what is known of them"
)


def gather(session: Session, assembly: "Assembly", site: str, days: Collection[str] = ()) -> list[CameraReport]:
    """Look at the masters of each camera of a site.

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
    known = select(Frame.instrument, Frame.camera).where(Frame.site == site, Frame.instrument != "", latest())
    places = sorted(map(tuple, session.execute(known.distinct())))
    return [_camera(session, assembly, (site, *place), days) for place in places]


def write(reports: Sequence[CameraReport], output: Path, site: str, others: Sequence[str] = ()) -> Path:
    """Write what was found as a document.

    Parameters
    ----------
    reports
        One for each camera; none makes a document that says so.
    site
        ``lsc`` ...
    others
        What is told of frames that are no calibrations.

    Returns
    -------
    Path
        The document (PDF); the same reports always give the same bytes.
    """
    # what draws is slow to load, and no other command needs it
    from nrespipe.plots import site as plots
    from nrespipe.plots import words

    pages = [page for report in reports for page in plots.pages(report)]
    pages += words.pages(f"{site}: other frames that are of no use", others) if others else []
    path = layout.start_path(output, site)
    path.parent.mkdir(parents=True, exist_ok=True)
    # the kind of a drawing is told by the end of its name
    partial = temporary_path(path).with_suffix(".pdf")
    master_drawing.save(
        pages or words.pages(site, ["no raw frame of this site was found"]), partial, f"start of {site}"
    )
    os.replace(partial, path)
    return path


def _camera(session, assembly, place, days):
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
    advice = []
    for kind in KINDS:
        here = (rows[kind], made[kind], assembly.judge(made[kind], None, spectrograph)) if kind in made else None
        more, further = site_advice.of(session, kind, place, assembly.recipes[kind], here)
        told, advice = told + more, advice + further
    numbering = _numbering(made[Kind.FLAT].traces, spectrograph) if Kind.FLAT in made else {}
    if numbering:
        told += ["numbers of the orders:", f"  {_why_these(numbering, made)}"]
    advice.append("then run `nrespipe site start` again" if missing else _ALL_THERE)
    looks = ()
    if {Kind.BIAS, Kind.DARK, Kind.FLAT} <= set(made):
        # what compiles kernels is slow to load, and the other commands do not need it
        from nrespipe.analysis import flat_looks

        looks = flat_looks.gather(rows[Kind.FLAT], made, spectrograph)
    arcs = _arcs(rows[Kind.ARC]) if Kind.ARC in made else ()
    return CameraReport(" ".join(place), tuple(told), tuple(advice), made, looks, numbering, arcs)


def _row(session, kind, place, days):
    """Row of the last master of a kind that may be used."""
    site, instrument, camera = place
    query = select(Master).filter_by(kind=kind, site=site, instrument=instrument, camera=camera)
    query = query.where(Master.standing.in_(USABLE))
    if days:
        query = query.where(Master.day.in_(days))
    return session.scalar(query.order_by(Master.mean_mjd.desc()).limit(1))


def _numbering(traces, spectrograph):
    middle = traces.centers[:, :, traces.centers.shape[2] // 2]
    upward = tuple(fiber for fiber in spectrograph.fibers.upward if fiber in traces.fibers)
    rows = np.stack([middle[traces.fibers.index(fiber)] for fiber in upward])
    if len(upward) < 2 or rows.shape[1] < 5:
        return {}
    return trace.numbering_costs(trace.highest_fiber(rows, upward, spectrograph.fibers.upward), spectrograph)


def _why_these(numbering, made):
    first = int(made[Kind.FLAT].traces.orders[0])
    other = min((number for number in numbering if number != first), key=numbering.get)
    text = (
        f"the lowest is {first}: its distances deviate from the pattern by {numbering[first]:.1f} (squared), "
        f"if it were {other} by {numbering[other]:.1f}"
    )
    if Kind.ARC in made:
        added = int(made[Kind.ARC].solution.orders[0]) - first
        text += f"; the lamp adds {added:+d}" if added else "; the lines of the lamp agree"
    return text


def _arcs(row):
    """When each arc was taken, and by fiber where its lines lie."""
    found = []
    for frame in row.inputs:
        measured = next((a.measurements for a in reversed(frame.attempts) if a.outcome is State.DONE), {})
        places = {fiber: measured.get(f"lines_fiber{fiber}_px") for fiber in range(3)}
        found.append((frame.start_mjd, {fiber: x for fiber, x in places.items() if x is not None}))
    return tuple(sorted(found, key=lambda pair: pair[0]))
