import arc_spectra
import numpy as np
import pytest

from nrespipe import data, instruments
from nrespipe.engine.wavelength import arc_lines, line_spread


@pytest.fixture(scope="module")
def truth():
    return arc_spectra.truth(instruments.load("nres01"), data.lamp_lines(), seed=8)


@pytest.fixture(scope="module")
def arc(truth):
    return arc_spectra.expose(truth, (1,), seed=9, orders=np.arange(75, 100), level=4, read_variance=2600)


@pytest.fixture(scope="module")
def shape(arc):
    flux, variance, weight = arc_lines.prepared(arc, 1)
    row, fits = arc_lines.fitted(flux, variance, weight, arc.orders, 1)
    clean = arc_lines.undisturbed(arc, 1, row, fits)
    light = np.where(weight > 0, flux, np.nan)
    return line_spread.measure(light, variance, row[clean], fits[clean], arc.orders, 1)


def _half_width_and_center(u, values):
    above = u[values > values.max() / 2]
    weight = values * np.exp(-4 * np.log(2) * u**2)
    return above[-1] - above[0], np.sum(weight * u) / np.sum(weight)


def test_the_profile_has_unit_area_unit_width_and_its_center_at_zero(shape):
    fine = np.linspace(-2.5, 2.5, 5001)
    for values in shape.values[0]:
        assert values.sum() * (shape.offsets[1] - shape.offsets[0]) == pytest.approx(1)
        width, center = _half_width_and_center(fine, np.interp(fine, shape.offsets, values))
        assert width == pytest.approx(1, abs=0.01)
        assert abs(center) < 1e-3


def test_the_width_that_doubles_along_the_order_is_recovered_to_four_percent(shape, truth):
    u = np.arange(-30, 30, 0.01)
    for x in (300, 1200, 2048, 3000, 3800):
        values = truth._profile(u, x)
        above = u[values > values.max() / 2]
        assert shape.fwhm[0, 12, x] == pytest.approx(above[-1] - above[0], rel=0.04)


def test_the_profile_is_recovered_to_three_percent_of_its_peak(shape, truth):
    for node in (4, 8, 12):
        x = shape.columns[node]
        u = shape.offsets * shape.fwhm[0, 12, int(x)] + truth.center_offset_px(87, x)
        expected = truth._profile(u, x)
        expected = expected / expected.sum() / (shape.offsets[1] - shape.offsets[0])
        assert np.max(np.abs(shape.values[0, node] - expected)) < 0.03 * expected.max()


def test_the_measured_profile_centers_bright_lines_better_than_a_gaussian(arc, shape, truth):
    def scatter(lines):
        bright = lines.used & (lines.x_error < 0.008)
        order, x = lines.order[bright], lines.x[bright]
        wavelength = truth.wavelength(1, order, x - truth.center_offset_px(order, x))
        place = np.clip(np.searchsorted(truth.vacuum_angstrom[listed], wavelength), 1, listed.sum() - 1)
        near = truth.vacuum_angstrom[listed]
        distance = np.where(
            np.abs(near[place] - wavelength) < np.abs(near[place - 1] - wavelength),
            near[place] - wavelength,
            near[place - 1] - wavelength,
        )
        pixel = distance / (wavelength * 1450 / 299792458)
        return np.median(np.abs(pixel[np.abs(pixel) < 0.5]))

    order = np.argsort(truth.vacuum_angstrom)
    object.__setattr__(truth, "vacuum_angstrom", truth.vacuum_angstrom[order])
    object.__setattr__(truth, "electrons", truth.electrons[order])
    listed = truth.electrons > 5000
    gaussian, empirical = scatter(arc_lines.find(arc, 1)), scatter(arc_lines.find(arc, 1, shape))
    assert empirical < 0.5 * gaussian
    assert empirical < 0.008


def test_the_skew_of_the_profile_is_found_in_a_faint_arc_of_few_orders(truth):
    """Ten orders at a twentieth of the light of `arc`: few lines are bright."""
    faint = arc_spectra.expose(truth, (1,), seed=9, orders=np.arange(80, 90), level=0.2, read_variance=2600)
    flux, variance, weight = arc_lines.prepared(faint, 1)
    row, fits = arc_lines.fitted(flux, variance, weight, faint.orders, 1)
    clean = arc_lines.undisturbed(faint, 1, row, fits)
    fits = fits[clean]
    assert 0 < np.sum(fits[:, 0] > 40 * fits[:, 5]) < 30
    found = line_spread.measure(np.where(weight > 0, flux, np.nan), variance, row[clean], fits, faint.orders, 1)
    assert len(found.columns) == 17
    for node in (4, 8, 12):
        x = found.columns[node]
        u = found.offsets * found.fwhm[0, 5, int(x)] + truth.center_offset_px(85, x)
        expected = truth._profile(u, x)
        expected = expected / expected.sum() / (found.offsets[1] - found.offsets[0])
        assert np.max(np.abs(found.values[0, node] - expected)) < 0.05 * expected.max()


def test_too_few_lines_give_a_gaussian_of_their_width():
    fits = np.array([[5000.0, 100 + 30 * i, 3.3, 0, 0.01, 10, 1, 12] for i in range(5)])
    shape = line_spread.measure(np.zeros((1, 400)), np.ones((1, 400)), np.zeros(5, int), fits, np.array([80]), 1)
    assert np.all(shape.fwhm == 3.3)


def test_the_shapes_of_two_fibers_join_and_can_be_taken_out_again():
    orders = np.arange(60, 70)
    both = line_spread.join(
        [line_spread.gaussian((0,), orders, 100, 3.0), line_spread.gaussian((2,), orders, 100, 5.0)]
    )
    one = line_spread.select(both, (2,), orders[3:5])
    assert both.fibers == (0, 2)
    assert one.fwhm.shape == (1, 2, 100)
    assert np.all(one.fwhm == 5)
    np.testing.assert_allclose(one.values, line_spread.gaussian((2,), orders, 100).values, atol=1e-12)
