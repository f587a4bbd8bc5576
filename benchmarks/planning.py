"""What hosts, disks, database and broker have to do for many frames: a plan from measured inputs.

Run ``python benchmarks/planning.py --cache DIR``: DIR is the cache of ``benchmarks/speed.py``, which is filled where it
is empty. Each input is measured here: CPU time of each kind of frame and of its share of a master, bytes of each kind
of file, statements and transactions of a frame, what PostgreSQL and RabbitMQ do in a second on this machine. The plan
is arithmetic on them.
"""

import argparse
import shutil
import statistics
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import speed
import speed_measurements as measurements

sys.path[:0] = [str(speed.ROOT / "tests/plugins")]

#: Frames of each kind in a night of one spectrograph: an assumption, of the size of the nights of the archive.
NIGHT = {"bias": 10, "dark": 5, "flat": 10, "arc": 13, "science": 30}
#: Letter of each kind in the name of a raw frame.
LETTERS = {"bias": "b", "dark": "d", "flat": "w", "arc": "a", "science": "e"}
#: Cores of a host, and numbers of hosts.
CORES, HOSTS = 24, (1, 10)
FRAMES, NIGHTS_A_YEAR, SITES = 1_000_000, 365, 4
#: Messages of a frame: its announcement, and the notification of a worker.
MESSAGES = 2
_REPEAT, _MESSAGES = 3, 2000


@dataclass(frozen=True)
class Inputs:
    """Measured inputs, by kind of frame where there is a dict.

    Attributes
    ----------
    cpu_s, master_cpu_s
        CPU time of a frame, and of a frame's share of the master of ten frames [second].
    raw_mb, product_mb
        Size of a raw frame, and of the products of a frame [MB].
    master_mb
        Size of the masters of a night [MB].
    statements, transactions
        Of a frame in the database.
    frame_s
        Time of these for one connection to PostgreSQL [second].
    row_kb
        Size of all rows of a frame, with their indices, in PostgreSQL [kB].
    message_s
        Time to publish and acknowledge a stored message, one after the other [second].
    memory_mb, shared_mb
        Largest memory of a process for itself, and of the masters that all processes of a host share [MB].
    """

    cpu_s: dict[str, float]
    master_cpu_s: dict[str, float]
    raw_mb: dict[str, float]
    product_mb: dict[str, float]
    master_mb: float
    statements: float
    transactions: float
    frame_s: float
    row_kb: float
    message_s: float
    memory_mb: float
    shared_mb: float


def _mean_mb(paths):
    sizes = [path.stat().st_size for path in paths]
    return sum(sizes) / len(sizes) / 1e6 if sizes else 0.0


def _frame_cpu(assembled, kind):
    """Return the CPU time of a frame in a process that has reduced one before [second]."""
    from nrespipe.service.reduction import frame_jobs, frame_reduction

    def once():
        with assembled.sessions.begin() as session:
            frame = measurements._rows_of(session, measurements.FRAMES, kind)[0]
            job = frame_jobs.plan(session, frame, assembled)
        return measurements.timed(lambda: frame_reduction.reduce(job))[0]

    once()
    return statistics.median(once() for _ in range(_REPEAT))


def _master_cpu(cache, kind):
    """Return the CPU time of a master of ten frames, for one of them [second]."""
    (row,) = speed.measure("master", cache, kind, 10, speed.NIGHTS["dozen"][0]).values()
    return row["cpu"][0] / 10


