"""Kernels against plain sums, and light against where it should fall."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nrespipe.simulator import lineshape, pixel_kernels

COLUMNS = 64


def _table(values, table, reach):
    places = np.linspace(-reach, reach, len(table))
    return np.interp(values, places, table)


def test_a_line_gives_all_its_light_and_its_centroid_is_its_position():
    offsets = np.arange(-40, 41)
    for softness in (0.0, 0.5, 1.0):
        for width in (2.8, 6.0):
            for phase in (-0.4, 0.0, 0.3):
                share = pixel_kernels.pixel_shape(offsets - phase, width, softness)
                assert share.sum() == pytest.approx(1, abs=1e-12)
                # 1e-4 px is about 0.15 m/s
                assert np.sum(share * offsets) == pytest.approx(phase, abs=1e-4)


def test_the_line_shape_is_skewed_and_wider_than_a_gaussian_in_its_wings():
    offsets = np.arange(-60, 61) / 10
    share = pixel_kernels.pixel_shape(offsets, 3.6, 0.5)
    third = np.sum(share * offsets**3) / np.sum(share)
    assert third > 0.5
    gaussian = np.exp(-4 * np.log(2) * (5.5 / 3.7) ** 2)
    assert pixel_kernels.pixel_shape(np.array([5.5]), 3.6, 0.5)[0] > 2 * gaussian * share.max()


@settings(max_examples=30, deadline=None)
@given(st.floats(-5, COLUMNS + 5), st.floats(2.5, 6.5), st.floats(0, 1))
def test_the_kernel_of_lines_agrees_with_the_plain_shape(x, width, softness):
    one = (np.array([v]) for v in (x, 100.0, width, softness))
    got = pixel_kernels.lines(*one, COLUMNS)
    expected = 100 * pixel_kernels.pixel_shape(pixel_kernels.grid(COLUMNS) - x, width, softness)
    np.testing.assert_allclose(got, expected, atol=1e-9)


def test_the_kernel_of_blur_agrees_with_a_plain_sum_of_shapes():
    x = pixel_kernels.grid(COLUMNS)
    samples = np.random.default_rng(1).uniform(0, 10, len(x))
    width, softness = np.full(len(x), 3.3), np.full(len(x), 0.4)
    expected = pixel_kernels.pixel_shape(x[:, None] - x, 3.3, 0.4) @ samples
    np.testing.assert_allclose(pixel_kernels.blur(samples, width, softness), expected, rtol=1e-9, atol=1e-9)


def test_blur_and_lines_agree_where_the_width_changes_along_the_order():
    x = pixel_kernels.grid(4096)
    width, softness = 2.8 + 3.2 * np.clip(x / 4096, 0, 1) ** 2, 0.1 + 0.8 * np.clip(x / 4096, 0, 1)
    samples = np.zeros(len(x))
    places = np.arange(400, len(x) - 400, 777)
    samples[places] = 1000.0
    lines = pixel_kernels.lines(x[places], np.full(len(places), 1000.0), width[places], softness[places], 4096)
    blurred = pixel_kernels.blur(samples, width, softness)
    np.testing.assert_allclose(blurred, lines, atol=0.02)
    assert blurred.sum() == pytest.approx(lines.sum(), rel=1e-9)


def test_paint_agrees_with_plain_interpolation():
    symmetric, odd = lineshape.across()
    x = np.arange(COLUMNS)
    spectrum = 50 + 20 * np.sin(pixel_kernels.grid(COLUMNS) / 4)
    rows, slant = 20 + 0.1 * x, np.full((2, COLUMNS), [[0.02], [0.004]])
    image = np.zeros((48, COLUMNS), np.float32)
    pixel_kernels.paint(image, spectrum, rows, slant, 1.02, 0.5, symmetric, odd, lineshape.STEP)
    y = np.arange(48)[:, None]
    dy, reach = y - rows, lineshape.REACH_ACROSS
    both = symmetric + 0.5 * odd
    share = _table((dy + 0.5) / 1.02, both, reach) - _table((dy - 0.5) / 1.02, both, reach)
    bend = 0.004 * (dy**2 - np.sum(share * dy**2, axis=0))
    expected = share * (50 + 20 * np.sin((x - 0.02 * dy - bend) / 4))
    np.testing.assert_allclose(image, expected, atol=1e-3)
    assert image.sum() == pytest.approx(spectrum[104 : 104 + 4 * COLUMNS : 4].sum(), rel=2e-4)


def test_the_profile_across_keeps_its_sum_and_its_center_when_it_is_skewed():
    symmetric, odd = lineshape.across()
    offsets = np.linspace(-lineshape.REACH_ACROSS, lineshape.REACH_ACROSS, len(symmetric))
    middle = (offsets[1:] + offsets[:-1]) / 2
    for skew in (0.0, 1.0):
        density = np.diff(symmetric + skew * odd)
        assert density.min() >= 0
        assert density.sum() == pytest.approx(1, abs=1e-9)
        assert np.sum(density * middle) == pytest.approx(0, abs=1e-3)
        above = middle[density > density.max() / 2]
        assert 4.0 < above[-1] - above[0] < 5.2
        # wings beyond 8 pixels hold a percent or so
        assert 0.0005 < density[np.abs(middle) > 8].sum() < 0.02


@settings(max_examples=30, deadline=None)
@given(st.floats(2, 95))
def test_interpolation_is_exact_for_a_cubic(place):
    polynomial = np.polynomial.Polynomial([1.0, -0.3, 0.02, -1e-4])
    got = pixel_kernels.sampled(polynomial(np.arange(100.0)), 0.0, 1.0, np.array([place]))
    assert got[0] == pytest.approx(polynomial(place), rel=1e-9, abs=1e-9)


def test_interpolation_outside_the_grid_gives_nothing():
    assert np.all(pixel_kernels.sampled(np.ones(10), 0.0, 1.0, np.array([-3.0, 0.5, 9.5, 99.0])) == 0)


def test_gaussians_are_added_where_they_belong():
    values = np.zeros(100)
    pixel_kernels.add_gaussians(values, np.array([40.25, 97.0]), np.array([2.0, 1.0]), 3.0)
    x = np.arange(100)
    expected = 2 * np.exp(-0.5 * ((x - 40.25) / 3) ** 2) + np.exp(-0.5 * ((x - 97) / 3) ** 2)
    np.testing.assert_allclose(values, expected, atol=3e-9)
