"""A small archive of raw files, and a service with fast fake recipes."""

from datetime import date
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from astropy.io import fits

from nrespipe.service.assembly import build as build_assembly
from nrespipe.service.batch import night
from nrespipe.settings import Settings

FAKES = Path(__file__).parent / "fakes"
OBSTYPES = {"b": "BIAS", "d": "DARK", "w": "LAMPFLAT", "a": "DOUBLE", "e": "TARGET"}


class Archive:
    """Writes raw files, two minutes apart."""

    def __init__(self, root):
        self.root, self.number = root, 0

    def add(self, code, objects="", day="20190405", adu=1000, camera="fa09", site="lsc", **changes):
        """Write one raw file and return its path."""
        self.number += 1
        instrument = {"lsc": "nres01", "elp": "nres02"}[site]
        folder = self.root / site / instrument / day / "raw"
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{site}{instrument.replace('nres', 'nrs')}-{camera}-{day}-{self.number:04d}-{code}00.fits"
        midnight = 58578 + (date.fromisoformat(day) - date(2019, 4, 5)).days
        cards = {
            "TELESCOP": instrument,
            "SITEID": site,
            "INSTRUME": camera,
            "OBSTYPE": OBSTYPES[code],
            "DAY-OBS": day,
            # of a day with very many the later ones come as early again: all fall into its night, between dusk in Texas
            # and dawn in Chile
            "MJD-OBS": midnight + 1.1 + self.number % 300 * 80 / 86400,
            "EXPTIME": 0.0 if code == "b" else 60.0,
            "OBJECTS": objects,
            "DATASEC": "[1:24,1:16]",
            "BIASSEC": "[31:40,1:16]",
            **changes,
        }
        rng = np.random.default_rng(self.number)
        image = rng.normal(adu, 5, (16, 40)).clip(0, 65535).astype(np.uint16)
        hdu = fits.PrimaryHDU(image)
        hdu.header.update({key: value for key, value in cards.items() if value is not None})
        hdu.writeto(path)
        return path

    def calibrations(self, day="20190405", count=2, **others):
        """Write a set of calibrations that is enough for every master."""
        for code, objects in [("b", ""), ("d", ""), ("w", "tung&tung&none"), ("a", "thar&thar&none")]:
            for _ in range(count):
                self.add(code, objects, day=day, **others)


@pytest.fixture
def archive(tmp_path):
    """An empty archive."""
    return Archive(tmp_path / "archive")


@pytest.fixture
def build(monkeypatch):
    """Build an assembly with fast fake recipes and a small detector; processes find them too."""
    monkeypatch.syspath_prepend(FAKES)
    fakes = __import__("fake_recipes")
    return lambda output, processes=0, **others: build_assembly(
        output, Settings(processes=processes, do_draw=False), fakes.RECIPES, fakes.spectrograph, fakes.judge, **others
    )


@pytest.fixture
def service(tmp_path, build):
    """An assembly that works in this process, with its database and products in a directory of the test."""
    return build(tmp_path / "out")


@pytest.fixture
def run(archive, service):
    """Run a night over the archive; return its summary."""
    return lambda **options: night.reduce_all(service, archive.root, **options)


@pytest.fixture
def snapshot():
    """Return a function that reads all files below a directory."""
    return lambda root: {path: path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


@pytest.fixture
def query(service):
    """Ask the database of the service; the rows can be read afterwards."""

    def ask(statement):
        with service.sessions.begin() as session:
            return list(session.scalars(statement))

    return SimpleNamespace(all=ask, sessions=service.sessions)