def _database(cache, kept):
    """Return statements, transactions, time [second] and kB of a frame in PostgreSQL."""
    from servers import Postgres
    from sqlalchemy import event, text

    server = Postgres()
    kept.callback(server.remove)
    server.start()
    folder = Path(kept.enter_context(tempfile.TemporaryDirectory()))
    shutil.copytree(cache / "out", folder / "out", ignore=shutil.ignore_patterns(".unpacked"))
    source = measurements.opened(folder / "out")
    template, done = measurements._template(source.sessions.kw["bind"]), measurements._one_result(source)
    service = measurements.opened(folder / "out", server.create())
    engine = service.sessions.kw["bind"]
    measurements.fill(engine, template, 0, 1)
    with service.sessions.begin() as session:
        row_id = measurements._rows_of(session, measurements.FRAMES, "science")[0].id
    measurements._one_frame(service, row_id, done)
    counts = {"statement": 0, "commit": 0}
    event.listen(engine, "before_cursor_execute", lambda *_: counts.update(statement=counts["statement"] + 1))
    event.listen(engine, "commit", lambda *_: counts.update(commit=counts["commit"] + 1))
    took = []
    for _ in range(20):
        began = time.monotonic()
        measurements._one_frame(service, row_id, done)
        took.append(time.monotonic() - began)
    n_frames = next(len(rows) for table, rows in template if table.name == "frames")
    copies = 2000 // n_frames

    def size():
        with engine.connect() as connection:
            return connection.scalar(text("select pg_database_size(current_database())"))

    before = size()
    measurements.fill(engine, template, 1, 1 + copies)
    return (
        counts["statement"] / 20,
        counts["commit"] / 20,
        statistics.median(took),
        (size() - before) / (copies * n_frames) / 1e3,
    )


def _broker(kept):
    """Return the time to store and to acknowledge a message, one after the other [second]."""
    from kombu import Connection, Queue
    from servers import Rabbit

    server = Rabbit()
    kept.callback(server.remove)
    server.start()
    with Connection(server.create(), transport_options={"confirm_publish": True}) as connection:
        queue = Queue("planning", durable=True)(connection)
        queue.declare()
        producer = connection.Producer()
        began = time.monotonic()
        for number in range(_MESSAGES):
            producer.publish({"number": number}, routing_key=queue.name, delivery_mode=2)
        for _ in range(_MESSAGES):
            queue.get().ack()
        return (time.monotonic() - began) / _MESSAGES


def measure(cache):
    """Measure all inputs."""
    for name in ("frames", "dozen"):
        speed.prepare(cache, name, reduced=True)
    raw = cache / "archive"
    products = {kind: [] for kind in NIGHT}
    for kind, letter in LETTERS.items():
        stems = {path.name.split(".")[0][:-2] for path in raw.glob(f"*/*/*/raw/*-{letter}00.fits.fz")}
        made = [
            path for path in (cache / "out").glob("*/*/*/processed/*") if any(path.name.startswith(s) for s in stems)
        ]
        frames = {path.name.split(f"-{letter}")[0] for path in made}
        products[kind] = sum(path.stat().st_size for path in made) / 1e6 / len(frames) if frames else 0.0
    night = speed.NIGHTS["dozen"][0]
    with ExitStack() as kept:
        folder = Path(kept.enter_context(tempfile.TemporaryDirectory()))
        shutil.copytree(cache / "out", folder / "out", ignore=shutil.ignore_patterns(".unpacked"))
        assembled = measurements.opened(folder / "out")
        cpu_s = {kind: _frame_cpu(assembled, kind) for kind in NIGHT}
        memory = measurements.peak_mb()
        unpacked = sum(path.stat().st_size for path in (folder / "out" / ".unpacked").rglob("*")) / 1e6
        statements, transactions, frame_s, row_kb = _database(cache, kept)
        message_s = _broker(kept)
    return Inputs(
        cpu_s=cpu_s,
        master_cpu_s={kind: _master_cpu(cache, kind) if kind != "science" else 0.0 for kind in NIGHT},
        raw_mb={kind: _mean_mb(raw.glob(f"*/*/*/raw/*-{letter}00.fits.fz")) for kind, letter in LETTERS.items()},
        product_mb=products,
        master_mb=sum(p.stat().st_size for p in (cache / "out").glob(f"*/*/{night}/masters/*") if p.is_file()) / 1e6,
        statements=statements,
        transactions=transactions,
        frame_s=frame_s,
        row_kb=row_kb,
        message_s=message_s,
        memory_mb=memory,
        shared_mb=unpacked,
    )


def _of_a_frame(by_kind):
    """Return the mean of a night of a value of each kind of frame."""
    return sum(NIGHT[kind] * by_kind[kind] for kind in NIGHT) / sum(NIGHT.values())


