"""What the runs of one command share: taking frames and nights that nobody else has in hand, and finishing them."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

from nrespipe import __version__
from nrespipe.database import calibrations, stackings
from nrespipe.database.columns import Standing
from nrespipe.database.tables import Frame, Stacking
from nrespipe.service import acceptance, hold, kernels, reduction, stacking
from nrespipe.service.assembly import RECIPES, Assembly

#: How often to look whether another run has finished what it is doing [second].
POLL_S = 0.5


@dataclass(frozen=True)
class Crew:
    """What every part of a run works with.

    Attributes
    ----------
    assembly : Assembly
        What to work with.
    run : callable
        Runs a function on jobs, as ``workers.team`` gives it.
    hold : Hold
        Rows in the hands of this run.
    report : callable
        Shows progress: ``progress.bar`` or ``progress.lines``.
    """

    assembly: Assembly
    run: Callable
    hold: hold.Hold
    report: Callable

    @cached_property
    def kernels(self):
        """Compiled or None: the kernels, which all processes compile together before the first frame."""
        return kernels.prepare(self.run, self.report) if self.assembly.recipes is RECIPES else None

    def work(self, function, jobs):
        """Do some work as ``workers.team`` does, with kernels that are compiled.

        Parameters
        ----------
        function : callable
            What to do.
        jobs : iterable
            What to do it with.

        Returns
        -------
        iterator of (object, Outcome)
            Each job as it ends.
        """
        _ = self.kernels
        return self.run(function, jobs)


def reduce(crew, label, plans):
    """Reduce the frames that nobody else takes first.

    Parameters
    ----------
    crew : Crew
        What to work with.
    label : str
        For the progress.
    plans : sequence of (Job, int)
        What to do, and how often the frame had been tried when that was planned. Its masters are chosen once more when
        its turn comes: a run takes hours, and a person may have called one of them bad.

    Returns
    -------
    int
        How many frames that were.
    """
    if not plans:
        return 0
    sessions, new = crew.assembly.sessions, 0
    jobs = (_planned(crew, job.frame_id) for job, tries in plans if crew.hold.take(Frame, job.frame_id, tries))
    results = crew.work(reduction.reduce, jobs)
    with crew.report(label, len(plans)) as advance:
        for job, outcome in results:
            with sessions.begin() as session:
                kept = crew.hold.keeps(session, Frame, job.frame_id)
                frame = (
                    reduction.record(session, job, outcome, crew.assembly)
                    if kept
                    else session.get_one(Frame, job.frame_id)
                )
            new += 1
            advance(frame.filename, **_facts(outcome))
    return new


def _planned(crew, frame_id):
    with crew.assembly.sessions.begin() as session:
        return reduction.plan(session, session.get_one(Frame, frame_id), crew.assembly)


def stack(crew, kind, nights, version=__version__, since=None):
    """Make the masters of some nights, or wait until another run has made them.

    Parameters
    ----------
    crew : Crew
        What to work with.
    kind : Kind
        Of the masters.
    nights : sequence of Night
        Which; of each camera one after the other, because a master is judged by the one of the night before.
    version : str, optional
        Version of the program: what another version failed on is tried again.
    since : datetime, optional
        Masters that were made before are made again.
    """
    while nights:
        taken = _take(crew, kind, _first_of_each_camera(nights))
        nights, refused = [night for night in nights if night not in taken], []
        jobs = dict(_jobs(crew.assembly, kind, taken, version, since))
        if jobs:
            results = crew.work(stacking.combine, jobs.values())
            with crew.report(f"master {kind}", len(jobs)) as advance:
                for job, outcome in results:
                    with crew.assembly.sessions.begin() as session:
                        made = _finish(session, crew, kind, job.night, job, outcome)
                        refused += [job.night] * (made is not None and made.standing is Standing.REJECTED)
                    advance(f"{job.night.instrument} {job.night.day}", **_facts(outcome))
        with crew.assembly.sessions.begin() as session:
            for night in set(taken) - set(jobs):
                _finish(session, crew, kind, night)
            hold.bury(session)
        # once more, where it was one of its own masters that was at fault and there is another
        nights += refused
        if nights and not taken:
            time.sleep(POLL_S)


def _first_of_each_camera(nights):
    first = {}
    for night in sorted(nights, key=lambda night: night.day):
        first.setdefault(night._replace(site="", day=""), night)
    return list(first.values())


def _take(crew, kind, nights):
    """Return the nights whose master is ours to make: others may have some in hand."""
    with crew.assembly.sessions.begin() as session:
        rows = [(night, stackings.of(session, kind, night)) for night in nights]
    return [night for night, row in rows if crew.hold.take(Stacking, row.id, row.tries)]


def _jobs(assembly, kind, nights, version, since):
    with assembly.sessions.begin() as session:
        inputs = calibrations.inputs(session, kind)
        for night in nights:
            job = stacking.plan(session, kind, night, inputs.get(night, []), assembly, version, since)
            if job is not None:
                yield night, job


def _finish(session, crew, kind, night, job=None, outcome=None):
    """Write down what came of a job, or that there is none; return the row of the master."""
    row, made = stackings.of(session, kind, night), None
    if crew.hold.keeps(session, Stacking, row.id):
        # before the record, which may ask for another one
        stackings.finish(row)
        if job is not None:
            made = stacking.record(session, job, outcome)
        else:
            acceptance.retire(session, kind, night, crew.assembly.recipes[kind].MINIMUM)
    return made


def _facts(outcome):
    seconds = round((outcome.finished - outcome.started).total_seconds(), 2)
    facts = {"state": str(outcome.state), "seconds": seconds}
    return facts | ({"reason": outcome.reason} if outcome.reason else {})
