"""The true optics: consistent with themselves, and not what the table says."""

from itertools import pairwise

import numpy as np
import pytest

from nrespipe import instruments
from nrespipe.doppler import C_MS
from nrespipe.instruments import optics
from nrespipe.simulator import bench as benches
from nrespipe.simulator.bench import State

STATE = State(velocity_ms=80.0, shift_px=0.05, stretch_px=-0.02, fiber_ms=(0.7, 0.0, -0.4), rise_px=0.03)


@pytest.fixture(scope="module", params=["nres01", "nres02", "nres03", "nres04"])
def bench(request):
    return benches.build(instruments.load(request.param))


@pytest.mark.parametrize("state", [State(), STATE], ids=["still", "drifted"])
def test_position_undoes_wavelength_to_a_millionth_of_a_pixel(bench, state):
    x = np.array([0.0, 517.3, 2048.0, 4095.0])
    for fiber in range(3):
        wavelength = benches.wavelength(bench, fiber, x, state)
        for order in (52, 85, 118):
            back = benches.position(bench, fiber, order, wavelength[order - 52], state)
            np.testing.assert_allclose(back, x, atol=1e-6)


def test_wavelength_grows_along_every_order_and_with_falling_order_number(bench):
    wavelength = benches.wavelength(bench, 1, np.arange(0, 4096, 64.0))
    assert np.all(np.diff(wavelength, axis=1) > 0)
    assert np.all(np.diff(wavelength, axis=0) < 0)


def test_the_truth_departs_from_the_table_by_pixels_but_not_by_more_than_a_blind_solution_can_bridge(bench):
    x = np.arange(0, 4096, 64.0)
    orders = bench.spectrograph.orders
    table = optics.wavelength(bench.spectrograph, 1, orders[:, None], x)
    step = np.gradient(table, x, axis=1)
    pixels = (benches.wavelength(bench, 1, x) - table) / step
    assert 1 < np.abs(pixels).max() < 50
    assert np.ptp(pixels) > 3


def test_fibers_cross_the_detector_in_the_order_of_the_table_and_18_to_25_pixels_apart(bench):
    x = np.array([0.0, 2048.0, 4095.0])
    rows = [benches.row(bench, fiber, x) for fiber in bench.spectrograph.fibers.upward]
    for lower, upper in pairwise(rows):
        assert np.all((upper - lower > 17.0) & (upper - lower < 26.5))


def test_the_highest_orders_leave_the_detector_and_the_lowest_do_not(bench):
    rows = benches.row(bench, 0, np.arange(4096.0))
    assert rows[-1].max() > 4096
    assert rows[0].min() > 20


def test_a_pressure_drift_moves_all_wavelengths_by_one_velocity(bench):
    x = np.array([10.0, 2000.0, 4000.0])
    ratio = benches.wavelength(bench, 2, x, State(velocity_ms=50.0, fiber_ms=(0, 0, 1.0))) / benches.wavelength(
        bench, 2, x
    )
    np.testing.assert_allclose(C_MS * (1 - ratio), 51.0, rtol=1e-6)


def test_a_shift_and_a_stretch_move_the_image_by_pixels(bench):
    x = np.array([0.0, 2048.0, 4096.0])
    wavelength = benches.wavelength(bench, 1, x)[30]
    moved = benches.position(bench, 1, 82, wavelength, State(shift_px=0.1, stretch_px=0.02))
    np.testing.assert_allclose(moved - x, [0.08, 0.1, 0.12], atol=1e-6)


def test_the_drift_as_one_number_has_the_sign_of_the_wavelength_of_a_pixel(bench):
    assert benches.drift_ms(bench, State()) == 0
    assert benches.drift_ms(bench, State(velocity_ms=30.0)) == pytest.approx(-30.0, rel=1e-6)
    # a line that moved to larger x leaves shorter wavelengths behind, 1.0 to 2.1 km/s a pixel
    assert -210 < benches.drift_ms(bench, State(shift_px=0.1)) < -100


def test_a_bench_is_the_same_every_time_and_another_seed_is_another_bench():
    spectrograph = instruments.load("nres01")
    one, two, other = benches.build(spectrograph), benches.build(spectrograph), benches.build(spectrograph, seed=5)
    np.testing.assert_array_equal(one.wavelength_terms, two.wavelength_terms)
    assert np.abs(one.wavelength_terms - other.wavelength_terms).max() > 0.01


def test_the_true_gain_is_near_that_of_the_table_and_not_what_the_header_claims(bench):
    assert abs(bench.gain_e_per_adu / 3.2 - 1) < 0.05
    assert bench.gain_e_per_adu != 1.0