def plan(inputs, cores):
    """Return what so many cores do, and what they ask of the rest, as pairs of words and text."""
    cpu_s = _of_a_frame(inputs.cpu_s) + _of_a_frame(inputs.master_cpu_s)
    rate = cores / cpu_s
    read_mb, written_mb = (
        _of_a_frame(inputs.raw_mb),
        _of_a_frame(inputs.product_mb) + inputs.master_mb / sum(NIGHT.values()),
    )
    return [
        ("frames an hour", f"{3600 * rate:,.0f}"),
        ("a night of one site", f"{sum(NIGHT.values()) / rate:.1f} s"),
        (f"{FRAMES:,} frames", f"{FRAMES / rate / 86400:.1f} days"),
        ("read from the archive", f"{rate * read_mb:.0f} MB/s"),
        ("written", f"{rate * written_mb:.0f} MB/s"),
        ("statements of the database", f"{rate * inputs.statements:.0f} /s"),
        ("transactions of the database", f"{rate * inputs.transactions:.0f} /s"),
        ("connections that are busy", f"{rate * inputs.frame_s:.2f}"),
        ("messages", f"{rate * MESSAGES:.0f} /s"),
        ("share of one channel of the broker", f"{100 * rate * MESSAGES * inputs.message_s:.1f} %"),
    ]


def totals(inputs):
    """Return what all frames and one host need, as pairs of words and text."""
    written_mb = _of_a_frame(inputs.product_mb) + inputs.master_mb / sum(NIGHT.values())
    return [
        ("raw frames", f"{FRAMES * _of_a_frame(inputs.raw_mb) / 1e6:.1f} TB"),
        ("products and masters", f"{FRAMES * written_mb / 1e6:.1f} TB"),
        ("database", f"{FRAMES * inputs.row_kb / 1e6:.1f} GB"),
        ("CPU", f"{FRAMES * (_of_a_frame(inputs.cpu_s) + _of_a_frame(inputs.master_cpu_s)) / 86400:.0f} core days"),
        (f"memory of {CORES} processes", f"{(CORES * inputs.memory_mb + inputs.shared_mb) / 1e3:.0f} GB"),
        ("nights in the archive", f"{FRAMES / sum(NIGHT.values()):,.0f}"),
        ("years of four sites", f"{FRAMES / sum(NIGHT.values()) / NIGHTS_A_YEAR / SITES:.1f}"),
    ]


def main():
    """Measure, and print inputs and plan."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cache", type=Path, required=True, metavar="DIR", help="cache of benchmarks/speed.py")
    inputs = measure(parser.parse_args().cache.resolve())
    print(f"{'a frame':<12}{'in a night':>12}{'CPU [s]':>10}{'master [s]':>12}{'raw [MB]':>10}{'products [MB]':>15}")
    for kind, count in NIGHT.items():
        columns = inputs.cpu_s[kind], inputs.master_cpu_s[kind], inputs.raw_mb[kind], inputs.product_mb[kind]
        print(f"{kind:<12}{count:>12}{columns[0]:>10.2f}{columns[1]:>12.2f}{columns[2]:>10.1f}{columns[3]:>15.1f}")
    print(f"masters of a night: {inputs.master_mb:.0f} MB, unpacked {inputs.shared_mb:.0f} MB; "
          f"a process: {inputs.memory_mb:.0f} MB")  # fmt: skip
    print(f"database, a frame: {inputs.statements:.0f} statements in {inputs.transactions:.0f} transactions, "
          f"{1e3 * inputs.frame_s:.0f} ms, {inputs.row_kb:.1f} kB; "
          f"a message: {1e3 * inputs.message_s:.2f} ms")  # fmt: skip
    plans = [plan(inputs, CORES * hosts) for hosts in HOSTS]
    print(f"\n{'plan':<40}" + "".join(f"{f'{hosts} x {CORES} cores':>18}" for hosts in HOSTS))
    for (words, _), *texts in zip(plans[0], *([text for _, text in one] for one in plans)):
        print(f"{words:<40}" + "".join(f"{text:>18}" for text in texts))
    print()
    for words, text in totals(inputs):
        print(f"{words:<40}{text:>18}")


if __name__ == "__main__":
    main()
