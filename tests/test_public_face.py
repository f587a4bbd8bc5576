"""The functions of the package for a notebook: what they are, what they read, and that importing them costs nothing."""

import subprocess
import sys

import numpy as np
import pytest

import nrespipe
from nrespipe.frames.masters import Arc, Bias, Dark, Flat
from nrespipe.frames.raw import RawFrame

#: Libraries that take a tenth of a second and more to load.
LARGE = ("numpy", "scipy", "astropy", "sqlalchemy", "numba")


@pytest.mark.parametrize("code", ["import nrespipe", "import nrespipe; dir(nrespipe)"])
def test_importing_the_package_loads_no_large_library(code):
    tell = f"import sys\n{code}\nprint(*(name for name in {LARGE!r} if name in sys.modules))"
    done = subprocess.run([sys.executable, "-c", tell], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_every_function_is_there_with_its_documentation():
    for name in set(nrespipe.__all__) - {"__version__"}:
        assert getattr(nrespipe, name).__doc__, name
        assert name in dir(nrespipe)
        assert name in nrespipe.__doc__
    with pytest.raises(AttributeError, match="no attribute 'measure_speed'"):
        _ = nrespipe.measure_speed


def test_every_file_of_a_night_is_read_as_what_it_is(service, archive, run):
    archive.calibrations()
    star = archive.add("e", "STAR A&thar&none")
    run()
    assert isinstance(nrespipe.read(star), RawFrame)
    found = [nrespipe.read(path) for path in service.output.rglob("*.fits.fz")]
    assert {type(one) for one in found if hasattr(one, "origin")} == {Bias, Dark, Flat, Arc}
    spectra, velocities = sorted((one for one in found if not hasattr(one, "origin")), key=lambda one: not one.spectra)
    assert spectra.spectra.fibers == (0, 1)
    assert spectra.wavelengths.vacuum_angstrom.shape == spectra.spectra.flux.shape
    assert [velocity.rv_ms for velocity in velocities.velocities] == [100.0]


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no\.fits: there is no such file"):
        nrespipe.read(tmp_path / "no.fits")


def test_the_velocity_of_plain_arrays_is_measured():
    rng, wavelength = np.random.default_rng(1), np.linspace(5000.0, 5050.0, 4096)
    from nrespipe import data

    lines = data.stellar_lines("G2")
    near = (lines.vacuum_angstrom > 4990) & (lines.vacuum_angstrom < 5060)
    offset = wavelength[:, None] / lines.vacuum_angstrom[near] / (1 + 10e3 / 299792458.0) - 1
    flux = np.exp(-np.sum(-np.log1p(-lines.depth[near]) * np.exp(-0.5 * (offset * 299792458.0 / 3500.0) ** 2), axis=1))
    noisy = rng.normal(flux, 0.01)
    found = nrespipe.measure_velocity(wavelength, noisy, np.full(4096, 1e-4), lines, velocity_ms=9e3, motion_ms=0.0)
    assert found.rv_ms == pytest.approx(10e3, abs=5 * found.photon_error_ms)
