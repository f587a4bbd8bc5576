"""The manual says how the traces are read without the program; what it says is done here."""

import re
import textwrap
from pathlib import Path

import numpy as np
import pytest

from nrespipe.files import master_files
from nrespipe.frames.masters import Flat, Origin
from nrespipe.frames.raw import Kind
from nrespipe.frames.traces import Profile, Traces
from nrespipe.numerics import profile_table

PAGE = Path(__file__).parents[2] / "docs" / "products.rst"
SHAPE = (2, 5, 4096)


@pytest.fixture
def flat():
    rng = np.random.default_rng(4)
    orders, x = np.arange(83, 88), np.arange(4096.0)
    centers = 100 + 50 * (orders[:, None] - 83) + 60 * (x / 2048 - 1) ** 2 + np.array([18.0, 0.0])[:, None, None]
    centers[0, 2, 4000:] = np.nan
    offsets = np.arange(-10, 10.01, 0.05)
    values = rng.random((2, 5, 16, len(offsets))).astype(np.float32)
    response = np.ones((400, 4096), np.float32)
    columns = (np.arange(16) + 0.5) * 256 - 0.5
    profile = Profile(offsets, columns, values, np.arange(8.0), np.zeros((2, 8)), response, response / 100)
    origin = Origin(Kind.FLAT, "lsc", "nres01", "fa09", "20190405", 58579.1, ("one", "two"))
    errors = rng.random(SHAPE).astype(np.float32)
    mask, peaks = np.zeros((400, 4096), np.uint8), 1000 * rng.random(SHAPE[:2])
    return Flat(origin, Traces((0, 1), orders, centers, errors), profile, rng.random(SHAPE), 3.2, 0.1, mask, peaks)


def test_traces_and_profiles_are_read_as_the_manual_says_with_astropy_and_numpy_alone(flat, tmp_path, monkeypatch):
    master_files.write(flat, tmp_path / "flat_lsc_nres01_fa09_20190405.fits.fz")
    monkeypatch.chdir(tmp_path)
    recipe = re.search(r"_trace-files:.*?code-block:: python\n\n(.*?)\n\n\S", PAGE.read_text(encoding="utf-8"), re.S)
    found = {}
    exec(textwrap.dedent(recipe[1]), found)
    np.testing.assert_allclose(found["center"], flat.traces.centers[0, 2], atol=1e-3)
    np.testing.assert_array_equal(found["error"], flat.traces.errors[0, 2])
    np.testing.assert_allclose(found["flux"], flat.blaze[0, 2] * flat.peak_e_per_s[0, 2])
    place, weight = profile_table.chunk_of(flat.profile.columns, 1000.0)
    table = flat.profile.values[0, 2]
    used = [
        profile_table.profile_of(table, place, weight, row - flat.traces.centers[0, 2, 1000], -10.0, 0.05)
        for row in found["rows"]
    ]
    np.testing.assert_allclose(found["share"], used, rtol=1e-4)
