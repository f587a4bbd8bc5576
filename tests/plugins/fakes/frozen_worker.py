"""A worker that is stopped within a transaction, after its first statement: OUTPUT DATABASE_URL ROW take|record."""

import os
import signal
import sys
from dataclasses import replace
from pathlib import Path

import fake_recipes

from nrespipe import logs
from nrespipe.database.administration import connection
from nrespipe.database.tables import Frame
from nrespipe.database.work import claims
from nrespipe.service import assembly
from nrespipe.service.reduction import frame_results
from nrespipe.service.time_limits import Pace
from nrespipe.service.work import execution
from nrespipe.settings import Settings

#: What is done last before it stops.
STATEMENTS = {"take": (claims, "claim"), "record": (frame_results, "record_result")}


def stopping(work):
    """Do something, and stop this process the first time that it was done."""
    done = []

    def run(*arguments, **others):
        result = work(*arguments, **others)
        if not done:
            done.append(True)
            os.kill(os.getpid(), signal.SIGSTOP)
        return result

    return run


if __name__ == "__main__":
    logs.configure("INFO")
    output, database_url, row, where = sys.argv[1:]
    connection.LONGEST_SILENCE_S = 1.0
    settings = Settings(processes=0, database_url=database_url, time_limit_s=1.0)
    built = assembly.build(Path(output), settings, fake_recipes.RECIPES, fake_recipes.spectrograph, fake_recipes.judge)
    module, name = STATEMENTS[where]
    setattr(module, name, stopping(getattr(module, name)))
    execution.execute(replace(built, pace=Pace(margin_s=0.0, patience_s=0.5)), Frame, int(row), "frozen")
