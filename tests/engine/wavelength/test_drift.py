from dataclasses import replace

import extracted_arcs
import numpy as np
import pytest
from scipy.ndimage import maximum_filter1d

from nrespipe import data, instruments
from nrespipe.engine.wavelength import drift, frame_wavelengths, night_solution, solution, wavelength_errors
from nrespipe.frames.masters import Arc
from nrespipe.frames.quality import Pixel
from nrespipe.simulator import bench as benches
from nrespipe.simulator.bench import State

_ORDERS = np.arange(70, 100)


@pytest.fixture(scope="module")
def bench():
    return benches.build(instruments.load("nres01"), seed=11)


@pytest.fixture(scope="module")
def arc(bench):
    arcs = [extracted_arcs.expose(bench, (1,), seed=20 + i, orders=_ORDERS) for i in range(4)]
    found = night_solution.solve(arcs, bench.spectrograph, data.lamp_lines())
    return Arc(None, found.solution, found.lines, found.line_shape, None, found.reference, found.transfer_error_ms)


def _moved(shift_px, stretch_px):
    return State(shift_px=shift_px, stretch_px=stretch_px)


def _frame(bench, seed, state=State(), fibers=(0, 1), **keywords):
    return extracted_arcs.expose(bench, fibers, state, seed=seed, orders=_ORDERS, **keywords)


@pytest.mark.slow
def test_the_drift_of_a_frame_is_measured_within_its_error(bench, arc):
    random, pulls = np.random.default_rng(1), []
    for seed in range(12):
        moved = random.normal(0, 0.15), random.normal(0, 0.05)
        found = drift.measure(_frame(bench, 100 + seed, _moved(*moved)), arc)
        pulls.append(
            [(found.shift_px - moved[0]) / found.shift_error_px, (found.stretch_px - moved[1]) / found.stretch_error_px]
        )
        x = np.linspace(0, 4095, 33)
        still, now = (extracted_arcs.wavelength(bench, 1, x, s, orders=_ORDERS) for s in (State(), _moved(*moved)))
        expected = np.mean(now / still - 1) * 299792458
        assert abs(found.velocity_ms - expected) < 4.5 * found.velocity_error_ms
        assert found.velocity_error_ms < 1.5
    assert np.sqrt(np.mean(np.square(pulls))) < 1.5


def test_a_faint_lamp_gives_a_larger_error_and_no_wrong_drift(bench, arc):
    found = drift.measure(_frame(bench, 30, _moved(0.1, 0.02), lamp=0.05), arc)
    assert 1.5 < found.velocity_error_ms < 20
    assert abs(found.shift_px - 0.1) < 4 * found.shift_error_px


def test_faint_lines_that_scatter_by_more_than_they_claim_do_not_raise_the_error(bench, arc):
    for seed in (37, 38, 39):
        frame = _frame(bench, seed, _moved(0.1, 0.0))
        noise = np.random.default_rng(seed).normal(0, np.sqrt(np.percentile(frame.variance[1], 5)), (30, 4096))
        between_bright = maximum_filter1d(arc.reference.flux[0], 15) < 2000
        rough = replace(frame, flux=frame.flux + noise * between_bright)
        assert drift.measure(rough, arc).velocity_error_ms < 1.05 * drift.measure(frame, arc).velocity_error_ms


def test_cosmic_rays_do_not_move_the_drift(bench, arc):
    frame = _frame(bench, 31, _moved(0.1, 0.0))
    random = np.random.default_rng(2)
    flux = frame.flux.copy()
    hits = random.integers(0, flux.shape[1], 3000), random.integers(0, flux.shape[2], 3000)
    flux[1, hits[0], hits[1]] += random.uniform(500, 20_000, 3000)
    found = drift.measure(replace(frame, flux=flux), arc)
    assert abs(found.shift_px - 0.1) < 5 * found.shift_error_px


def _error_ms(frame, arc, ratio):
    """Error of what the drift does to the wavelengths of the reference fiber."""
    x = np.arange(32, 4096, 64)
    found = frame_wavelengths.compute(frame, arc, drift.measure(frame, arc)).vacuum_angstrom[frame.fibers.index(1)][
        :, x
    ]
    return 299792458 * (found / solution.on_grid(arc.solution, 1, arc.solution.orders, x) / ratio(x) - 1)


