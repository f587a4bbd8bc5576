"""One night of a real spectrograph in its full size through the whole program, against all that was put in."""

import csv
from types import SimpleNamespace

import numpy as np
import pytest
from astropy.io import fits
from sqlalchemy import select

from nrespipe.database import measurements
from nrespipe.database.administration import opening
from nrespipe.database.states import State
from nrespipe.database.tables import Frame, StarVelocity
from nrespipe.engine.wavelength import solution
from nrespipe.files import layout, master_files
from nrespipe.frames.quality import Pixel, Quality
from nrespipe.frames.raw import Kind
from nrespipe.service import assembly
from nrespipe.service.batch import night, simulation
from nrespipe.settings import Settings
from nrespipe.simulator import bench as benches
from nrespipe.simulator import detector, frame, pixel_kernels, stars
from nrespipe.simulator import night as simulated

pytestmark = pytest.mark.slow

DAY, SEED, C_MS, HOT_S = "20190405", 3, 299792458.0, 900.0
OBSERVED = ("HD102365:110", "HD115617:90:2", "HD22049:100+HD76151:80")
#: Masters of a real day.
COUNTS = {"n_bias": 5, "n_dark": 3, "n_flat": 3, "n_arc": 2}
PAIRS = (("tung", "tung", "none"), ("none", "tung", "tung"))


@pytest.fixture(scope="module")
def whole(shelf, nres01):
    """A night at a site of two telescopes, simulated and reduced once in a run of the tests."""
    exposures = [stars.parse(text) for text in OBSERVED]

    def make(root):
        simulated.write(root / "archive", nres01, DAY, seed=SEED, stars=exposures, **COUNTS)
        night.reduce_all(assembly.build(root / "out", Settings(processes=2)), root / "archive")

    root = shelf.place("whole-night", make)
    bench = benches.build(nres01)
    return SimpleNamespace(
        bench=bench,
        fixed=detector.pattern(bench.seed),
        shots=simulated.plan(bench, DAY, seed=SEED, stars=exposures, **COUNTS),
        sessions=opening.to_read(root / "out", Settings()),
        truth=root / "archive" / "lsc" / "nres01" / DAY / "truth",
        products=root / "out" / "lsc" / "nres01" / DAY,
    )


@pytest.fixture(scope="module")
def master(whole):
    """Return a function that reads the master of a kind."""
    folder = whole.products / "masters"
    return lambda kind: master_files.read(folder / f"{kind}_lsc_nres01_fa09_{DAY}.fits.fz")


def observed(whole, shot, fiber, part):
    """Return the orders of a product, and what it has of a fiber."""
    stem = shot.filename.replace("-e00", "-e91")
    names = whole.products.glob(f"processed/{stem}*-L2.fits.fz")
    with fits.open(next(path for path in names if layout.is_product(path.name, "L2", fiber) or fiber == 1)) as units:
        flux = next(unit.name for unit in units if unit.name.endswith("_FLUX") and unit.header["FIBER"] == fiber)
        return np.array(units["ORDER_TABLE"].data["ECHELLE_ORDER"]), np.array(units[flux.replace("FLUX", part)].data)


def asked(whole, statement):
    with whole.sessions.begin() as session:
        return list(session.scalars(statement))


def test_every_frame_of_the_night_is_done_and_its_stars_have_the_velocities_that_were_put_in(whole):
    frames = asked(whole, select(Frame))
    assert [(f.filename, f.reason) for f in frames if f.state is not State.DONE] == []
    assert len(frames) == len(whole.shots) == 21
    found = simulation.compare(whole.sessions, whole.truth / "velocities.csv")
    assert len(found) == 4
    assert all(star.agrees for star in found), [star.cells() for star in found]


def test_the_errors_of_the_velocities_are_a_few_metres_per_second_and_their_parts_add_up(whole):
    for found in asked(whole, select(StarVelocity)):
        parts = found.photon_err_ms, found.wavelength_err_ms, found.drift_err_ms, found.transfer_err_ms
        assert found.rv_err_ms < 8
        assert found.wavelength_err_ms < 3
        assert all(0 < part < 8 for part in parts)
        assert found.rv_err_ms == pytest.approx(np.sqrt(np.sum(np.square(parts))))


def test_the_drift_of_the_bench_is_found_to_three_metres_per_second(whole):
    with (whole.truth / "frames.csv").open() as file:
        true = {row["filename"]: row for row in csv.DictReader(file)}
    # the master is in the mean state of the arcs of the reference fiber, which is in all of them
    arcs = np.mean([float(row["drift_ms"]) for row in true.values() if row["kind"] == "arc"])
    with whole.sessions.begin() as session:
        rows = measurements.drift_table(session)
    assert len(rows) == 3
    for row in rows:
        assert row["n_lines"] > 1000
        assert row["velocity_ms"] == pytest.approx(float(true[row["filename"]]["drift_ms"]) - arcs, abs=3)


