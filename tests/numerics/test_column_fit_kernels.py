import numpy as np
import pytest

from nrespipe.numerics import column_fit_kernels


def scene(seed=1, n_columns=40, n_rows=120):
    """Three overlapping traces with a Gaussian profile, and everything the kernel wants to know of them."""
    rng = np.random.default_rng(seed)
    offsets = np.arange(-10, 10.01, 0.05)
    shape = np.exp(-0.5 * (offsets / 2.0) ** 2) / (2.0 * np.sqrt(2 * np.pi))
    tables = np.tile(shape.astype(np.float32), (3, 2, 1))
    centers = np.array([30.2, 42.7, 58.1]) + 0.05 * np.arange(n_columns)[:, None]
    flux = rng.uniform(200, 50_000, (3, n_columns))
    rows = np.arange(n_rows)
    shares = np.exp(-0.5 * ((rows - centers[..., None]) / 2.0) ** 2) / (2.0 * np.sqrt(2 * np.pi))
    shares[np.abs(rows - centers[..., None]) > 8.5] = 0
    return SimpleScene(offsets, tables, centers, flux, shares, rng)


class SimpleScene:
    def __init__(self, offsets, tables, centers, flux, shares, rng):
        self.tables, self.centers, self.flux, self.shares, self.rng = tables, centers, flux, shares, rng
        self.light = np.einsum("kx,xkr->xr", flux, shares)
        self.grid = (np.array([10.0, 30.0]), offsets[0], 0.05, 8.5)

    def extract(self, data, floor=49.0, threshold=np.inf, bad=None, guard=0.01):
        bad = np.zeros(data.shape, np.uint8) if bad is None else bad
        arrays = (data.astype(np.float32), np.full(data.shape, floor, np.float32), bad, np.ones(data.shape, np.float32))
        start = np.full(self.flux.shape, np.nan)
        result = column_fit_kernels.fit_exact_response(
            *arrays, self.centers, self.tables, *self.grid, np.full(3, guard), threshold, start, 12
        )
        return (*result, bad)


def test_light_without_noise_is_recovered_to_a_part_in_ten_thousand():
    s = scene()
    flux, _, used, _ = s.extract(s.light)
    np.testing.assert_allclose(flux, s.flux, rtol=2e-4)
    assert used.min() > 0.99


def test_the_kernel_agrees_with_weighted_least_squares_by_dense_algebra():
    s = scene()
    data = s.rng.poisson(s.light) + s.rng.normal(0, 7, s.light.shape)
    flux, variance, _, _ = s.extract(data)
    for x in (0, 17, 39):
        design = s.shares[x].T
        model = s.light[x]
        for _ in range(6):
            weight = 1 / (49.0 + np.maximum(model, 0))
            normal = design.T @ (design * weight[:, None])
            best = np.linalg.solve(normal, design.T @ (weight * data[x]))
            model = design @ np.maximum(best, 0)
        np.testing.assert_allclose(flux[:, x], best, rtol=2e-3)
        np.testing.assert_allclose(variance[:, x], np.diag(np.linalg.inv(normal)), rtol=2e-3)


def test_traces_that_cross_give_the_same_light_whichever_is_called_the_lower():
    """As fibers 0 and 2 of neighboring orders do, where both show a star."""
    s = scene(seed=4, n_columns=60)
    s.centers[:, 1] = s.centers[:, 0] + np.linspace(-7, 7, 60)
    s.shares = np.exp(-0.5 * ((np.arange(120) - s.centers[..., None]) / 2.0) ** 2) / (2.0 * np.sqrt(2 * np.pi))
    s.shares[np.abs(np.arange(120) - s.centers[..., None]) > 8.5] = 0
    data = np.einsum("kx,xkr->xr", s.flux, s.shares)
    one = s.extract(data)[:2]
    s.centers = np.ascontiguousarray(s.centers[:, [1, 0, 2]])
    other = [values[[1, 0, 2]] for values in s.extract(data)[:2]]
    np.testing.assert_allclose(one, other, rtol=1e-5)
    apart = np.abs(np.linspace(-7, 7, 60)) > 2
    np.testing.assert_allclose(one[0][:, apart], s.flux[:, apart], rtol=2e-3)


