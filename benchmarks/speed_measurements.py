"""Measurements of ``benchmarks/speed.py``, each in a process of its own, which prints them as JSON.

``python benchmarks/speed_measurements.py NAME CACHE BEGAN [ARGUMENT...]``: NAME is a function of the table at the end,
CACHE has the raw frames and the reduced nights, BEGAN is the moment of the monotonic clock at which this process was
started. A row has the CPU seconds and the wall seconds of each repetition, the CPU seconds of the calibration loop
measured next to it, and the peak memory of the process in MB.
"""

import functools
import itertools
import json
import os
import resource
import shutil
import signal
import sys
import tempfile
import time
from collections import defaultdict
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from importlib import import_module
from pathlib import Path
from unittest import mock

from speed import COMMAND, NIGHTS, ROOT

sys.path[:0] = [str(ROOT / "tests/plugins")]

FRAMES, DOZEN, SIXTY = (NIGHTS[name][0] for name in ("frames", "dozen", "sixty"))
#: What a stellar frame does, and the functions of each step as the recipe and the service call them.
STEPS = {
    "read": ["files.raw.raw_file.read"],
    "masters": ["service.reduction.recipe_references.fetch"],
    "correction": ["engine.detector.correction.correct"],
    "traces": ["engine.orders.trace_shift.coarse", "engine.orders.trace_shift.measure"],
    "bleeding": ["engine.detector.bleeding.mark"],
    "scattered light": ["engine.extraction.scattered_light.subtract"],
    "extraction": ["engine.extraction.optimal_extraction.optimal"],
    "order numbers, drift": ["engine.wavelength.order_numbers.of_frame", "recipes.science.measure_drift"],
    "wavelengths": ["engine.wavelength.frame_wavelengths.compute"],
    "barycenter": ["engine.velocity.barycenter.midpoint", "engine.velocity.barycenter.at"],
    "velocity": ["engine.velocity.measurement.measure"],
    "stellar type": ["engine.star.stellar_type.estimate"],
    "activity": ["engine.star.activity.measure_all"],
    "products": ["files.products.frame_products.write", "service.reduction.frame_reduction.md5"],
}


