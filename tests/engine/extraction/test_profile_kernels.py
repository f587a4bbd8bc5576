"""The compiled functions of the profile, each against an obvious twin in NumPy."""

import numpy as np
import pytest

from nrespipe.engine.extraction import pixel_response, profile

OFFSETS = np.arange(-10, 10.01, 0.05)
CHUNKS = np.array([5.0, 20.0, 33.0])
N = (40, 64)


@pytest.fixture
def close_traces():
    """Three overlapping traces with a profile that changes along them; one center and one flux are missing."""
    rng = np.random.default_rng(3)
    sigma = np.array([[1.6, 1.8, 2.0]]).T * np.array([1.0, 1.1, 1.3])
    tables = np.exp(-0.5 * (OFFSETS / sigma[..., None]) ** 2) / (sigma[..., None] * np.sqrt(2 * np.pi))
    centers = 22 + 9.0 * np.arange(3) + 0.07 * np.arange(N[0])[:, None]
    centers[5, 1] = np.nan
    flux = rng.uniform(100, 900, (3, N[0]))
    return rng, centers, tables.astype(np.float32), flux


def share(tables, k, x, u):
    table = [np.interp(x, CHUNKS, tables[k, :, i]) for i in range(len(OFFSETS))]
    return np.interp(u, OFFSETS, table, 0, 0)


def test_the_model_of_an_image_is_the_sum_of_its_traces(close_traces):
    _, centers, tables, flux = close_traces
    model = pixel_response._model_image(N[::-1], centers, tables, CHUNKS, -10.0, 0.05, 8.5, flux)
    expected, rows = np.zeros(N), np.arange(N[1])
    for x, k in np.ndindex(*centers.shape):
        u = rows - centers[x, k]
        expected[x] += np.where(np.abs(u) <= 8.5, flux[k, x] * share(tables, k, x, u), 0)
    np.testing.assert_allclose(model, expected.T, rtol=2e-5, atol=1e-4)


@pytest.mark.slow
def test_the_points_of_a_profile_are_the_pixels_without_the_light_of_the_neighbors(close_traces):
    rng, centers, tables, flux = close_traces
    flux[1, 7] = -3.0
    data, floor = rng.normal(50, 20, N), rng.uniform(20, 30, N)
    bad = (rng.random(N) < 0.05).astype(np.uint8)
    u, value, weight = profile._points(data, floor, bad, centers, tables, CHUNKS, flux, 1, 2, 38)
    expected = []
    for x in range(2, 38):
        for y in range(N[1]):
            d, s = y - centers[x, 1], flux[1, x]
            if not np.abs(d) <= profile._REACH or s <= 0 or bad[x, y]:
                continue
            own = s * share(tables, 1, x, d)
            others = sum(max(flux[i, x], 0) * share(tables, i, x, y - centers[x, i]) for i in (0, 2))
            if others <= 2 * own + 0.003 * s or np.abs(d) <= 5:
                variance = floor[x, y] + own + others + (0.02 * others) ** 2
                expected.append((d, (data[x, y] - others) / s, s**2 / variance))
    np.testing.assert_allclose(np.stack([u, value, weight], axis=1), expected, rtol=1e-4, atol=1e-5)
