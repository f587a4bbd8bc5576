from dataclasses import replace

import arc_spectra
import numpy as np
import pytest

from nrespipe import data, instruments
from nrespipe.engine.wavelength import calibrate, diagnostics

_C_MS = 299792458.0


@pytest.fixture(scope="module")
def calibration():
    truth = arc_spectra.truth(instruments.load("nres01"), data.lamp_lines(), seed=3)
    arcs = [arc_spectra.expose(truth, (0, 1), 300 + i, orders=np.arange(88, 94)) for i in range(2)]
    return calibrate.calibrate(arcs, truth.spectrograph, data.lamp_lines())


@pytest.mark.slow
def test_residuals_are_those_of_the_wavelength_at_the_line(calibration):
    lines, scale = calibration.lines, calibration.solution
    residual_ms, photon_ms = diagnostics.residuals(scale, lines)
    k = np.flatnonzero(lines.used & (lines.fiber == 0))[7]
    found = calibrate.at(scale, 0, lines.order[k], lines.x[k])
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
    first = calibrate.at(calibration.solution, pairs["fiber"][0], pairs["order"][0], pairs["x"][0])
    second = calibrate.at(calibration.solution, pairs["fiber"][0], pairs["order"][0] + 1, pairs["x_next"][0])
    assert pairs["difference_ms"][0] == pytest.approx(_C_MS * (first / second - 1), abs=0.01)


def test_arcs_whose_orders_share_no_line_have_an_empty_table_of_overlaps(calibration):
    kept = calibration.lines.order % 2 == 0
    names = calibration.lines.__dataclass_fields__
    lines = replace(calibration.lines, **{name: getattr(calibration.lines, name)[kept] for name in names})
    assert all(len(column) == 0 for column in diagnostics.overlaps(calibration.solution, lines).values())