def cpu_s():
    """Return the CPU seconds of this process and its children, user and system."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def peak_mb():
    """Return the largest memory that this process has had for itself [MB].

    Mapped files, the libraries and the unpacked masters, are in memory once for all processes and are left out.
    """
    status = Path("/proc/self/status").read_text(encoding="ascii")
    shared_kb = sum(int(line.split()[1]) for line in status.splitlines() if line.startswith("RssFile"))
    return (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - shared_kb) / 1024


def row(taken, loops):
    """Return the row of pairs of CPU and wall seconds."""
    cpu, wall = zip(*taken)
    return {"cpu": list(cpu), "wall": list(wall), "loop": list(loops), "peak_mb": peak_mb()}


@functools.cache
def _loop():
    """Return the calibration loop: sorts, copies and functions of numpy, and a compiled filter with branches."""
    import numba
    import numpy as np

    @numba.njit
    def smooth(values):
        for i in range(values.shape[0]):
            last = 0.0
            for j in range(values.shape[1]):
                last = 0.7 * last + values[i, j] if values[i, j] > 0.4 else 0.5 * last
                values[i, j] = last
        return values

    def run():
        values = (np.arange(1 << 21) * 0.6180339887498949 % 1).reshape(512, -1)
        for _ in range(6):
            values = np.sort(smooth(np.exp(-values)).T.copy(), axis=0).T / 3
            values += np.cumsum(values[::-1], axis=0) % 1
        return values

    run()
    return run


def loop_s():
    """Return the CPU seconds of the calibration loop, which is never changed: the unit of the baseline."""
    run = _loop()
    began = time.process_time()
    run()
    return time.process_time() - began


def timed(work):
    """Return the CPU and the wall seconds of a function."""
    cpu, wall = cpu_s(), time.monotonic()
    work()
    return cpu_s() - cpu, time.monotonic() - wall


def _repeated(work, repetitions):
    """Return the row of a function that runs several times, each after the calibration loop."""
    loops, taken = [loop_s()], []
    for _ in range(repetitions):
        taken.append(timed(work))
        loops.append(loop_s())
    return row(taken, [(one + other) / 2 for one, other in itertools.pairwise(loops)])


def loop(_cache, _began):
    """Measure the calibration loop alone."""
    return [loop_s() for _ in range(3)]


def opened(output, url=""):
    """Return the service on an output directory."""
    from nrespipe import logs
    from nrespipe.service import assembly
    from nrespipe.service.work import memory_guard
    from nrespipe.settings import Settings

    logs.configure("ERROR")
    # as the processes of the service do
    memory_guard.keep_freed_memory()
    # the drawing of a frame has a target of its own
    return assembly.build(Path(output), Settings(processes=0, log_level="ERROR", database_url=url, do_draw=False))


def _rows_of(session, day, kind):
    """Return the frames of a night."""
    from sqlalchemy import select

    from nrespipe.database.tables import Frame

    return list(session.scalars(select(Frame).where(Frame.day == day, Frame.kind == kind).order_by(Frame.filename)))


def stepwise(stack):
    """Wrap the functions of all steps; return the [CPU, wall, peak memory] of each, without the steps inside it."""
    spent, running = defaultdict(lambda: [0.0, 0.0, 0.0]), []

    def wrap(step, function):
        @functools.wraps(function)
        def wrapped(*arguments, **named):
            running.append([0.0, 0.0])
            cpu, wall = time.process_time(), time.monotonic()
            try:
                return function(*arguments, **named)
            finally:
                took, inner = (time.process_time() - cpu, time.monotonic() - wall), running.pop()
                of = spent[step]
                of[:] = of[0] + took[0] - inner[0], of[1] + took[1] - inner[1], peak_mb()
                if running:
                    running[-1][:] = running[-1][0] + took[0], running[-1][1] + took[1]

        return wrapped

    for step, paths in STEPS.items():
        for path in paths:
            module, name = path.rsplit(".", 1)
            module = import_module(f"nrespipe.{module}")
            stack.enter_context(mock.patch.object(module, name, wrap(step, getattr(module, name))))
    return spent


def frame(cache, began, name, kind, index, repetitions, steps):
    """Reduce one frame as the service does: in this new process, and then again."""
    from nrespipe.service.reduction import frame_jobs, frame_reduction

    assembled, index, repetitions = opened(f"{cache}/out"), int(index), int(repetitions)

    def reduce():
        with assembled.sessions.begin() as session:
            job = frame_jobs.plan(session, _rows_of(session, FRAMES, kind)[index], assembled)
        frame_reduction.reduce(job)

    with ExitStack() as stack:
        spent = stepwise(stack) if steps == "steps" else {}
        reduce()
        # what the process has used since its start: imports and the loading of the kernels belong to its first frame
        rows = {f"{name}, first": row([(cpu_s(), time.monotonic() - float(began))], [])}
        firsts, warm = {step: tuple(of) for step, of in spent.items()}, defaultdict(list)

        def again():
            spent.clear()
            reduce()
            for step, of in spent.items():
                warm[step].append(tuple(of[:2]))

        rows[f"{name}, warm"] = row_of_warm = _repeated(again, repetitions)
    rows[f"{name}, first"]["loop"] = row_of_warm["loop"][:1]
    if "masters" in firsts:
        first = row([firsts["masters"][:2]], row_of_warm["loop"][:1])
        rows["  masters, first"] = {**first, "peak_mb": firsts["masters"][2]}
    for step in STEPS:
        if warm[step]:
            # the peak so far, in the first frame: it shows which step needs the memory
            rows[f"  {step}"] = {**row(warm[step], row_of_warm["loop"]), "peak_mb": firsts[step][2]}
    return rows


def master(cache, _began, kind, count, day):
    """Make a master of so many frames with the masters of the cache."""
    from nrespipe.database.masters import calibrations
    from nrespipe.frames.raw import Kind
    from nrespipe.service.reduction import master_making

    assembled, kind, count = opened(f"{cache}/out"), Kind(kind), int(count)
    code = {Kind.BIAS: "b", Kind.DARK: "d", Kind.FLAT: "w", Kind.ARC: "a"}[kind]
    files = sorted(map(str, Path(cache, "archive").glob(f"*/*/{day}/raw/*-{code}00.fits.fz")))
    if kind in (Kind.FLAT, Kind.ARC):
        # of both pairs of fibers, which come one after the other
        files = files[: count // 2] + files[len(files) // 2 : len(files) // 2 + count - count // 2]
    with assembled.sessions.begin() as session:
        frames = _rows_of(session, DOZEN, kind)
        night = calibrations.night_of(frames[0])
        job = master_making.plan(session, kind, night, frames, assembled, since=datetime.now(UTC))
    before = loop_s()
    with tempfile.TemporaryDirectory() as folder:
        job = replace(job, frame_ids=tuple(range(count)), paths=tuple(files[:count]), output=Path(folder), earlier=())
        assert len(job.paths) == count, f"{len(job.paths)} of {count} frames of {kind}"
        taken = timed(lambda: master_making.combine(job))
    return {f"master {kind} of {count}": row([taken], [(before + loop_s()) / 2])}


def _shifted(values, columns, copy, span, foreign):
    """Return a row of a copy of the nights: other keys, other days, other names."""
    new = dict(values)
    for name in columns:
        if new[name] is None:
            continue
        if name in foreign:
            new[name] += copy * 100_000
        elif name.endswith("_mjd"):
            new[name] -= copy * span
        elif name == "day":
            new[name] = _earlier(new[name], copy * span)
        elif name in ("filename", "path"):
            for day in (FRAMES, DOZEN):
                new[name] = new[name].replace(day, _earlier(day, copy * span))
        elif name == "md5" and new[name]:
            new[name] = f"{copy:08x}{new[name][8:]}"
    return new


@functools.lru_cache(maxsize=64)
def _earlier(day, days):
    return f"{datetime.strptime(day, '%Y%m%d') - timedelta(days=days):%Y%m%d}"


def fill(engine, template, first, last):
    """Add copies of the rows of the cache, as nights before them: those from one number to another."""
    from nrespipe.database.tables.base import Row

    for copies in (range(k, min(k + 20, last)) for k in range(first, last, 20)):
        with engine.begin() as connection:
            for table, rows in template:
                foreign = {c.name for c in table.columns if c.foreign_keys or c.name == "id"}
                names = [c.name for c in table.columns]
                connection.execute(
                    table.insert(), [_shifted(one, names, k, 2, foreign) for k in copies for one in rows]
                )
    if engine.dialect.name == "postgresql":
        with engine.begin() as connection:
            for table in Row.metadata.sorted_tables:
                if "id" in table.columns:
                    number = f"pg_get_serial_sequence('{table.name}', 'id')"
                    connection.exec_driver_sql(
                        f"select setval({number}, (select coalesce(max(id), 1) from {table.name}))"
                    )
            connection.exec_driver_sql("analyze")


def _template(engine):
    """Return the rows of frames and masters, and of all that belongs to them, by table."""
    from sqlalchemy import select

    from nrespipe.database.tables.base import Row

    names = "frames masters attempts attempt_masters master_inputs master_parents products velocities drifts stackings"
    with engine.connect() as connection:
        found = [
            (table, [dict(one) for one in connection.execute(select(table)).mappings()])
            for table in Row.metadata.sorted_tables
            if table.name in names.split()
        ]
    return [(table, rows) for table, rows in found if rows]


def queries(cache, _began, most, with_postgres):
    """Measure the queries of one frame against the number of frames in the database."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        shutil.copytree(f"{cache}/out", folder / "out")
        source = opened(folder / "out")
        template, done = _template(source.sessions.kw["bind"]), _one_result(source)
        services = {"SQLite": source}
        if with_postgres == "postgres":
            from servers import Postgres

            server = Postgres()
            stack.callback(server.remove)
            server.start()
            services["PostgreSQL"] = opened(folder / "out", server.create())
            fill(services["PostgreSQL"].sessions.kw["bind"], template, 0, 1)
        return {
            name: measured
            for engine, service in services.items()
            for name, measured in _against_rows(service, engine, template, done, int(most))
        }


