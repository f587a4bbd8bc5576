"""A fortnight at two sites in raw frames, with bad calibrations among the good ones, through the real service.

Run ``python benchmarks/fortnight.py --work DIR``: it simulates what is not yet in DIR (10 MB and 2 s a frame), reduces
morning after morning as ``nrespipe night`` does, and compares every master that a star was reduced with with the one
that a careful person would have taken, who knows only what was damaged. No star may be left with the flag of a master
that needs review, unless it is of the last night. It ends with 1 where anything differs. It takes about an hour of one
processor; ``--short`` has nearly all the damages in seven nights and a quarter of it.
"""

import argparse
import shutil
import sys
from pathlib import Path

from damaged_nights import fortnight, short, simulate
from sqlalchemy import select

from nrespipe import logs
from nrespipe.database.states import State
from nrespipe.database.tables import Frame, Master
from nrespipe.files import plain_table
from nrespipe.frames.quality import Quality
from nrespipe.frames.raw import Kind
from nrespipe.service import assembly
from nrespipe.service.batch import night as nights
from nrespipe.service.batch import simulation
from nrespipe.service.operations import status
from nrespipe.settings import Settings
from nrespipe.simulator import bench as benches

#: The service is down in the morning after this night; its frames arrive with those of the next one.
DOWN = 10
CALIBRATIONS = (Kind.BIAS, Kind.DARK, Kind.FLAT, Kind.ARC)


def arrive(night, archive):
    """Let the frames of a night appear in the archive."""
    folder = archive.joinpath(*night.folder.parts[-4:])
    folder.mkdir(parents=True)
    for shot in night.shots:
        (folder / f"{shot.filename}.fits.fz").hardlink_to(night.folder / f"{shot.filename}.fits.fz")


def reduce(work, every):
    """Simulate and reduce nights, morning after morning; return the service."""
    for folder in ("archive", "out"):
        shutil.rmtree(work / folder, ignore_errors=True)
    service = assembly.build(work / "out", Settings(processes=0, log_level="ERROR"))
    last = max(night.number for night, _ in every)
    for number in range(1, last + 1):
        for night, bench in every:
            if night.number == number:
                simulate(night, bench)
                arrive(night, work / "archive")
        if number != DOWN or number == last:
            summary = nights.reduce_all(service, work / "archive")
            told = ", ".join(f"{count} {state}" for state, count in sorted(summary.counts.items()))
            print(f"morning {number}: {summary.new} frames; {told}", flush=True)
    return service


def morning(night):
    """Tell in which morning the frames of a night are reduced."""
    return night.number + (night.number == DOWN)


def careful(night, kind, every):
    """Return the day of the master that a careful person would take for the star of a night.

    That of the same night, if there are good frames of it; else the nearest of those that were there in that morning.
    """
    if night.sound(kind):
        return night.day
    others = [
        other
        for other in every
        if other.site == night.site and morning(other) <= morning(night) and other.sound(kind) and other is not night
    ]
    return min(others, key=lambda other: (abs(other.number - night.number), other.number)).day


def check_star(session, night, every, output, velocities):
    """Return the row of the table for the star of a night, and what is wrong with it."""
    name = next(shot.filename for shot in night.shots if shot.scene.kind is Kind.SCIENCE)
    star = session.scalars(select(Frame).where(Frame.filename == name)).one()
    wanted = {kind: careful(night, kind, every) for kind in CALIBRATIONS}
    used = {master.kind: master.day for master in star.attempts[-1].masters} if star.attempts else {}
    wrong = [] if star.state is State.DONE else [f"{name} is {star.state}: {star.reason}"]
    told = status.why(session, name, output)
    for kind, day in wanted.items():
        if used.get(kind) != day:
            wrong.append(f"{name}: reduced with the {kind} of {used.get(kind)}, not with that of {day}")
        reason = "of the same night" if day == night.day else "the nearest"
        if not any(f"{kind} of {day}" in line and reason in line for line in told):
            wrong.append(f"{name}: why does not explain the {kind} of {day}")
    if Quality.UNREVIEWED_MASTER in Quality(star.quality) and night.number != max(other.number for other in every):
        wrong.append(f"{name}: flagged for a master that the next night must have accepted")
    velocity = velocities[name]
    if not velocity.agrees:
        wrong.append(f"{name}: {' '.join(velocity.cells())}")
    what = [damage.what for damage in night.damages]
    what += ["bench moved by 2.5 px"] * night.is_bumped + ["late"] * (night.number == DOWN)
    others = [f"{kind} of {used.get(kind, '')[4:]}" for kind in wanted if used.get(kind) != night.day]
    cells = [night.site, night.day[4:], str(star.state), ", ".join(others) or "own", *velocity.cells()[-3:-1]]
    return [*cells, "; ".join(what)], wrong


def check_masters(session, every):
    """Return what is wrong with the inputs of the masters."""
    broken = set().union(*(night.broken for night in every))
    of = {(night.site, night.day): night for night in every}
    wrong = []
    for master in session.scalars(select(Master).where(Master.path != "")):
        names = {frame.filename for frame in master.inputs}
        title = f"{master.kind} of {master.site} {master.day}"
        wrong += [f"{title}: {name} is in it" for name in sorted(names & broken)]
        missed = of[master.site, master.day].sound(master.kind) - names
        wrong += [f"{title}: {name} is good and not in it" for name in sorted(missed)]
    return wrong


def check(service, every):
    """Print the table; return what is wrong."""
    velocities = {
        row.filename: row
        for night in every
        for row in simulation.compare(service.sessions, night.folder / "velocities.csv")
    }
    with service.sessions.begin() as session:
        rows, faults = zip(*(check_star(session, night, every, service.output, velocities) for night in every))
        wrong = [fault for found in faults for fault in found] + check_masters(session, every)
        said = [f"{m.kind} of {m.site} {m.day}, {m.standing}: {m.reason}" for m in session.scalars(select(Master))
                if m.reason]  # fmt: skip
    heads = ["site", "night", "star", "masters of other nights", "error", "off by", "what was damaged"]
    print("\n".join(plain_table.aligned([heads, *rows])))
    print("\nwhat was said of masters:", *said, sep="\n  ")
    return wrong


def main():
    """Read the command line, simulate, reduce and check."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, required=True, help="Where raw frames are kept and products go.")
    parser.add_argument("--nights", type=int, default=14)
    parser.add_argument("--sites", default="lsc,elp")
    parser.add_argument("--short", action="store_true", help="The same damages in seven nights.")
    given = parser.parse_args()
    logs.configure("ERROR")
    benched = [benches.build(simulation.spectrograph_at(site)) for site in given.sites.split(",")]
    work = given.work.resolve() / ("short" if given.short else "long")
    every = short(work, benched) if given.short else fortnight(work, benched, given.nights)
    service, every = reduce(work, every), [night for night, _ in every]
    wrong = check(service, every)
    print("", *(wrong or ["every star has the masters that a careful person would have taken"]), sep="\n")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
