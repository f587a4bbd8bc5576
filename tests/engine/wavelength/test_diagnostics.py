from dataclasses import replace

import extracted_arcs
import numpy as np
import pytest

from nrespipe import data, instruments
from nrespipe.engine.acceptance import master_checks
from nrespipe.engine.wavelength import diagnostics, night_solution, solution
from nrespipe.frames.judgement import Verdict
from nrespipe.frames.masters import Arc, Origin
from nrespipe.frames.raw import Kind
from nrespipe.simulator import bench as benches
from nrespipe.simulator import lamps
from nrespipe.simulator.bench import State

_C_MS = 299792458.0


@pytest.fixture(scope="module")
def calibration():
    """Of a lamp that emits listed lines alone: faint lines next to others that no list has do not scatter by noise."""
    bench, emitted = benches.build(instruments.load("nres01"), seed=3), lamps.thorium_argon
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            lamps, "thorium_argon", lambda *choice: tuple(part[emitted(*choice)[2]] for part in emitted(*choice))
        )
        arcs = [extracted_arcs.expose(bench, (0, 1), seed=300 + i, orders=np.arange(88, 94)) for i in range(2)]
    return night_solution.solve(arcs, bench.spectrograph, data.lamp_lines())


@pytest.mark.slow
def test_residuals_are_those_of_the_wavelength_at_the_line(calibration):
    lines, scale = calibration.lines, calibration.solution
    residual_ms, photon_ms = diagnostics.residuals(scale, lines)
    k = np.flatnonzero(lines.used & (lines.fiber == 0))[7]
    found = solution.evaluate(scale, 0, lines.order[k], lines.x[k])
    assert residual_ms[k] == pytest.approx(_C_MS * (found / lines.vacuum_angstrom[k] - 1))
    assert np.array_equal(np.isfinite(residual_ms), np.isfinite(lines.vacuum_angstrom))
    assert 1.0 < photon_ms[k] / lines.x_error[k] / 1450 * 1.5 < 2.2


def test_bright_lines_scatter_by_what_their_light_does_not_explain_and_faint_ones_by_their_light(calibration):
    residual_ms, photon_ms = diagnostics.residuals(calibration.solution, calibration.lines)
    used = calibration.lines.used
    faint, bright = used & (photon_ms > 60) & (photon_ms < 200), used & (photon_ms < 15)
    assert 0.7 < np.std(residual_ms[faint] / photon_ms[faint]) < 1.4
    assert np.std(residual_ms[bright]) < 40


def test_each_order_of_each_fiber_has_its_numbers(calibration):
    lines, scale = calibration.lines, calibration.solution
    table = diagnostics.by_order(scale, lines)
    assert list(table["fiber"]) == [0] * 6 + [1] * 6
    assert list(table["order"]) == 2 * list(range(88, 94))
    assert table["n_lines"].sum() == len(lines.x)
    assert np.all((table["n_used"] <= table["n_known"]) & (table["n_known"] <= table["n_lines"]))
    assert table["n_used"].sum() == np.sum(lines.used & np.isfinite(lines.vacuum_angstrom))
    assert np.std(table["mean_ms"] / table["mean_error_ms"]) < 2
    assert np.all((table["rms_ms"] > 0.5 * table["photon_ms"]) & (table["rms_ms"] < 400))


def test_an_order_without_lines_has_no_mean(calibration):
    kept = calibration.lines.order != 90
    names = calibration.lines.__dataclass_fields__
    lines = replace(calibration.lines, **{name: getattr(calibration.lines, name)[kept] for name in names})
    table = diagnostics.by_order(calibration.solution, lines)
    assert np.all(np.isnan(table["mean_ms"][table["order"] == 90]))
    assert np.all(table["n_lines"][table["order"] == 90] == 0)


