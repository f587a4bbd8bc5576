"""Kernels of the cross-correlation against their definitions, and peaks against closed forms."""

import numpy as np
import pytest

from nrespipe.engine.spectrum import ccf

LIGHT_MS = 299792458.0


@pytest.fixture
def case():
    rng = np.random.default_rng(0)
    wavelength = np.cumsum(rng.uniform(0.01, 0.03, (3, 200)), axis=1) + np.array([[5000.0], [5003.0], [5006.0]])
    order = np.repeat(np.arange(3), 8)
    # some lines lie beyond the ends, or cross them on the way
    angstrom = np.sort(wavelength[:, :1] + rng.uniform(-0.3, 4.5, (3, 8)), axis=1).ravel()
    lines = ccf.Lines(order, angstrom, rng.uniform(0.1, 1.0, 24))
    return ccf.pixel_edges(wavelength), lines, np.linspace(-9e3, 9e3, 37), rng


def shares(edges, lines, grid_ms, box_ms):
    """What each pixel counts in each point: the definition, one line at a time."""
    result = np.zeros((len(edges), len(grid_ms), edges.shape[1] - 1))
    for order, angstrom, weight in zip(lines.order, lines.angstrom, lines.weight):
        for k, v in enumerate(grid_ms):
            center = angstrom * (1 + v / LIGHT_MS)
            low, high = center * (1 - box_ms / 2 / LIGHT_MS), center * (1 + box_ms / 2 / LIGHT_MS)
            overlap = np.minimum(high, edges[order, 1:]) - np.maximum(low, edges[order, :-1])
            result[order, k] += weight * np.clip(overlap, 0, None) / (high - low)
    return result


@pytest.mark.parametrize("box_ms", [300.0, 5000.0])
def test_the_function_is_the_weighted_mean_of_the_pixels_under_the_lines(case, box_ms):
    edges, lines, grid_ms, rng = case
    spectra = rng.random((2, 3, 200))
    expected = np.einsum("okp,sop->sok", shares(edges, lines, grid_ms, box_ms), spectra)
    np.testing.assert_allclose(ccf.correlate(spectra, edges, lines, grid_ms, box_ms), expected, rtol=1e-9)


@pytest.mark.parametrize("box_ms", [300.0, 5000.0])
def test_its_variance_knows_that_lines_share_pixels(case, box_ms):
    edges, lines, grid_ms, rng = case
    variance = rng.random((3, 200))
    expected = np.einsum("okp,op->ok", shares(edges, lines, grid_ms, box_ms) ** 2, variance)
    np.testing.assert_allclose(ccf.variance(variance, edges, lines, grid_ms, box_ms), expected, rtol=1e-9)


def test_the_projection_is_the_transpose_of_the_correlation(case):
    edges, lines, grid_ms, rng = case
    coefficients = rng.standard_normal((3, 37))
    expected = np.einsum("okp,ok->op", shares(edges, lines, grid_ms, 800.0), coefficients)
    found = ccf.projection(edges, lines, grid_ms, 800.0, coefficients)
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)


def test_a_gaussian_dip_is_recovered_exactly():
    grid_ms = np.arange(-20e3, 20e3, 500.0) + 31e3
    dip = 0.9 * (1 - 0.3 * np.exp(-0.5 * ((grid_ms - 31234.5) / 3400.0) ** 2))
    found = ccf.measure_dip(grid_ms, dip)
    assert found.center_ms == pytest.approx(31234.5, abs=1e-3)
    assert found.fwhm_ms == pytest.approx(3400.0 * 2.35482, rel=1e-5)
    assert (found.contrast, found.level) == pytest.approx((0.3, 0.9), rel=1e-6)


def test_the_bisector_of_a_symmetric_dip_is_upright_and_of_a_leaning_one_leans():
    grid_ms = np.arange(-20e3, 20e3, 100.0)
    upright = 1 - 0.3 * np.exp(-0.5 * (grid_ms / 3400.0) ** 2)
    leaning = upright - 0.03 * np.exp(-0.5 * ((grid_ms - 4000.0) / 2500.0) ** 2)
    assert abs(ccf.bisector_span(grid_ms, upright, ccf.measure_dip(grid_ms, upright))) < 1.0
    assert ccf.bisector_span(grid_ms, leaning, ccf.Dip(0.0, 8000.0, 0.3, 1.0)) > 20.0
