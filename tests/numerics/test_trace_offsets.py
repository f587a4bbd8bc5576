import numpy as np
import pytest

from nrespipe.numerics import column_model

OFFSETS = np.arange(-10, 10.01, 0.05)
CHUNKS = np.array([5.0, 20.0, 33.0])


@pytest.mark.parametrize("bottom", [25.0, 3.0, 58.0])
def test_the_offset_of_each_column_is_that_of_a_plain_least_squares_fit(bottom):
    rng = np.random.default_rng(3)
    sigma = np.array([[1.6, 1.8, 2.0]]).T * np.array([1.0, 1.1, 1.3])
    tables = np.exp(-0.5 * (OFFSETS / sigma[..., None]) ** 2) / (sigma[..., None] * np.sqrt(2 * np.pi))
    tables = tables.astype(np.float32)
    centers = bottom + 6.0 * np.arange(3) + 0.07 * np.arange(40)[:, None]
    centers[5, 1] = np.nan
    response = rng.normal(1, 0.02, (40, 64)).astype(np.float32)
    data = rng.normal(50, 20, (40, 64)).astype(np.float32)
    floor = rng.uniform(20, 30, (40, 64)).astype(np.float32)
    bad = (rng.random((40, 64)) < 0.03).astype(np.uint8)
    flux = rng.uniform(100, 900, (3, 40))
    flux[2, 9] = np.nan
    offset, weight = column_model.trace_offsets(
        data, floor, bad, response, centers, tables, CHUNKS, -10.0, 0.05, 8.5, flux, 1
    )
    rows = np.arange(64)
    for x in range(40):
        shapes, slopes = np.zeros((3, 64)), np.zeros((3, 64))
        for k in range(3):
            if np.isfinite(centers[x, k] + flux[k, x]):
                table = [np.interp(x, CHUNKS, tables[k, :, i]) for i in range(len(OFFSETS))]
                u = rows - centers[x, k]
                upper, lower = (np.interp(u + step, OFFSETS, table, 0, 0) for step in (0.1, -0.1))
                inside = np.abs(u) <= 8.5
                shapes[k] = np.where(inside, flux[k, x] * np.interp(u, OFFSETS, table) * response[x], 0)
                slopes[k] = np.where(inside, -flux[k, x] * (upper - lower) / 0.2 * response[x], 0)
        model = shapes.sum(axis=0)
        w = (bad[x] == 0) / (floor[x] + np.maximum(model, 0))
        for k in range(3):
            expected = np.sum(w * slopes[k] ** 2)
            assert weight[k, x] == pytest.approx(expected, rel=1e-5)
            if expected > 0:
                assert offset[k, x] == pytest.approx(np.sum(w * slopes[k] * (data[x] - model)) / expected, rel=1e-4)


def test_only_every_so_manyth_column_is_used():
    arrays = np.full((40, 64), 30.0, np.float32), np.full((40, 64), 9.0, np.float32), np.zeros((40, 64), np.uint8)
    table = np.exp(-0.5 * (OFFSETS / 2) ** 2)[None, None].astype(np.float32) / 5
    centers, even = np.full((40, 1), 30.0), np.ones((40, 64), np.float32)
    grid = np.array([20.0]), -10.0, 0.05, 8.5
    _, weight = column_model.trace_offsets(*arrays, even, centers, table, *grid, np.full((1, 40), 100.0), 8)
    np.testing.assert_array_equal(np.flatnonzero(weight[0]), np.arange(4, 40, 8))
