import extracted_arcs
import numpy as np
import pytest

from nrespipe import instruments
from nrespipe.engine.wavelength import arc_lines, line_spread
from nrespipe.simulator import bench as benches
from nrespipe.simulator import lamps, lineshape, pixel_kernels


@pytest.fixture(scope="module")
def bench():
    return benches.build(instruments.load("nres01"), seed=8)


@pytest.fixture(scope="module")
def arc(bench):
    return extracted_arcs.expose(bench, (1,), seed=9, orders=np.arange(75, 100), lamp=4, read_variance=2600)


@pytest.fixture(scope="module")
def shape(arc):
    flux, variance, weight = arc_lines.without_background(arc, 1)
    row, fits = arc_lines.fit(flux, variance, weight, arc.orders, 1)
    clean = arc_lines.undisturbed(arc, 1, row, fits)
    seen = np.where(weight > 0, flux, np.nan)
    return line_spread.measure(seen, variance, row[clean], fits[clean], arc.orders, 1)


def _profile(bench, order, x, u):
    """Image of a line, which the pixel widens, at distances `u` from its center of light [pixel]."""
    width = lineshape.widths(bench, 1, np.array([x]))[order - bench.spectrograph.first_order, 0]
    return pixel_kernels.pixel_shape(u, width, lineshape.softness(bench, 1, x))


def _around_its_gaussian(bench, order, x, u):
    """The same at distances from the center of the Gaussian that fits it, with a sum of 1."""
    offset = extracted_arcs.offset_px(bench, 1, np.array([x]))[order - bench.spectrograph.first_order, 0]
    values = _profile(bench, order, x, u - offset)
    return values / values.sum()


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


def test_the_width_that_doubles_along_the_order_is_recovered_to_four_percent(shape, bench):
    u = np.arange(-30, 30, 0.01)
    for x in (300, 1200, 2048, 3000, 3800):
        values = _profile(bench, 87, x, u)
        above = u[values > values.max() / 2]
        assert shape.fwhm[0, 12, x] == pytest.approx(above[-1] - above[0], rel=0.04)


def test_the_profile_is_recovered_to_three_percent_of_its_peak(shape, bench):
    for node in (4, 8, 12):
        x = shape.columns[node]
        expected = _around_its_gaussian(bench, 87, x, shape.offsets * shape.fwhm[0, 12, int(x)])
        expected = expected / (shape.offsets[1] - shape.offsets[0])
        assert np.max(np.abs(shape.values[0, node] - expected)) < 0.03 * expected.max()


def test_the_measured_profile_centers_bright_lines_better_than_a_gaussian(arc, shape, bench):
    angstrom, flux, _ = lamps.thorium_argon()
    near = angstrom[flux > 20_000]

    def scatter(lines):
        bright = lines.used & (lines.x_error < 0.008)
        order, x = lines.order[bright], lines.x[bright]
        wavelength = np.array([extracted_arcs.wavelength(bench, 1, [c], orders=[o])[0, 0] for o, c in zip(order, x)])
        place = np.clip(np.searchsorted(near, wavelength), 1, len(near) - 1)
        before, after = near[place - 1] - wavelength, near[place] - wavelength
        distance = np.where(np.abs(after) < np.abs(before), after, before)
        pixel = distance / (wavelength * 1450 / 299792458)
        return np.median(np.abs(pixel[np.abs(pixel) < 0.5]))

    gaussian, empirical = scatter(arc_lines.find(arc, 1)), scatter(arc_lines.find(arc, 1, shape))
    assert empirical < 0.5 * gaussian
    assert empirical < 0.008


def test_the_skew_of_the_profile_is_found_in_a_faint_arc_of_few_orders(bench):
    """Ten orders at a fortieth of the light of `arc`: few lines are bright."""
    faint = extracted_arcs.expose(bench, (1,), seed=9, orders=np.arange(80, 90), lamp=0.1, read_variance=2600)
    flux, variance, weight = arc_lines.without_background(faint, 1)
    row, fits = arc_lines.fit(flux, variance, weight, faint.orders, 1)
    clean = arc_lines.undisturbed(faint, 1, row, fits)
    fits = fits[clean]
    assert 0 < np.sum(fits[:, 0] > 40 * fits[:, 5]) < 30
    found = line_spread.measure(np.where(weight > 0, flux, np.nan), variance, row[clean], fits, faint.orders, 1)
    assert len(found.columns) == 17
    for node in (4, 8, 12):
        x = found.columns[node]
        expected = _around_its_gaussian(bench, 85, x, found.offsets * found.fwhm[0, 5, int(x)])
        expected = expected / (found.offsets[1] - found.offsets[0])
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
