"""The compiled functions of the engine, each against an obvious twin in NumPy."""

import numpy as np
import pytest

from nrespipe.engine.spectrum import ccf, synthetic
from nrespipe.engine.wavelength import identify


@pytest.fixture
def mask():
    """Two orders of uneven pixels that overlap, and lines in both, some off their ends."""
    rng = np.random.default_rng(8)
    steps = rng.uniform(0.02, 0.06, (2, 300))
    edges = np.array([5000.0, 5008.0])[:, None] + np.concatenate([np.zeros((2, 1)), np.cumsum(steps, axis=1)], axis=1)
    order = np.repeat([0, 1], 12)
    angstrom = np.concatenate([np.sort(rng.uniform(edges[o, 0] - 0.2, edges[o, -1] + 0.2, 12)) for o in (0, 1)])
    factors = 1 + np.arange(-5, 6) * 2e-6
    return rng, edges, order, angstrom, rng.uniform(0.1, 1, 24), factors, 4e-6


def overlaps(edges, order, angstrom, weight, factors, half):
    """Share of each line in each pixel of its order, shape (line, shift, pixel)."""
    middle = angstrom[:, None] * factors
    low, high = (middle * (1 - half))[..., None], (middle * (1 + half))[..., None]
    left, right = edges[order, :-1][:, None], edges[order, 1:][:, None]
    return weight[:, None, None] * np.clip(np.minimum(high, right) - np.maximum(low, left), 0, None) / (high - low)


def of_orders(values, order):
    return np.stack([values[order == o].sum(axis=0) for o in (0, 1)])


def test_the_correlation_is_the_light_in_the_windows_of_the_lines(mask):
    rng, edges, order, *rest = mask
    spectra, shares = rng.normal(1, 0.3, (3, 2, 300)), overlaps(edges, order, *rest)
    expected = np.stack([of_orders(np.einsum("lki,li->lk", shares, one[order]), order) for one in spectra])
    np.testing.assert_allclose(ccf._correlate(spectra, edges, order, *rest), expected, rtol=1e-9, atol=1e-12)


def test_the_variance_of_the_correlation_counts_a_pixel_in_two_windows_once(mask):
    rng, edges, order, *rest = mask
    variance, shares = rng.uniform(0.5, 2, (2, 300)), overlaps(edges, order, *rest)
    expected = np.einsum("oki,oi->ok", of_orders(shares, order) ** 2, variance)
    np.testing.assert_allclose(ccf._variance(variance, edges, order, *rest), expected, rtol=1e-9, atol=1e-12)


def test_the_projection_is_the_correlation_turned_round(mask):
    rng, edges, order, *rest = mask
    coefficients, shares = rng.normal(size=(2, 11)), overlaps(edges, order, *rest)
    expected = np.einsum("oki,ok->oi", of_orders(shares, order), coefficients)
    np.testing.assert_allclose(ccf._projection(edges, order, *rest, coefficients), expected, rtol=1e-9, atol=1e-12)


def test_the_optical_depth_is_a_sum_of_gaussians():
    rng = np.random.default_rng(2)
    positions, tau, sigma = rng.uniform(-20, 520, 60), rng.uniform(0, 2, 60), 3.0
    distance = np.abs(np.arange(500) - positions[:, None]) / sigma
    expected = np.sum(np.where(distance <= synthetic._REACH, tau[:, None] * np.exp(-0.5 * distance**2), 0), axis=0)
    np.testing.assert_allclose(synthetic._optical_depth(500, positions, tau, sigma), expected, rtol=1e-9, atol=1e-12)
    assert np.exp(-0.5 * synthetic._REACH**2) < 1e-3


@pytest.mark.parametrize("columns", [np.array([40.0]), np.array([10.0, 30.0, 70.0])])
@pytest.mark.slow
def test_the_convolution_takes_light_from_where_it_belongs(columns):
    rng = np.random.default_rng(4)
    flux, slope, offsets = rng.normal(1, 0.1, 400), rng.normal(0, 1, 400), np.linspace(-2, 2, 9)
    grid = 30 + np.array([[3.3], [3.1]]) * np.arange(90)
    fwhm, kernels = rng.uniform(2, 4, (2, 90)), rng.uniform(0, 1, (len(columns), 9))
    kernel = np.stack([np.interp(np.arange(90), columns, kernels[:, k]) for k in range(9)], axis=1)
    found = synthetic._convolve(flux, slope, grid, fwhm, offsets, kernels, columns)
    for values, result in zip((flux, slope), found):
        expected = np.zeros((2, 90))
        for o in range(2):
            x = np.arange(90)[:, None] - offsets * fwhm[o][:, None]
            # beyond the ends the grid goes on as it ended
            step = grid[o, 1] - grid[o, 0]
            expected[o] = np.sum(kernel * np.interp(grid[o, 0] + x * step, np.arange(400), values), axis=1)
        np.testing.assert_allclose(result, expected, atol=1e-9)


def test_votes_are_the_products_of_pairs_at_their_distance():
    rng = np.random.default_rng(5)
    x, height = rng.uniform(0, 1000, 30), rng.uniform(0, 1, 30)
    predicted, brightness = rng.uniform(0, 1000, 40), rng.uniform(0, 1, 40)
    votes = np.zeros((4, 201))
    identify._count(x, height, predicted, brightness, 1000, votes)
    place = np.rint(x[:, None] - predicted).astype(int) + 100
    inside = (place >= 0) & (place < 201)
    expected = np.zeros_like(votes)
    segment = np.broadcast_to((x * 4 / 1000).astype(int)[:, None], place.shape)
    np.add.at(expected, (segment[inside], place[inside]), np.outer(height, brightness)[inside])
    np.testing.assert_allclose(votes, expected, rtol=1e-12)


def test_the_search_sums_the_votes_along_every_plane():
    rng = np.random.default_rng(6)
    votes, orders, places = rng.uniform(size=(3, 4, 41)), np.array([-1.0, 0.1, 1.0]), np.linspace(-0.75, 0.75, 4)
    by_order, by_x = np.array([-3.0, 0.0, 4.0]), np.array([-20.0, 1.0, 15.0])
    score = identify._search(votes, orders, places, by_order, by_x, 10)
    padded = np.pad(votes, ((0, 0), (0, 0), (100, 100)))
    for a, b, c in np.ndindex(*score.shape):
        offset = np.rint(by_order[a] * orders[:, None] + by_x[b] * places).astype(int) + 20 + c - 10 + 100
        expected = np.take_along_axis(padded, offset[..., None], axis=2).sum()
        assert score[a, b, c] == pytest.approx(expected, rel=1e-12)