def test_errors_of_the_extracted_light_are_true():
    pulls = []
    for seed in range(30):
        s = scene(seed)
        data = s.rng.poisson(s.light) + s.rng.normal(0, 7, s.light.shape)
        flux, variance, _, _ = s.extract(data)
        pulls.append((flux - s.flux) / np.sqrt(variance))
    assert abs(np.std(pulls) - 1) < 0.04
    assert abs(np.mean(pulls)) < 0.06


def test_a_cosmic_ray_is_found_and_does_not_change_the_light():
    s = scene()
    data = s.rng.poisson(s.light) + s.rng.normal(0, 7, s.light.shape)
    hit = data.copy()
    hit[12, 43] += 6000.0
    clean, variance, _, _ = s.extract(data, threshold=5.5)
    flux, _, _, bad = s.extract(hit, threshold=5.5)
    assert bad[12, 43] == 2
    assert abs(flux[1, 12] - clean[1, 12]) < 3 * np.sqrt(variance[1, 12])
    assert np.count_nonzero(bad) <= 3


def test_a_trace_that_is_not_there_gives_no_light_and_does_not_disturb_the_others():
    s = scene()
    s.centers[:, 1] = np.nan
    light = np.einsum("kx,xkr->xr", s.flux[[0, 2]], s.shares[:, [0, 2]])
    flux, variance, _, _ = s.extract(light)
    assert np.isnan(flux[1]).all()
    assert np.isnan(variance[1]).all()
    np.testing.assert_allclose(flux[[0, 2]], s.flux[[0, 2]], rtol=2e-4)


def test_the_offset_of_a_trace_is_measured_to_a_thousandth_of_a_pixel():
    s = scene()
    moved = s.centers + 0.02
    flux, _, _, bad = s.extract(s.light)
    arrays = (
        s.light.astype(np.float32),
        np.full(s.light.shape, 49, np.float32),
        bad,
        np.ones_like(s.light, np.float32),
    )
    offset, weight = column_fit_kernels.trace_offsets(*arrays, moved, s.tables, *s.grid, flux, 1)
    assert abs(np.average(offset, weights=weight) + 0.02) < 1e-3


GRID = (np.array([5.0, 20.0, 33.0]), -10.0, 0.05, 8.5)


def close_traces(bottom, n_columns=40, n_rows=64, seed=3, apart=6.0):
    """Three traces that overlap closely, rising, with a profile that changes along them and uneven pixels."""
    rng = np.random.default_rng(seed)
    offsets = np.arange(-10, 10.01, 0.05)
    sigma = np.array([[1.6, 1.8, 2.0]]).T * np.array([1.0, 1.1, 1.3])
    tables = np.exp(-0.5 * (offsets / sigma[..., None]) ** 2) / (sigma[..., None] * np.sqrt(2 * np.pi))
    centers = bottom + apart * np.arange(3) + 0.07 * np.arange(n_columns)[:, None]
    response = rng.normal(1, 0.02, (n_columns, n_rows)).astype(np.float32)
    return rng, centers, tables.astype(np.float32), response


def shares_by_numpy(response, centers, tables):
    """Profile times response on the whole column, by plain interpolation along chunks and offsets."""
    n_columns, n_rows = response.shape
    offsets, rows = -10 + 0.05 * np.arange(tables.shape[-1]), np.arange(n_rows)
    full = np.zeros((n_columns, centers.shape[1], n_rows))
    for x, k in np.ndindex(*centers.shape):
        table = [np.interp(x, GRID[0], tables[k, :, i]) for i in range(len(offsets))]
        u = rows - centers[x, k]
        full[x, k] = np.where(np.abs(u) <= 8.5, np.interp(u, offsets, table) * response[x], 0)
    return full


def on_columns(shares, first, n_rows):
    """Spread the windows of the kernel over whole columns."""
    full = np.zeros((*shares.shape[:2], n_rows))
    for x, k in np.argwhere(first >= 0):
        here = full[x, k, first[x, k] : first[x, k] + shares.shape[2]]
        here[:] = shares[x, k, : len(here)]
    return full


