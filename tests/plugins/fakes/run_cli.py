"""The program with the fake recipes, and in a hurry: the words of a command line; settings in the environment."""

from dataclasses import replace

import fake_recipes

from nrespipe import cli
from nrespipe.database import breakers
from nrespipe.database.administration import connection
from nrespipe.database.work import attempts, releases
from nrespipe.service import assembly
from nrespipe.service.time_limits import Pace

PACE = Pace(
    sweep_s=0.15, lost_s=3.0, queued_s=20.0, quiet_s=0.2, past_s=0.2, margin_s=1.0, patience_s=20.0, read_s=1.0,
    beat_s=0.3, stale_s=4.0,
)  # fmt: skip
REAL = assembly.build


def build(output, settings, **others):
    """Build an assembly whose recipes take no time."""
    built = REAL(output, settings, fake_recipes.RECIPES, fake_recipes.spectrograph, fake_recipes.judge, **others)
    return replace(built, pace=PACE)


if __name__ == "__main__":
    releases.SHORTEST_PAUSE_S = attempts.SHORTEST_PAUSE_S = breakers.SHORTEST_PAUSE_S = 0.3
    connection.LONGEST_SILENCE_S = 5.0
    assembly.build = build
    cli.main()
