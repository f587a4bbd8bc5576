from itertools import pairwise

import numpy as np
import pytest
from scipy.interpolate import BSpline

from nrespipe.numerics import background_surface

STEP = 0.25
DISTANCES = np.arange(0, 22.1, STEP)
CLASSES = np.array([6.5, 8.5, 12.0, 18.0, 60.0])
KNOTS = np.array([6.5, 9.0, 13.0, 22.0])
SHAPE, INTERVALS = (150, 210), (3, 4)


def table():
    """Wings that are stronger below the trace than above."""
    return np.stack([0.002 * np.exp(-DISTANCES / 5), 0.001 * np.exp(-DISTANCES / 7)])


def wings_by_numpy(distance):
    below, above = (np.interp(np.abs(distance), DISTANCES, side, right=0.0) for side in table())
    return np.where(distance > 0, above, below) * (np.abs(distance) < DISTANCES[-1])


def test_wings_are_looked_up_between_the_entries_of_their_side_and_are_none_beyond_the_table():
    distances = np.r_[np.linspace(-25, 25, 1001), -22.0, 22.0, 0.0, 21.999]
    found = [background_surface.wings_at(table(), STEP, d) for d in distances]
    np.testing.assert_allclose(found, wings_by_numpy(distances), atol=1e-9)


def test_the_nearest_trace_of_every_pixel_is_found_up_to_eighty_pixels_away():
    centers = np.array([-30.2, np.nan, 40.7, 55.1, np.nan, 260.0, 330.5])
    found = background_surface.nearest_trace(300, centers)
    expected = np.nanmin(np.abs(np.arange(300)[:, None] - centers), axis=1)
    np.testing.assert_allclose(found[expected < 80], expected[expected < 80])
    assert (found[expected > 82] == 1e9).all()
    assert (background_surface.nearest_trace(50, np.full(3, np.nan)) == 1e9).all()


def frame(seed=1, n_columns=40, n_rows=260):
    """Four traces, two of them close, with gaps; light, floor and flaws."""
    rng = np.random.default_rng(seed)
    centers = np.array([-8.0, 60.3, 75.9, 190.2, 268.0]) + 0.05 * np.arange(n_columns)[:, None]
    centers[10:20, 2] = np.nan
    light = rng.uniform(1e4, 1e5, centers.shape)
    light[5, 1], light[6, 3] = np.nan, -200.0
    data = rng.normal(40, 9, (n_columns, n_rows))
    data[rng.random(data.shape) < 0.01] += 500
    floor = rng.uniform(30, 50, data.shape)
    mask = (rng.random(data.shape) < 0.05).astype(np.uint8)
    return data.astype(np.float32), floor.astype(np.float32), mask, centers, light


def hats(distance):
    """Hat functions at the knots, those below the trace first."""
    away = np.abs(distance)
    inside = (away >= KNOTS[0]) & (away < KNOTS[-1])
    each = np.array([np.interp(away, KNOTS, row) for row in np.eye(len(KNOTS))]) * inside
    return np.concatenate([each * (distance <= 0), each * (distance > 0)])