@pytest.mark.parametrize("shape", [(1, 1), (64, 128), (65, 63), (200, 7), (3, 130)])
@pytest.mark.parametrize("kind", [np.float32, np.uint8])
def test_a_transposed_image_has_its_columns_as_contiguous_rows(shape, kind):
    image = np.arange(np.prod(shape)).reshape(shape).astype(kind)
    turned = column_fit_kernels.transposed(image[:, ::1])
    np.testing.assert_array_equal(turned, image.T)
    assert turned.flags.c_contiguous
    assert turned.dtype == kind
    np.testing.assert_array_equal(
        column_fit_kernels.transposed(image[:, shape[1] // 2 :: 3]), image[:, shape[1] // 2 :: 3].T
    )


@pytest.mark.parametrize("bottom", [-14.0, -4.3, 20.5, 57.9, 80.0])
def test_shares_agree_with_plain_interpolation_wherever_the_traces_lie(bottom):
    _, centers, tables, response = close_traces(bottom)
    centers[7:12, 1] = np.nan
    shares, first = column_fit_kernels.shares_of(response, centers, tables, *GRID)
    expected = shares_by_numpy(response, np.nan_to_num(centers, nan=-1e3), tables)
    np.testing.assert_allclose(on_columns(shares, first, 64), expected, atol=1e-6)
    assert (first[7:12, 1] == -1).all()
    np.testing.assert_array_equal(first >= 0, (centers > -8.5) & (centers < 63 + 8.5))


def dense_fit(data, floor, error, bad, full, extra, start, passes):
    """Weighted least squares of one column by dense algebra: the weights of each pass from the model of the last."""
    light = start
    for _ in range(passes):
        model = extra + np.maximum(light, 0) @ full
        variance = floor + np.maximum(model, 0) + (error * np.maximum(model, 0)) ** 2
        weight = np.where(bad > 0, 0, 1 / variance)
        inverse = np.linalg.inv((full * weight) @ full.T)
        light = inverse @ (full @ (weight * (data - extra)))
    return light, np.diag(inverse)


@pytest.mark.parametrize("bottom", [-3.0, 20.5, 45.0])
def test_light_and_variance_agree_with_dense_algebra_to_a_part_in_ten_thousand(bottom):
    """With an uncertain response, light that is known, bad pixels, and traces at the edges of the detector."""
    rng, centers, tables, response = close_traces(bottom)
    shares, first = column_fit_kernels.shares_of(response, centers, tables, *GRID)
    full = on_columns(shares, first, 64)
    truth = rng.uniform(500, 60_000, (3, 40))
    extra = rng.normal(20, 30, (40, 64)).astype(np.float32)
    data = (np.einsum("kx,xky->xy", truth, full) + extra + rng.normal(0, 30, (40, 64))).astype(np.float32)
    floor = rng.uniform(30, 90, (40, 64)).astype(np.float32)
    error = rng.uniform(0.002, 0.02, (40, 64)).astype(np.float32)
    bad = (rng.random((40, 64)) < 0.04).astype(np.uint8)
    start, guard = truth * rng.uniform(0.5, 1.5, truth.shape), np.full(3, 0.01)
    arrays = (data, floor, error, bad.copy(), shares, first, extra)
    flux, variance, used = column_fit_kernels.fit(*arrays, guard, np.inf, start, 3)
    share = np.einsum("xky,xy->kx", full, bad == 0)
    np.testing.assert_allclose(used, share, atol=1e-5)
    for x in range(40):
        known = share[:, x] > 0.05
        # the kernel holds a trace that has next to no light at 0 and the others must not care
        if not known.all():
            continue
        light, square = dense_fit(data[x], floor[x], error[x], bad[x], full[x], extra[x], start[:, x], 3)
        np.testing.assert_allclose(flux[:, x], light, rtol=1e-4, atol=0.01 * np.sqrt(square).max())
        np.testing.assert_allclose(variance[:, x], square, rtol=1e-4)


def test_errors_are_true_where_the_response_is_uncertain_by_two_percent():
    """At 40 000 electrons the response then matters three times more than the photons do."""
    pulls = []
    for seed in range(25):
        rng, centers, tables, response = close_traces(20.5, seed=seed, apart=9.0)
        shares, first = column_fit_kernels.shares_of(response, centers, tables, *GRID)
        truth = np.full((3, 40), 40_000.0)
        light = np.einsum("kx,xky->xy", truth, on_columns(shares, first, 64))
        wrong = light * rng.normal(1, 0.02, light.shape)
        data = (rng.poisson(np.maximum(wrong, 0)) + rng.normal(0, 6, light.shape)).astype(np.float32)
        floor, error = np.full_like(data, 36), np.full_like(data, 0.02)
        bad, none = np.zeros(data.shape, np.uint8), np.zeros_like(data)
        arrays = (data, floor, error, bad, shares, first, none)
        flux, variance, _ = column_fit_kernels.fit(*arrays, np.zeros(3), np.inf, np.full(truth.shape, np.nan), 4)
        pulls.append((flux - truth) / np.sqrt(variance))
    assert abs(np.std(pulls) - 1) < 0.04
    assert abs(np.mean(pulls)) < 0.06


def test_light_that_is_known_is_not_fitted_again():
    rng, centers, tables, response = close_traces(20.5)
    shares, first = column_fit_kernels.shares_of(response, centers, tables, *GRID)
    truth = rng.uniform(500, 60_000, (3, 40))
    light = np.einsum("kx,xky->xy", truth, on_columns(shares, first, 64))
    known = (0.3 * light + 50).astype(np.float32)
    data = (light + known).astype(np.float32)
    bad, floor, none = np.zeros(data.shape, np.uint8), np.full_like(data, 49), np.zeros_like(data)
    arrays = (data, floor, none, bad, shares, first, known)
    flux, _, _ = column_fit_kernels.fit(*arrays, np.zeros(3), np.inf, np.full(truth.shape, np.nan), 4)
    np.testing.assert_allclose(flux, truth, rtol=2e-5)


def test_a_cosmic_ray_on_one_of_three_close_traces_is_found_and_moves_no_flux_between_them():
    rng, centers, tables, response = close_traces(20.5)
    shares, first = column_fit_kernels.shares_of(response, centers, tables, *GRID)
    truth = rng.uniform(3000, 60_000, (3, 40))
    light = np.einsum("kx,xky->xy", truth, on_columns(shares, first, 64))
    data = (rng.poisson(np.maximum(light, 0)) + rng.normal(0, 7, light.shape)).astype(np.float32)
    hits = {(5, 21), (12, 28), (20, 24), (30, 36)}
    struck = data.copy()
    for x, y in hits:
        struck[x, y] += 8000
    results = []
    for image in (data, struck):
        bad, floor, none = np.zeros(data.shape, np.uint8), np.full_like(data, 49), np.zeros_like(data)
        arrays = (image, floor, none, bad, shares, first, none)
        results.append((*column_fit_kernels.fit(*arrays, np.full(3, 0.01), 5.5, np.full(truth.shape, np.nan), 12), bad))
    (clean, _, _, none_found), (flux, variance, _, found) = results
    assert all(found[hit] == 2 for hit in hits)
    # the hit draws the light of the next trace with it, which may lose a few pixels as well before the hit is gone
    assert np.count_nonzero(found) <= 4 * len(hits)
    assert set(np.flatnonzero(found.any(axis=1))) == {hit[0] for hit in hits}
    assert np.count_nonzero(none_found) == 0
    assert np.abs((flux - clean) / np.sqrt(variance)).max() < 3
    untouched = [x for x in range(40) if x not in {hit[0] for hit in hits}]
    np.testing.assert_array_equal(flux[:, untouched], clean[:, untouched])


def test_a_column_without_any_usable_pixel_gives_no_light():
    _, centers, tables, response = close_traces(20.5)
    shares, first = column_fit_kernels.shares_of(response, centers, tables, *GRID)
    data, bad = np.full(response.shape, 100, np.float32), np.zeros(response.shape, np.uint8)
    bad[9] = 1
    none = np.zeros_like(data)
    arrays = (data, data, none, bad, shares, first, none)
    flux, variance, used = column_fit_kernels.fit(*arrays, np.zeros(3), 5.0, np.full((3, 40), np.nan), 6)
    assert np.isnan(flux[:, 9]).all()
    assert np.isnan(variance[:, 9]).all()
    assert (used[:, 9] == 0).all()
    assert np.isfinite(np.delete(flux, 9, axis=1)).all()


@pytest.mark.parametrize("least", [0.0, -np.inf])
def test_the_model_of_a_column_is_the_sum_of_its_traces_and_of_the_light_that_is_known(least):
    rng, centers, tables, response = close_traces(25.0)
    shares, first = column_fit_kernels.shares_of(response, centers, tables, *GRID)
    flux, extra = rng.uniform(100, 9000, (3, 40)), rng.normal(0, 10, 64).astype(np.float32)
    first[10, 1] = -1
    flux[0, 20], flux[1, 21] = np.nan, -300.0
    full = on_columns(shares, first, 64)
    for x in (0, 10, 20, 21, 29):
        model = np.full(64, 777.0)
        column_fit_kernels.model_column(model, shares[x], first[x], flux[:, x], extra, least)
        expected = extra + np.maximum(np.nan_to_num(flux[:, x]), least) @ full[x]
        # also between the windows of the traces, where the light that is known is all there is
        np.testing.assert_allclose(model, expected, rtol=1e-5, atol=1e-3)


_OFFSETS = np.arange(-10, 10.01, 0.05)


@pytest.mark.parametrize("bottom", [25.0, 3.0, 58.0])
def test_the_offset_of_each_column_is_that_of_a_plain_least_squares_fit(bottom):
    rng = np.random.default_rng(3)
    sigma = np.array([[1.6, 1.8, 2.0]]).T * np.array([1.0, 1.1, 1.3])
    tables = np.exp(-0.5 * (_OFFSETS / sigma[..., None]) ** 2) / (sigma[..., None] * np.sqrt(2 * np.pi))
    tables = tables.astype(np.float32)
    centers = bottom + 6.0 * np.arange(3) + 0.07 * np.arange(40)[:, None]
    centers[5, 1] = np.nan
    response = rng.normal(1, 0.02, (40, 64)).astype(np.float32)
    data = rng.normal(50, 20, (40, 64)).astype(np.float32)
    floor = rng.uniform(20, 30, (40, 64)).astype(np.float32)
    bad = (rng.random((40, 64)) < 0.03).astype(np.uint8)
    flux = rng.uniform(100, 900, (3, 40))
    flux[2, 9] = np.nan
    offset, weight = column_fit_kernels.trace_offsets(
        data, floor, bad, response, centers, tables, GRID[0], -10.0, 0.05, 8.5, flux, 1
    )
    rows = np.arange(64)
    for x in range(40):
        shapes, slopes = np.zeros((3, 64)), np.zeros((3, 64))
        for k in range(3):
            if np.isfinite(centers[x, k] + flux[k, x]):
                table = [np.interp(x, GRID[0], tables[k, :, i]) for i in range(len(_OFFSETS))]
                u = rows - centers[x, k]
                upper, lower = (np.interp(u + step, _OFFSETS, table, 0, 0) for step in (0.1, -0.1))
                inside = np.abs(u) <= 8.5
                shapes[k] = np.where(inside, flux[k, x] * np.interp(u, _OFFSETS, table) * response[x], 0)
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
    table = np.exp(-0.5 * (_OFFSETS / 2) ** 2)[None, None].astype(np.float32) / 5
    centers, even = np.full((40, 1), 30.0), np.ones((40, 64), np.float32)
    grid = np.array([20.0]), -10.0, 0.05, 8.5
    _, weight = column_fit_kernels.trace_offsets(*arrays, even, centers, table, *grid, np.full((1, 40), 100.0), 8)
    np.testing.assert_array_equal(np.flatnonzero(weight[0]), np.arange(4, 40, 8))