def _one_result(assembled):
    """Return the outcome of the reduction of one frame."""
    from nrespipe.service import outcome
    from nrespipe.service.reduction import frame_jobs, frame_reduction

    with assembled.sessions.begin() as session:
        job = frame_jobs.plan(session, _rows_of(session, FRAMES, "science")[0], assembled)
    return outcome.run(frame_reduction.reduce, job)


def _against_rows(assembled, engine, template, done, most):
    """Yield the name and the row of the queries of a frame, for more and more frames in the database."""
    n_frames = next(len(rows) for table, rows in template if table.name == "frames")
    with assembled.sessions.begin() as session:
        row_id = _rows_of(session, FRAMES, "science")[0].id
    copies, size = 1, 1000
    while size <= most:
        wanted = max(size // n_frames, 1)
        fill(assembled.sessions.kw["bind"], template, copies, wanted)
        copies = max(copies, wanted)
        _one_frame(assembled, row_id, done)
        measured = _repeated(lambda: _one_frame(assembled, row_id, done), 20)
        # the memory of this process is that of the reduction before
        yield f"queries of a frame, {engine}, {size} frames", {**measured, "peak_mb": None}
        size *= 10


def _one_frame(assembled, row_id, done):
    """Acquire the row of a frame, plan its reduction, and record the outcome."""
    from nrespipe.database.tables import Frame
    from nrespipe.service.reduction import frame_jobs, frame_results
    from nrespipe.service.work import leases, owners

    with assembled.sessions.begin() as session:
        tries = session.get_one(Frame, row_id).tries
    lease = leases.claim(assembled, Frame, row_id, owners.this_process("speed"), tries)
    job = lease.write(lambda session, row: frame_jobs.plan(session, row, assembled))
    lease.finish(done, lambda session, _row: frame_results.record_result(session, job, done, assembled))


def service(cache, _began):
    """Reduce a night of sixty stars by the programs of the service, with a broker and a database of their own."""
    from servers import Postgres, Rabbit
    from service_rig import Rig

    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    stars, before = sorted(Path(cache, "archive").glob(f"*/*/{SIXTY}/raw/*-e00.fits.fz")), loop_s()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        rabbit, postgres = Rabbit(), Postgres()
        for server in (rabbit, postgres):
            stack.callback(server.remove)
            server.start()
        rig = Rig(stack, folder / "out", postgres.create(), rabbit.create())
        # the masters of the nights before
        shutil.copytree(f"{cache}/out", rig.output)
        fill(rig.sessions.kw["bind"], _template(opened(rig.output).sessions.kw["bind"]), 0, 1)
        words = [["listen"], ["schedule"], *(["work", "--processes", "1", "--name", f"worker{i}"] for i in (1, 2))]
        variables = {"NRES_TIME_LIMIT": "600", "NRES_LOG_LEVEL": "WARNING"}
        programs = [rig.launch([sys.executable, "-c", COMMAND, *one], one[-1], **variables) for one in words]
        wall = _sixty(rig, stars)
        used = [_ended(program) for program in programs]
    cpu = sum(one.ru_utime + one.ru_stime for one in used)
    measured = row([(cpu, wall)], [(before + loop_s()) / 2])
    return {"service, 60 frames": {**measured, "peak_mb": max(one.ru_maxrss for one in used) / 1024}}


def _sixty(rig, stars):
    """Announce the stars; return the seconds from the first message to the last frame done."""
    from sqlalchemy import select

    from nrespipe.database.tables import Node

    rig.until(lambda: len(rig.all(select(Node.name))) == 2)
    done = rig.states()["done"] + len(stars)
    began = time.monotonic()
    rig.announce(*stars)
    rig.until(lambda: rig.states()["done"] == done, seconds=3000.0, pause=0.5)
    return time.monotonic() - began


def _ended(program):
    """Ask a program to stop; return what it and its children have used."""
    os.kill(program.pid, signal.SIGTERM)
    _, status, used = os.wait4(program.pid, 0)
    program.returncode = os.waitstatus_to_exitcode(status)
    return used


if __name__ == "__main__":
    measure = {one.__name__: one for one in (loop, frame, master, queries, service)}[sys.argv[1]]
    print(json.dumps(measure(*sys.argv[2:])))
