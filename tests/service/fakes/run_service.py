"""A program of the service with the fake recipes, and in a hurry: WHAT OUTPUT [NAME]; settings in the environment."""

import sys
from dataclasses import replace
from pathlib import Path

import fake_recipes

from nrespipe import logs, settings
from nrespipe.database import claims, frames
from nrespipe.database.tables import Frame, Stacking
from nrespipe.service import assembly, daemon
from nrespipe.service.pace import Pace

PACE = Pace(sweep_s=0.3, lost_s=3.0, queued_s=20.0, quiet_s=0.3, margin_s=1.0, patience_s=20.0)

if __name__ == "__main__":
    what, output, *names = sys.argv[1:]
    given = settings.read()
    logs.configure("INFO")
    claims.SHORTEST_PAUSE_S = frames.SHORTEST_PAUSE_S = 0.3
    built = assembly.build(Path(output), given, fake_recipes.RECIPES, fake_recipes.spectrograph)
    built = replace(built, pace=PACE)
    if what == "work":
        daemon.work(built, names[0], [Frame, Stacking])
    else:
        getattr(daemon, what)(built)