@pytest.mark.parametrize("pixels", [-7.0, 1.3, 2.5, 9.0])
def test_a_frame_that_has_moved_by_pixels_is_measured_too(bench, arc, pixels):
    moved = _moved(pixels, 0.1)
    true = lambda x, state: extracted_arcs.wavelength(bench, 1, x, state, orders=_ORDERS)  # noqa: E731
    ratio = lambda x: true(x, moved) / true(x, State())  # noqa: E731
    error_ms = _error_ms(_frame(bench, 32, moved, fibers=(1,)), arc, ratio)
    assert abs(np.mean(error_ms)) < 4
    assert np.std(error_ms) < 10


@pytest.mark.parametrize("velocity_ms", [-400.0, 150.0])
def test_a_change_of_the_pressure_is_followed_everywhere_on_the_detector(bench, arc, velocity_ms):
    factor = 1 + velocity_ms / 299792458
    denser = State(velocity_ms=velocity_ms)
    error_ms = _error_ms(_frame(bench, 36, denser, fibers=(1,)), arc, lambda x: 1 / factor)
    assert abs(np.mean(error_ms)) < 3
    assert np.std(error_ms) < 4


@pytest.mark.slow
def test_the_covariance_of_the_terms_tells_the_error_of_any_mean(bench, arc):
    left = np.zeros((len(_ORDERS), 4096))
    left[:, :1500] = 1.0
    pulls, claims = [], []
    for seed in range(12):
        frame = _frame(bench, 60 + seed, fibers=(1,))
        found = frame_wavelengths.compute(frame, arc, drift.measure(frame, arc))
        night = solution.on_grid(arc.solution, 1, _ORDERS, np.arange(4096.0))
        change = 299792458 * (found.vacuum_angstrom[0] / night - 1)
        *_, claimed = wavelength_errors.of_mean(found, 1, left)
        pulls.append(np.sum(change * left) / left.sum() / claimed)
        claims.append(claimed)
    # the noise of the master arc is common to all frames
    assert 0.4 < np.std(pulls) < 1.4
    assert abs(np.mean(pulls)) < 2.5
    assert max(claims) < 2.5


def test_without_the_reference_fiber_there_is_no_drift_and_no_finite_error(bench, arc):
    star = _frame(bench, 33, fibers=(0,))
    found = drift.measure(star, arc)
    assert found.n_lines == 0
    assert found.shift_px == 0
    assert np.isinf(found.velocity_error_ms)


def test_a_dark_reference_fiber_gives_no_drift(bench, arc):
    frame = _frame(bench, 34)
    noise = np.random.default_rng(3).normal(0, 25, frame.flux.shape)
    assert drift.measure(replace(frame, flux=noise), arc).n_lines == 0
    assert drift.measure(replace(frame, flux=np.full(frame.flux.shape, np.nan)), arc).n_lines == 0
    bad = np.full(frame.quality.shape, Pixel.BAD, np.uint8)
    assert drift.measure(replace(frame, quality=bad), arc).n_lines == 0


@pytest.mark.parametrize("moved", [(0.1, 0.02), (3.4, -0.05)])
def test_a_fitted_drift_leaves_only_noise_in_the_orders_and_a_wrong_one_is_seen(bench, arc, moved):
    spectra = _frame(bench, 31, _moved(*moved))
    found = drift.measure(spectra, arc)
    orders, residual_ms, error_ms = drift.by_order(spectra, arc, found)
    assert set(orders) <= set(_ORDERS)
    assert len(orders) > 25
    assert np.mean((residual_ms / error_ms) ** 2) < 2.5
    _, wrong_ms, _ = drift.by_order(spectra, arc, replace(found, shift_px=found.shift_px + 0.005))
    assert np.average(wrong_ms, weights=error_ms**-2) - np.average(residual_ms, weights=error_ms**-2) > 5
    assert len(drift.by_order(spectra, arc, drift.UNKNOWN)[0]) == 0
