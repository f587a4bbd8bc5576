"""Pieces of work for the tests of the processes."""

import os
import time
from pathlib import Path


def environment(name):
    return os.environ.get(name)


def process(_job):
    return os.getpid()


def die_at(job):
    if job == "death":
        os._exit(9)
    return job


def unpicklable(_job):
    return lambda: None


def take_time(marker):
    Path(marker).touch()
    time.sleep(0.5)
    return marker


def exceed(job):
    if job == "time":
        time.sleep(300)
    if job == "memory":
        held = []
        for _ in range(100):
            held.append(b"x" * 50_000_000)
            time.sleep(0.05)
    return job