def test_wavelengths_are_right_but_for_the_definition_of_a_line_center(whole):
    shot, x = whole.shots[-1], np.arange(4096.0)
    middles = []
    for fiber in (0, 1, 2):
        orders, angstrom = observed(whole, shot, fiber, "WAVE")
        off_ms = C_MS * (angstrom / benches.wavelength(whole.bench, fiber, x, shot.state)[orders - 52] - 1)
        middles.append(off_ms[10:-10, 400:-400])
    assert np.nanstd(middles) < 40
    # the center of a skewed line is its core here, its first moment in the truth
    assert np.ptp(np.nanmedian(middles, axis=(1, 2))) < 10


def test_fibers_that_overlap_in_the_red_are_told(whole):
    flags = {f.filename: Quality(f.quality) for f in asked(whole, select(Frame).where(Frame.kind == Kind.SCIENCE))}
    assert Quality.BLENDED_FIBERS in flags[whole.shots[-1].filename]


def test_the_arc_knows_the_numbers_of_all_orders_and_the_wavelengths_of_all_fibers(master, nres01):
    scale = master("arc").solution
    assert scale.fibers == (0, 1, 2)
    np.testing.assert_array_equal(scale.orders, nres01.orders)
    green = solution.evaluate(scale, 1, np.array([90]), np.array([2048.0]))
    assert 5170 < green[0] < 5200


def test_the_flat_measures_the_true_gain_to_a_percent(whole, master):
    assert master("flat").gain_e_per_adu == pytest.approx(whole.bench.gain_e_per_adu, rel=0.01)


def test_no_cosmic_ray_is_seen_in_the_lines_of_the_lamp(whole):
    shot, reach = whole.shots[-3], pixel_kernels.PADDING * pixel_kernels.OVERSAMPLING
    orders, flux = observed(whole, shot, 1, "FLUX")
    _, quality = observed(whole, shot, 1, "QUALITY")
    samples = frame.spectra(whole.bench, shot.scene, shot.state)[1][orders - 52]
    true = samples[:, reach : samples.shape[1] - reach : pixel_kernels.OVERSAMPLING]
    bright = (true > 3000) & (true < 60_000) & (quality & ~np.uint8(Pixel.COSMIC) == 0)
    assert np.median(flux[bright] / true[bright]) == pytest.approx(1, abs=0.02)
    assert np.mean(quality[bright] & np.uint8(Pixel.COSMIC) > 0) < 0.01


def test_hot_pixels_are_corrected_or_marked_and_good_ones_are_neither_lost_nor_spoiled(whole, master):
    gain, noise_e, dark = whole.bench.gain_e_per_adu, whole.bench.read_noise_e, whole.fixed.dark_e_per_s
    charge = (dark - np.median(dark, axis=1, keepdims=True))[:, :-1] * HOT_S
    error = (master("dark").adu_per_s * gain - dark)[:, :-1] * HOT_S
    noise = np.sqrt(noise_e**2 + dark[:, :-1] * HOT_S)
    marked = ((master("bias").mask | master("dark").mask) > 0)[:, :-1]
    harmful = charge > 5 * noise_e
    assert np.count_nonzero(harmful) > 1000
    assert np.mean(marked[harmful] | (np.abs(error[harmful]) < 3 * noise[harmful])) > 0.99
    good = charge < 0.5 * noise_e
    assert np.mean(marked[good]) < 1e-4
    assert np.mean(np.abs(error[good]) > 2 * noise[good]) < 1e-4
    assert marked[charge > 20_000].all()


def test_flawed_pixels_under_the_light_are_marked_in_the_flat_and_dust_is_not(whole, master):
    scenes = [frame.Scene(Kind.FLAT, pair, 30.0) for pair in PAIRS]
    electrons = np.max([frame.render(whole.bench, scene, seed=80).electrons for scene in scenes], axis=0)
    flawed = (whole.fixed.response < 0.7) & (electrons > 5000)
    good = (np.abs(whole.fixed.response - 1) < 0.05) & (electrons > 5000)
    marked = master("flat").mask & np.uint8(Pixel.BAD) > 0
    assert np.count_nonzero(flawed) > 20
    assert np.mean(marked[flawed]) > 0.95
    assert np.mean(marked[good]) < 5e-4