def test_the_same_light_has_the_same_wavelength_in_two_orders(calibration):
    pairs = diagnostics.overlaps(calibration.solution, calibration.lines)
    assert len(pairs["x"]) > 40
    assert np.all(pairs["x"] < pairs["x_next"])
    pulls = pairs["difference_ms"] / np.hypot(pairs["error_ms"], 30)
    assert np.abs(np.median(pulls)) < 0.5
    assert 0.5 < 1.4826 * np.median(np.abs(pulls)) < 1.6
    first = solution.evaluate(calibration.solution, pairs["fiber"][0], pairs["order"][0], pairs["x"][0])
    second = solution.evaluate(calibration.solution, pairs["fiber"][0], pairs["order"][0] + 1, pairs["x_next"][0])
    assert pairs["difference_ms"][0] == pytest.approx(_C_MS * (first / second - 1), abs=0.01)


def test_arcs_whose_orders_share_no_line_have_an_empty_table_of_overlaps(calibration):
    kept = calibration.lines.order % 2 == 0
    names = calibration.lines.__dataclass_fields__
    lines = replace(calibration.lines, **{name: getattr(calibration.lines, name)[kept] for name in names})
    assert all(len(column) == 0 for column in diagnostics.overlaps(calibration.solution, lines).values())


_ORDERS = np.arange(78, 96)
#: What the spectrograph moves between the nights.
MOVED = State(shift_px=0.2, stretch_px=0.03)
_ORIGIN = Origin(Kind.ARC, "lsc", "nres01", "fa09", "20190405", 58578.5, ("a", "b"))


def _arc(bench, seed, moved=State()):
    pairs = [(0, 1), (0, 1), (1, 2), (1, 2)]
    arcs = [extracted_arcs.expose(bench, pair, moved, seed=seed + i, orders=_ORDERS) for i, pair in enumerate(pairs)]
    found = night_solution.solve(arcs, bench.spectrograph, data.lamp_lines())
    return Arc(_ORIGIN, found.solution, found.lines, found.line_shape, None, found.reference, found.transfer_error_ms)


@pytest.fixture(scope="module")
def bench():
    return benches.build(instruments.load("nres01"), seed=12)


@pytest.fixture(scope="module")
def nights(bench):
    return _arc(bench, 80), _arc(bench, 70, MOVED)


@pytest.mark.slow
def test_two_nights_differ_by_what_the_spectrograph_has_moved_and_by_nothing_else(bench, nights):
    found = diagnostics.night_to_night(nights[1], nights[0])
    x = np.arange(32.0, 4096, 64)
    then, now = (extracted_arcs.wavelength(bench, 1, x, state, orders=_ORDERS) for state in (State(), MOVED))
    expected = 299792458 * np.mean(now / then - 1)
    assert abs(found["zero_ms"] - expected) < 4 * found["zero_error_ms"] + 0.5
    assert found["zero_error_ms"] < 1.5
    assert found["shift_px"] == pytest.approx(0.2, abs=0.005)
    assert abs(found["offset_ms"]) < 5
    assert found["shape_ms"] < 30
    assert found["width"] == pytest.approx(1, abs=0.01)
    for fiber in (0, 2):
        assert abs(found[f"fiber{fiber}_ms"]) < 4 * found[f"fiber{fiber}_error_ms"] + 1


@pytest.mark.slow
@pytest.mark.parametrize(("wrong_ms", "verdict"), [(60, Verdict.FLAGGED), (-150, Verdict.REVIEW)])
def test_a_solution_that_has_moved_where_the_lamp_has_not_is_told(nights, wrong_ms, verdict):
    last, new = nights
    wrong = replace(new.solution, coefficients=new.solution.coefficients * (1 + wrong_ms / 299792458))
    judged = master_checks.judge(replace(new, solution=wrong), last, instruments.load("nres01"))
    (found,) = [finding for finding in judged.findings if finding.name == "offset_ms"]
    assert found.value == pytest.approx(wrong_ms, abs=5)
    assert found.verdict is verdict
    sound = master_checks.judge(new, last, instruments.load("nres01"))
    assert {f.name: f.verdict for f in sound.findings}["offset_ms"] is Verdict.ACCEPTED