def cells_by_numpy(data, floor, mask, centers, light, rows, columns):
    """Cell by cell and class by class, with whole arrays."""
    x, y = np.meshgrid(np.arange(data.shape[0]), np.arange(data.shape[1]), indexing="ij")
    distance = y[..., None] - centers[:, None, :]
    near = np.nanmin(np.abs(distance), axis=2)
    lit = np.where(light > 0, light, 0)[:, None, :] * np.isfinite(distance)
    distance = np.nan_to_num(distance, nan=1e3)
    known = np.sum(lit * wings_by_numpy(distance), axis=2)
    hat = np.sum(lit * hats(distance), axis=3)
    result = []
    for j, i in np.ndindex(data.shape[0] // columns, data.shape[1] // rows):
        inside = (x // columns == j) & (y // rows == i) & (mask == 0)
        for low, high in pairwise(CLASSES):
            use = inside & (near >= low) & (near < high)
            if use.sum() < 12:
                continue
            values = (data - known)[use]
            noise = np.mean(floor[use] + known[use]) + max(np.median(values), 0)
            kept = values[np.abs(values - np.median(values)) < 3.5 * np.sqrt(noise)]
            means = [np.mean(each[use]) for each in (y, x, known, *hat)]
            result.append([kept.mean(), np.sqrt(noise / len(kept)), *means])
    return np.array(result)


@pytest.mark.parametrize(("rows", "columns"), [(64, 16), (50, 40), (37, 7)])
def test_cells_agree_with_averages_by_whole_arrays(rows, columns):
    each = frame()
    found = background_surface.cells(*each, table(), STEP, CLASSES, KNOTS, rows, columns)
    expected = cells_by_numpy(*each, rows, columns)
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


def test_the_mean_of_a_cell_is_right_within_its_error_and_cosmic_rays_do_not_count():
    data, floor, mask, centers, light = frame()
    light[:], floor[:] = 0, 41.0
    pulls = []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        data[:] = rng.normal(40, 9, data.shape)
        data[rng.random(data.shape) < 0.01] += 500
        points = background_surface.cells(data, floor, mask, centers, light, table(), STEP, CLASSES, KNOTS, 64, 20)
        pulls.append((points[:, 0] - 40) / points[:, 1])
    pulls = np.concatenate(pulls)
    assert abs(pulls.mean()) < 0.1
    assert 0.93 < pulls.std() < 1.07


def test_without_a_free_pixel_there_is_no_cell():
    data, floor, mask, centers, light = frame()
    mask[:] = 1
    assert len(background_surface.cells(data, floor, mask, centers, light, table(), STEP, CLASSES, KNOTS, 64, 16)) == 0


def test_wings_are_added_beyond_the_windows_of_the_traces_alone():
    _, _, _, centers, light = frame()
    found = np.full((40, 260), 7, np.float32)
    background_surface.add_wings(found, centers, light, table(), STEP, 8.5)
    distance = np.nan_to_num(np.arange(260)[:, None] - centers[:, None, :], nan=1e3)
    lit = np.where(light > 0, light, 0)[:, None, :]
    expected = 7 + np.sum(lit * wings_by_numpy(distance) * (np.abs(distance) > 8.5), axis=2)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def basis(place, size, n):
    return BSpline.design_matrix(place, np.linspace(-0.5 - 3 * size / n, size - 0.5 + 3 * size / n, n + 7), 3).toarray()


def products(row, column):
    """All products of splines at scattered places, shape (n_points, n_y * n_x)."""
    in_y, in_x = (basis(place, size, n) for place, size, n in zip((row, column), SHAPE, INTERVALS))
    return (in_y[:, :, None] * in_x[:, None, :]).reshape(len(row), -1)


def scatter(rng, n=600):
    return rng.uniform(0, SHAPE[0] - 1, n), rng.uniform(0, SHAPE[1] - 1, n)


@pytest.mark.parametrize("prior", [0.1, np.inf])
@pytest.mark.parametrize("n_extra", [0, 2])
def test_the_surface_is_that_of_dense_least_squares(prior, n_extra):
    rng = np.random.default_rng(2)
    row, column = scatter(rng)
    level, weight = rng.normal(50, 20, len(row)), rng.uniform(0, 2, len(row))
    weight[::7] = 0
    extra = rng.uniform(0, 3, (len(row), n_extra))
    found, factors, covariance = background_surface.surface(
        row, column, level, weight, extra, prior, SHAPE, INTERVALS, 1e-3
    )
    design = np.hstack([products(row, column), extra]) * weight[:, None]
    normal, n = design.T @ design, found.size
    rough = np.zeros((n, n))
    for axis, others in ((0, found.shape[1]), (1, found.shape[0])):
        for i in range(found.shape[axis] - 2):
            for other in range(others):
                grid = np.zeros(found.shape)
                np.moveaxis(grid, axis, 0)[i : i + 3, other] = (1, -2, 1)
                rough += np.outer(grid, grid)
    normal[:n, :n] += 1e-3 * np.median(normal.diagonal()[:n]) * rough
    normal[n:, n:] += np.eye(n_extra) / prior**2
    expected = np.linalg.solve(normal, design.T @ (level * weight))
    np.testing.assert_allclose(np.r_[found.ravel(), factors], expected, rtol=1e-4, atol=1e-3)
    np.testing.assert_allclose(covariance, np.linalg.inv(normal)[:n, :n], rtol=1e-4, atol=1e-6)


def test_a_plane_is_recovered_exactly_from_scattered_points():
    """It has no second differences, so the stiffness costs nothing; where there are no points it is continued."""
    rng = np.random.default_rng(3)
    row, column = scatter(rng)
    hole = (row > 60) & (row < 110) & (column > 80) & (column < 150)
    row, column = row[~hole], column[~hole]
    level = 30 + 0.1 * row - 0.05 * column
    none = np.zeros((len(row), 0))
    arrays = (row, column, level, np.ones(len(row)), none)
    coefficients, _, _ = background_surface.surface(*arrays, np.inf, SHAPE, INTERVALS, 1e-3)
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    np.testing.assert_allclose(background_surface.on_image(coefficients, SHAPE), 30 + 0.1 * y - 0.05 * x, atol=0.01)
    np.testing.assert_allclose(background_surface.at_points(coefficients, row, column, SHAPE), level, atol=0.01)


def test_a_surface_is_the_same_on_the_image_and_at_points():
    rng = np.random.default_rng(4)
    coefficients = rng.normal(0, 10, (INTERVALS[0] + 3, INTERVALS[1] + 3))
    image = background_surface.on_image(coefficients, SHAPE)
    y, x = (each.ravel().astype(float) for each in np.mgrid[: SHAPE[0], : SHAPE[1]])
    assert image.shape == SHAPE
    np.testing.assert_allclose(background_surface.at_points(coefficients, y, x, SHAPE), image.ravel(), atol=1e-4)
    np.testing.assert_allclose(products(y, x) @ coefficients.ravel(), image.ravel(), atol=1e-4)


def test_the_variance_of_a_surface_is_that_of_many_surfaces_through_noise():
    rng = np.random.default_rng(5)
    row, column = scatter(rng)
    error = rng.uniform(0.5, 2, len(row))
    none = np.zeros((len(row), 0))
    surfaces = []
    for _ in range(150):
        level = rng.normal(0, error)
        fit = background_surface.surface(row, column, level, 1 / error, none, np.inf, SHAPE, INTERVALS, 1e-6)
        surfaces.append(background_surface.on_image(fit[0], SHAPE)[1::10, 1::10])
    found = background_surface.variance_on_image(fit[2], SHAPE, INTERVALS, cell=2)[1::10, 1::10]
    seen = np.var(surfaces, axis=0)
    # 150 surfaces tell a variance to 12 percent
    assert np.mean(seen / found) == pytest.approx(1, abs=0.05)
    assert (np.abs(seen / found - 1) < 0.45).all()


@pytest.mark.parametrize("cell", [64, 13])
def test_the_variance_of_a_square_is_that_of_its_middle(cell):
    rng = np.random.default_rng(6)
    row, column = scatter(rng, 300)
    none = np.zeros((len(row), 0))
    _, _, covariance = background_surface.surface(
        row, column, row, np.ones(len(row)), none, np.inf, SHAPE, INTERVALS, 1e-3
    )
    found = background_surface.variance_on_image(covariance, SHAPE, INTERVALS, cell)
    assert found.shape == SHAPE
    for y, x in ((0, 0), (70, 100), (149, 209), (30, 205)):
        middle = [min(place // cell * cell + cell / 2, size - 1) for place, size in zip((y, x), SHAPE)]
        at = products(*(np.array([each]) for each in middle))[0]
        assert found[y, x] == pytest.approx(at @ covariance @ at, rel=1e-4)
