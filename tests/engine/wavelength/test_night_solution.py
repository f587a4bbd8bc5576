import extracted_arcs
import numpy as np
import pytest

from nrespipe import data, instruments
from nrespipe.engine.wavelength import (
    drift,
    frame_wavelengths,
    night_solution,
    order_numbers,
    solution,
    solution_of_arrays,
)
from nrespipe.errors import BadFrame, MissingCalibration
from nrespipe.frames.masters import Arc
from nrespipe.simulator import bench as benches
from nrespipe.simulator.bench import State

_C_MS = 299792458.0
_DRIFTS = [(0.05, 0.01), (-0.03, 0.0), (0.08, -0.02), (-0.06, 0.01), (0.02, 0.02), (0.0, -0.01)]
_STATES = [State(shift_px=shift, stretch_px=stretch) for shift, stretch in _DRIFTS]
_MEAN = State(shift_px=np.mean(_DRIFTS, axis=0)[0], stretch_px=np.mean(_DRIFTS, axis=0)[1])
_X = np.arange(0, 4096, 32.0)


@pytest.fixture(scope="module")
def bench():
    return benches.build(instruments.load("nres01"), seed=3)


@pytest.fixture(scope="module")
def calibration(bench):
    pairs = [(0, 1)] * 3 + [(1, 2)] * 3
    arcs = [extracted_arcs.expose(bench, pairs[i], _STATES[i], seed=300 + i, renumber=1) for i in range(6)]
    return night_solution.solve(arcs, bench.spectrograph, data.lamp_lines())


@pytest.fixture(scope="module")
def arc(calibration):
    names = ("solution", "lines", "line_shape", "reference", "transfer_error_ms")
    return Arc(None, slant=None, **{name: getattr(calibration, name) for name in names})


def _errors_ms(bench, fiber, orders, wavelengths, state=State()):
    """Error of the wavelength of the place where a Gaussian fit finds a line."""
    expected = extracted_arcs.wavelength(bench, fiber, _X, state, orders=orders)
    return _C_MS * (wavelengths / expected - 1)


def _night_errors_ms(bench, calibration, fiber):
    orders = calibration.orders
    found = solution.evaluate(calibration.solution, fiber, orders[:, None], _X)
    return _errors_ms(bench, fiber, orders, found, _MEAN)


@pytest.mark.slow
def test_the_lamp_puts_the_numbers_of_the_orders_right(calibration):
    assert calibration.renumbered == -1
    assert list(calibration.orders) == list(range(52, 119))
    assert list(calibration.reference.orders) == list(range(52, 119))


@pytest.mark.slow
@pytest.mark.parametrize("fiber", [0, 1, 2])
def test_the_zero_point_of_a_night_is_good_to_three_metres_per_second(bench, calibration, fiber):
    assert abs(np.mean(_night_errors_ms(bench, calibration, fiber))) < 3


@pytest.mark.slow
@pytest.mark.parametrize("fiber", [0, 1, 2])
def test_pixels_are_good_to_ten_metres_per_second_in_the_center_and_forty_in_the_blue(bench, calibration, fiber):
    errors = _night_errors_ms(bench, calibration, fiber)
    errors = errors - errors.mean()
    assert np.std(errors[25:45, 32:96]) < 10
    assert np.std(errors[20:50]) < 15
    assert np.std(errors[55:]) < 40


@pytest.mark.slow
def test_the_fibers_agree_although_their_arcs_had_drifted_apart(bench, calibration):
    zero = [np.mean(_night_errors_ms(bench, calibration, fiber)[:, 16:112]) for fiber in (0, 1, 2)]
    claimed = calibration.transfer_error_ms
    assert claimed[1] == 0
    assert np.all(claimed < 1.5)
    assert abs(zero[0] - zero[1]) < 3.5 * claimed[0]
    assert abs(zero[2] - zero[1]) < 3.5 * claimed[2]


@pytest.mark.slow
@pytest.mark.parametrize("fiber", [0, 2])
def test_the_lines_of_every_fiber_are_kept_in_the_state_that_the_solution_describes(calibration, fiber):
    lines = calibration.lines
    here = (lines.fiber == fiber) & lines.used & (lines.x_error < 0.05)
    found = solution.evaluate(calibration.solution, fiber, lines.order[here], lines.x[here])
    residual_ms = _C_MS * (found / lines.vacuum_angstrom[here] - 1)
    assert here.sum() > 500
    assert abs(np.median(residual_ms)) < 5


