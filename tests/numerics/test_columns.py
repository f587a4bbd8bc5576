import numpy as np

from nrespipe.numerics import columns, residuals


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
        result = columns.extract(
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
    offset, weight = residuals.shift_sums(*arrays, moved, s.tables, *s.grid, flux, 1)
    assert abs(np.average(offset, weights=weight) + 0.02) < 1e-3
