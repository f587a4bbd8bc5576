"""A day of traffic through the real service, with faults and hostile messages at random moments of a seed.

Run ``python benchmarks/traffic.py``: RabbitMQ and PostgreSQL of its own, a listener, two workers and a scheduler, with
recipes that take no time. Raw frames of two spectrographs come all day, with a message that nobody can use after each,
and every half an hour something breaks (``tests/plugins/faults.py``); a seed decides when and what. A day is played in
20 minutes; ``--hours`` and ``--speed`` choose others. At the end every frame must have one result or one reason, every
product the checksum that the database has, and no program may have ended but by the hand of a fault. It ends with 1
otherwise.
"""

import argparse
import random
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / place) for place in ("tests/plugins", "tests/plugins/fakes")]

from amqp.exceptions import AMQPError
from faults import FAULTS, World, hostile
from kombu.exceptions import KombuError
from servers import Postgres, Rabbit
from service_rig import Rig
from small_service import Archive
from sqlalchemy import func, select

from nrespipe.database.tables import Attempt, Frame

#: Frames that come in an hour: of a night with four spectrographs, and of an hour of calibrations.
FRAMES_AN_HOUR = 40
#: Something breaks so often [hour].
FAULT_EVERY_H = 0.5
#: What frames of a fault there are.
NUMBER = 4
WORDS = ("A", "A", "A", "A", "SLOW", "SLOW", "HOT", "BAD", "CRASH")


class SharedArchive(Archive):
    """An archive into which two threads write."""

    def __init__(self, root):
        super().__init__(root)
        self._lock = threading.Lock()

    def add(self, *arguments, **others):
        """Write one raw file and return its path."""
        with self._lock:
            return super().add(*arguments, **others)


def traffic(world, hours, speed, seed, stop):
    """Bring frames and hostile messages at the times of a day, whatever breaks meanwhile."""
    rng, begun = random.Random(seed), time.monotonic()
    moments = sorted(rng.uniform(0, 3600 * hours) for _ in range(int(FRAMES_AN_HOUR * hours)))
    for moment in moments:
        if stop.wait(max(begun + moment / speed - time.monotonic(), 0)):
            return
        code = rng.choice("bdwaeeee")
        objects = {"e": f"STAR {rng.choice(WORDS)}&thar&none", "w": "tung&tung&none", "a": "thar&thar&none"}.get(
            code, ""
        )
        site, camera = rng.choice([("lsc", "fa09"), ("elp", "fa17")])
        path = world.archive.add(code, objects, site=site, camera=camera)
        patiently(lambda path=path: world.announce(path))
        patiently(lambda: world.rig.publish(rng.choice(hostile(rng))))


def patiently(send):
    """Send a message as an archive does: again, while the broker is away."""
    while True:
        try:
            return send()
        except (OSError, AMQPError, KombuError):
            time.sleep(0.5)


def play(world, hours, speed, seed):
    """Play the day; return how often each fault happened."""
    rng, stop, begun, struck = random.Random(seed + 1), threading.Event(), time.monotonic(), Counter()
    # the seed decides which, and each has its turn before one comes again
    turns = []
    with ThreadPoolExecutor(1) as beside:
        arrivals = beside.submit(traffic, world, hours, speed, seed, stop)
        try:
            while not arrivals.done():
                if not turns:
                    turns = rng.sample(FAULTS, len(FAULTS))
                fault = turns.pop()
                fault(world, NUMBER)
                struck[fault.__name__] += 1
                print(f"{speed * (time.monotonic() - begun) / 3600:6.2f} h  {fault.__name__}", flush=True)
                time.sleep(rng.expovariate(speed / (3600 * FAULT_EVERY_H)))
        except BaseException:
            stop.set()
            raise
        # what stopped the traffic stops the benchmark
        arrivals.result()
    return struck


def main():
    """Play a day and tell what is left of it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--hours", type=float, default=24.0)
    parser.add_argument("--speed", type=float, default=72.0, help="hours of traffic in an hour")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    # the servers end with it
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        rabbit, postgres = Rabbit(), Postgres()
        for server in (rabbit, postgres):
            stack.callback(server.remove)
            server.start()
        rig = Rig(stack, folder / "out", postgres.create(), rabbit.create())
        world = World(rig, SharedArchive(folder / "archive"), rabbit, postgres, given.seed)
        # a fault waits until nothing waits, and stars wait for masters of their camera
        before = set(world.archive.root.rglob("*.fits"))
        world.archive.calibrations(site="elp", camera="fa17")
        world.announce(*set(world.archive.root.rglob("*.fits")) - before)
        world.quiet()
        begun = time.monotonic()
        struck = play(world, given.hours, given.speed, given.seed)
        world.quiet()
        # better masters that come later are a reason to reduce a frame again
        world.check(once=False)
        with rig.sessions.begin() as session:
            ends = session.execute(select(Attempt.outcome, func.count()).group_by(Attempt.outcome)).all()
            frames = session.scalar(select(func.count()).select_from(Frame))
        print(f"{given.hours:g} hours in {time.monotonic() - begun:.0f} s, seed {given.seed}: {frames} frames")
        print("frames: " + ", ".join(f"{count} {state}" for state, count in sorted(world.count().items())))
        print("attempts: " + ", ".join(f"{count} {state}" for state, count in sorted(ends)))
        print("faults: " + ", ".join(f"{count} {name}" for name, count in sorted(struck.items())))
        print("every frame has one result or one reason, every product its checksum; no program ended by itself")


if __name__ == "__main__":
    main()