@pytest.mark.slow
def test_wavelengths_of_a_frame_follow_its_drift(bench, calibration, arc):
    moved = State(shift_px=0.2, stretch_px=0.05)
    frame = extracted_arcs.expose(bench, (0, 1, 2), moved, seed=400, renumber=1)
    frame, *_ = order_numbers.of_frame(frame, arc)
    found = frame_wavelengths.compute(frame, arc, drift.measure(frame, arc))
    assert list(found.orders) == list(range(52, 119))
    assert found.line_shape.fibers == (0, 1, 2)
    for i, fiber in enumerate(found.fibers):
        columns = found.vacuum_angstrom[i][:, _X.astype(int)]
        now = _errors_ms(bench, fiber, found.orders, columns, moved)
        night = _night_errors_ms(bench, calibration, fiber)
        assert abs(np.mean(now - night)) < 4 * found.drift.velocity_error_ms
        assert 0 < found.error_ms[i] < 4


@pytest.mark.slow
def test_the_error_of_a_pixel_is_how_far_its_wavelength_is_off(bench, arc):
    moved = State(shift_px=-0.1, stretch_px=0.02)
    frame = extracted_arcs.expose(bench, (0, 1, 2), moved, seed=410, renumber=1)
    frame, *_ = order_numbers.of_frame(frame, arc)
    found = frame_wavelengths.compute(frame, arc, drift.measure(frame, arc))
    pulls = []
    for i, fiber in enumerate(found.fibers):
        columns = _X.astype(int)
        errors = _errors_ms(bench, fiber, found.orders, found.vacuum_angstrom[i][:, columns], moved)
        pulls.append((errors / found.pixel_error_ms[i][:, columns])[3:-3, 8:-8])
    assert 0.6 < np.sqrt(np.mean(np.square(pulls))) < 1.5


@pytest.mark.slow
def test_a_fiber_that_no_arc_lit_has_no_wavelengths(bench, calibration, arc):
    i = calibration.solution.fibers.index(1)
    one = night_solution.Solution(
        (1,), arc.solution.orders, 4096, arc.solution.degrees,
        *(getattr(arc.solution, name)[i : i + 1] for name in ("coefficients", "covariance", "scatter_ms", "n_lines")),
    )  # fmt: skip
    poor = Arc(None, one, arc.lines, arc.line_shape, None, arc.reference, np.zeros(1))
    star = extracted_arcs.expose(bench, (0,), seed=401, orders=arc.solution.orders)
    with pytest.raises(MissingCalibration, match="fiber 0"):
        frame_wavelengths.compute(star, poor, drift.measure(star, poor))


def test_three_orders_in_plain_arrays_are_enough_for_a_solution(bench):
    orders = np.array([80, 81, 82])
    spectra = extracted_arcs.expose(bench, (1,), seed=402, orders=orders)
    flux, variance, _, _ = spectra.of(1)
    for guess in (None, orders + 2):
        found = solution_of_arrays.solve(flux, bench.spectrograph, fiber=1, orders=guess, variance=variance)
        assert list(found.orders) == [80, 81, 82]
        wavelength = solution.evaluate(found.solution, 1, orders[:, None], _X)
        errors = _errors_ms(bench, 1, orders, wavelength)
        assert np.median(np.abs(errors)) < 30
        assert found.lines.used.sum() > 50


def test_the_same_arcs_give_the_same_bytes(bench):
    arcs = [extracted_arcs.expose(bench, (0, 1), seed=500 + i, orders=np.arange(80, 90)) for i in range(2)]
    first, again = (night_solution.solve(arcs, bench.spectrograph, data.lamp_lines()) for _ in range(2))
    assert first.solution.coefficients.tobytes() == again.solution.coefficients.tobytes()
    assert first.line_shape.values.tobytes() == again.line_shape.values.tobytes()


def test_arcs_without_the_reference_fiber_are_refused(bench):
    arc = extracted_arcs.expose(bench, (0,), seed=403, orders=np.arange(80, 84))
    with pytest.raises(BadFrame, match="reference fiber 1"):
        night_solution.solve([arc], bench.spectrograph, data.lamp_lines())


@pytest.mark.slow
def test_a_drift_while_the_arcs_were_taken_does_not_come_between_the_fibers():
    """A thousand metres per second, the arcs of one pair of fibers after those of the other."""
    bench = benches.build(instruments.load("nres01"))
    states = [State(velocity_ms=velocity_ms) for velocity_ms in (0.0, 333.0, 667.0, 1000.0)]
    arcs = [
        extracted_arcs.expose(bench, ((0, 1), (1, 2))[i // 2], state, seed=30 + i) for i, state in enumerate(states)
    ]
    found = night_solution.solve(arcs, bench.spectrograph, data.lamp_lines())
    zero = []
    for fiber in (0, 1, 2):
        expected = extracted_arcs.wavelength(bench, fiber, _X, State(velocity_ms=500.0))
        errors = _C_MS * (solution.evaluate(found.solution, fiber, found.orders[:, None], _X) / expected - 1)
        zero.append(np.mean(errors[:, 12:-12]))
    assert abs(zero[0] - zero[1]) < 2.5
    assert abs(zero[2] - zero[1]) < 2.5
