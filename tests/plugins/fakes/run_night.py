"""Run a night with the fake recipes: RAW_ROOT OUTPUT."""

import sys
from pathlib import Path

import fake_recipes

from nrespipe import logs
from nrespipe.service import assembly
from nrespipe.service.batch import night
from nrespipe.settings import Settings

if __name__ == "__main__":
    logs.configure("WARNING")
    raw_root, output = map(Path, sys.argv[1:])
    built = assembly.build(
        output, Settings(processes=1), fake_recipes.RECIPES, fake_recipes.spectrograph, fake_recipes.judge
    )
    sys.exit(night.reduce_all(built, raw_root).exit_status)
