import numpy as np
import pytest
from scipy.ndimage import binary_dilation
from scipy.stats import chi2

from nrespipe.numerics import column_fit_kernels, cosmic_ray_kernels, tilt_kernels

LIMITS = chi2.isf(1e-9, np.arange(1, 9))
N_ROWS = 60


def profiles(centers, sigma=1.9):
    """Shares and first rows of Gaussian traces."""
    offsets = np.arange(-10, 10.01, 0.05)
    shape = np.exp(-0.5 * (offsets / sigma) ** 2) / (sigma * np.sqrt(2 * np.pi))
    tables = np.tile(shape.astype(np.float32), (centers.shape[1], 1, 1))
    response = np.ones((len(centers), N_ROWS), np.float32)
    return column_fit_kernels.shares_of(response, centers, tables, np.array([100.0]), -10.0, 0.05, 8.5)


def spread_out(shares, first):
    """Windows on whole columns, shape (n_columns, n_traces, n_rows)."""
    full = np.zeros((*first.shape, N_ROWS))
    for x, k in np.argwhere(first >= 0):
        here = full[x, k, first[x, k] :][: shares.shape[2]]
        here[:] = shares[x, k, : len(here)]
    return full


class Frame:
    """Two traces, their light and everything that the kernels ask for."""

    def __init__(self, flux, seed=1, painted=1.9, read=6.0, apart=11.0, guard=0.004):
        self.rng = np.random.default_rng(seed)
        n_columns = flux.shape[1]
        self.centers = 22.4 + apart * np.arange(2) + 6 * np.linspace(0, 1, n_columns)[:, None]
        self.flux, self.guard = flux, np.full(2, guard)
        self.shares, self.first = profiles(self.centers)
        self.full = spread_out(self.shares, self.first)
        self.light = np.einsum("kx,xky->xy", flux, spread_out(*profiles(self.centers, painted)))
        noisy = self.rng.poisson(np.maximum(self.light, 0)) + self.rng.normal(0, read, self.light.shape)
        self.data = noisy.astype(np.float32)
        self.floor = np.full_like(self.data, read**2)
        self.error, self.extra = np.zeros_like(self.data), np.zeros_like(self.data)
        self.bad = np.zeros(self.data.shape, np.uint8)

    @property
    def arrays(self):
        return self.data, self.floor, self.error, self.bad, self.shares, self.first

    def fit(self, threshold=np.inf):
        start = np.full(self.flux.shape, np.nan)
        return column_fit_kernels.fit(*self.arrays, self.extra, self.guard, threshold, start, 12)

    def misfit(self, flux, stride=1):
        return cosmic_ray_kernels.misfit(*self.arrays, self.extra, flux, stride)

    def grow(self, flux, threshold=2.5):
        return cosmic_ray_kernels.grow(*self.arrays, self.extra, flux, self.guard, threshold)

    def runs(self, flux, least=0.3):
        return cosmic_ray_kernels.runs(*self.arrays, self.extra, flux, self.guard, LIMITS, least)

    def variance(self, flux, k):
        model = np.einsum("kx,xky->xy", np.maximum(flux, 0), self.full) + self.extra
        light = np.maximum(model, 0)
        return self.data - model, self.floor + light + (self.error**2 + self.guard[k] ** 2) * light**2


def even(level, n_columns=600):
    return np.tile(np.array([[1.0], [0.7]]) * level, n_columns)


def test_the_misfit_is_the_median_square_of_the_residuals_in_the_core_beyond_the_noise():
    frame = Frame(even(40_000), painted=2.0, seed=3)
    frame.error[:] = 0.003
    frame.bad[frame.rng.random(frame.bad.shape) < 0.02] = 1
    flux, _, _ = frame.fit()
    residual, _ = frame.variance(flux, 0)
    model = frame.data - residual
    noise = frame.floor + model + (frame.error * model) ** 2
    model = np.maximum(model, 1e-3)
    for stride in (1, 8):
        found = frame.misfit(flux, stride)
        for k in range(2):
            use = (frame.full[:, k] > 0.04) & (frame.bad == 0) & (model**2 > 9 * noise)
            use[np.arange(len(use)) % stride != stride // 2] = False
            excess = np.median((residual / model)[use] ** 2) / 0.455 - np.median((noise / model**2)[use])
            assert found[k] == pytest.approx(np.sqrt(excess), rel=1e-3)


def test_a_profile_five_percent_too_narrow_is_noticed():
    for seed in range(5):
        frame = Frame(even(50_000), painted=1.9 * 1.05, seed=seed)
        flux, _, _ = frame.fit()
        assert ((frame.misfit(flux, 8) > 0.045) & (frame.misfit(flux, 8) < 0.055)).all()


@pytest.mark.parametrize("level", [500, 5000, 50_000])
def test_noise_alone_is_no_misfit(level):
    for seed in range(8):
        frame = Frame(even(level), seed=seed)
        flux, _, _ = frame.fit()
        core = 0.2 * 0.7 * level
        # the misfit does not come near the noise of a pixel in the core
        assert (frame.misfit(flux, 8) < 0.6 * np.sqrt(core + 36) / core).all()
        assert (frame.misfit(flux, 1) < 0.25 * np.sqrt(core + 36) / core).all()


def test_cosmic_rays_and_the_error_of_the_response_are_no_misfit():
    frame = Frame(even(50_000), seed=2)
    frame.data *= frame.rng.normal(1, 0.01, frame.data.shape)
    flux, _, _ = frame.fit()
    assert (frame.misfit(flux) > 0.007).all()
    frame.error[:] = 0.01
    frame.data[::12, 25:27] += 5000
    assert (frame.misfit(flux) < 0.005).all()


def test_too_few_pixels_tell_of_no_misfit():
    frame = Frame(even(50_000, 5), painted=2.5)
    assert (frame.misfit(frame.flux) == 0).all()


def test_chi_square_is_the_sum_of_the_squared_residuals_of_the_window():
    frame = Frame(even(9000, 50), seed=12, apart=7.0)
    frame.error[:], frame.guard = 0.01, np.array([0.004, 0.02])
    frame.bad[frame.rng.random(frame.bad.shape) < 0.05] = 1
    frame.first[10, 1], frame.flux[0, 20] = -1, np.nan
    found, count = cosmic_ray_kernels.chi_square(*frame.arrays, frame.extra, frame.flux, frame.guard)
    lit = np.where((frame.first.T >= 0) & np.isfinite(frame.flux), frame.flux, 0)
    for k in range(2):
        residual, variance = frame.variance(lit, k)
        window = np.arange(N_ROWS) - frame.first[:, k, None]
        use = (window >= 0) & (window < 18) & (frame.bad == 0)
        known = (frame.first[:, k] >= 0) & np.isfinite(frame.flux[k])
        np.testing.assert_array_equal(count[k], use.sum(axis=1) * known)
        np.testing.assert_allclose(found[k], np.sum(residual**2 / variance * use, axis=1) * known, rtol=1e-3)


def test_chi_square_of_noise_is_that_of_the_pixels_less_one():
    frame = Frame(even(9000, 2000), seed=13, apart=24.0, guard=0.0)
    flux, _, _ = frame.fit()
    found, count = cosmic_ray_kernels.chi_square(*frame.arrays, frame.extra, flux, frame.guard)
    assert np.mean(found - count + 1) == pytest.approx(0, abs=0.3)
    assert np.var(found) == pytest.approx(2 * (np.mean(count) - 1), rel=0.1)


@pytest.mark.parametrize("apart", [11.0, 7.0])
def test_pixels_beside_outliers_are_marked_where_dilation_and_the_noise_say_so(apart):
    frame = Frame(even(3000, 200), seed=5, apart=apart)
    frame.guard = np.array([0.004, 0.05])
    draw = frame.rng.random(frame.bad.shape)
    frame.bad[draw < 0.05], frame.bad[(draw > 0.05) & (draw < 0.08)] = 2, 1
    before = frame.bad.copy()
    total = frame.grow(frame.flux, 1.5)
    near = binary_dilation(before == 2, np.ones((3, 3)))
    expected = np.zeros(near.shape, bool)
    for k in range(2):
        residual, variance = frame.variance(frame.flux, k)
        window = np.arange(N_ROWS) - frame.first[:, k, None]
        inside = (window >= 0) & (window < 18)
        expected |= near & (before == 0) & inside & (residual > 1.5 * np.sqrt(variance))
    np.testing.assert_array_equal(frame.bad == 2, expected | (before == 2))
    np.testing.assert_array_equal(frame.bad == 1, before == 1)
    assert total == expected.sum() > 20


def test_the_faint_ends_of_a_track_across_columns_go_with_its_middle():
    frame = Frame(even(20_000, 100), seed=6)
    frame.data[50, 24], frame.bad[50, 24] = frame.data[50, 24] + 5000, 2
    for x, y in ((49, 23), (51, 25), (50, 25)):
        frame.data[x, y] = frame.light[x, y] + 4 * np.sqrt(frame.light[x, y] + 36)
    frame.data[49, 25] = frame.light[49, 25] - 6 * np.sqrt(frame.light[49, 25])
    assert frame.grow(frame.flux) == 3
    assert {tuple(place) for place in np.argwhere(frame.bad)} == {(50, 24), (49, 23), (51, 25), (50, 25)}


def best_run_by_refitting(residual, variance, share, least):
    """The run whose removal, with the light fitted anew to the rest, lowers chi-square most beyond its limit."""
    best, where = 0.0, set()
    fitted = residual - share * np.sum(share * residual / variance) / np.sum(share**2 / variance)
    inside = np.flatnonzero(share > 0)
    for a in inside:
        for length in range(1, 9):
            run = np.zeros(len(share), bool)
            run[a : a + length] = True
            if a + length > inside[-1] + 1 or share[run].sum() > (1 - least) * share.sum():
                break
            keep = ~run & (share > 0)
            light = np.sum((share * fitted / variance)[keep]) / np.sum((share**2 / variance)[keep])
            chi = np.sum(fitted[inside] ** 2 / variance[inside])
            drop = chi - np.sum(((fitted - share * light) ** 2 / variance)[keep])
            if light < 0 and drop - LIMITS[length - 1] > best:
                best, where = drop - LIMITS[length - 1], set(np.flatnonzero(run))
    return where


def test_the_run_found_is_the_one_that_refitting_without_it_finds():
    frame = Frame(even(8000, 120), seed=7, apart=24.0)
    hits = frame.rng.integers(0, 4, 120)
    for x in np.flatnonzero(hits):
        top = int(frame.centers[x, 0]) + frame.rng.integers(-3, 3)
        frame.data[x, top : top + 1 + hits[x]] += 250 * frame.rng.uniform(0.5, 3)
    # with the light of the very weights that the kernel takes, chi-square is at its lowest
    flux = frame.flux.copy()
    for _ in range(12):
        residual, variance = frame.variance(flux, 0)
        share = frame.full[:, 0]
        flux[0] += np.sum(share * residual / variance, axis=1) / np.sum(share**2 / variance, axis=1)
    residual, variance = frame.variance(flux, 0)
    frame.runs(flux)
    found = [set(np.flatnonzero(row[:44] == 2)) & set(np.flatnonzero(s)) for row, s in zip(frame.bad, frame.full[:, 0])]
    expected = [best_run_by_refitting(*each, 0.3) for each in zip(residual, variance, frame.full[:, 0])]
    assert found == expected
    assert sum(bool(run) for run in expected) > 30


def struck(length, sigmas, level, seed):
    """Every eighth column of the lower trace is hit somewhere within 4.5 pixels of its center."""
    frame = Frame(even(level, 400), seed=seed)
    noise, where = np.sqrt(frame.light + 36), np.arange(4, 400, 8)
    for x in where:
        top = int(np.round(frame.centers[x, 0])) + frame.rng.integers(-4, 5 - length + 1)
        frame.data[x, top : top + length] += sigmas * noise[x, top : top + length]
    return frame, where


def pulls_of(frame, flux, variance, where):
    return ((flux - frame.flux) / np.sqrt(variance))[0, where]


@pytest.mark.parametrize(("length", "sigmas"), [(2, 8), (3, 8), (4, 20), (5, 20), (6, 20)])
@pytest.mark.parametrize("level", [300, 2000, 20_000])
def test_nine_in_ten_cosmic_rays_along_a_column_are_found(length, sigmas, level):
    """The more of the core they cover the more they look like light of the trace."""
    frame, where = struck(length, sigmas, level, length)
    flux, _, _ = frame.fit()
    frame.runs(flux)
    assert (frame.bad[where] == 2).any(axis=1).mean() > 0.9
    assert not frame.bad[where[:-1] + 4].any()


@pytest.mark.parametrize(("length", "sigmas"), [(2, 8), (3, 8), (3, 20)])
@pytest.mark.parametrize("level", [300, 2000, 20_000])
def test_the_flux_is_right_within_its_error_after_cosmic_rays_of_two_and_three_pixels(length, sigmas, level):
    frame, where = struck(length, sigmas, level, length + 10)
    flux, variance, _ = frame.fit()
    assert np.median(pulls_of(frame, flux, variance, where)) > 4
    frame.runs(flux)
    pulls = pulls_of(frame, *frame.fit()[:2], where)
    assert abs(np.median(pulls)) < 0.5
    assert np.mean(np.abs(pulls) < 3) > 0.75


@pytest.mark.parametrize(("level", "read"), [(100, 6.0), (1000, 4.0), (50_000, 6.0)])
@pytest.mark.slow
def test_noise_alone_is_no_cosmic_ray_in_a_million_pixels(level, read):
    marked, pixels = 0, 0
    for seed in range(8):
        frame = Frame(even(level, 4000), seed=seed, read=read, guard=0.0)
        flux, _, _ = frame.fit()
        marked += frame.runs(flux)
        pixels += np.count_nonzero(frame.shares)
    assert pixels > 1_000_000
    assert marked <= 1


@pytest.mark.parametrize(("sign", "guard"), [(1, 0.02), (-1, 0.004)])
def test_emission_and_absorption_lines_are_no_cosmic_rays_once_their_tilt_is_known(sign, guard):
    """Lines of 2.8 pixels that lean by 0.03, as bright as lamps and as deep as stars have them."""
    x, sigma = np.arange(600.0), 2.8 / 2.3548
    places = np.arange(20.3, 590, 23.7)

    def spectrum(x):
        shape = sum(np.exp(-0.5 * ((x - place) / sigma) ** 2) for place in places)
        return 300 + 60_000 * shape if sign > 0 else 40_000 * (1 - 0.8 * shape)

    frame = Frame(np.tile(spectrum(x), (2, 1)), guard=guard, seed=9)
    u = np.arange(N_ROWS) - frame.centers[..., None]
    light = np.sum(frame.full * spectrum(x[:, None, None] - 0.03 * u), axis=1)
    frame.data[:] = frame.rng.poisson(light) + frame.rng.normal(0, 6, light.shape)
    flux, _, _ = frame.fit()
    lean, bend = np.full(flux.shape, 0.03), np.zeros(flux.shape)
    frame.extra[:] = tilt_kernels.displaced(N_ROWS, frame.shares, frame.first, frame.centers, flux, lean, bend)
    flux, _, _ = frame.fit(5.0)
    assert np.count_nonzero(frame.bad) <= 2
    assert frame.runs(flux) == 0


def test_at_least_the_share_that_was_asked_for_remains_of_a_trace():
    frame = Frame(even(5000, 50), seed=4, apart=24.0)
    for x in range(50):
        frame.data[x, int(frame.centers[x, 0]) - 4 : int(frame.centers[x, 0]) + 4] += 3000
    flux, _, _ = frame.fit()
    assert frame.runs(flux, 0.3) > 0
    remains = np.sum(frame.full[:, 0] * (frame.bad == 0), axis=1)
    assert remains.min() >= 0.3 - 1e-6


def test_pixels_that_are_darker_than_the_fit_are_no_cosmic_rays():
    frame = Frame(even(20_000, 100), seed=4)
    frame.data[::5, 24:28] *= 0.5
    flux, _, _ = frame.fit()
    frame.runs(flux)
    assert not frame.bad[::5, 24:28].all(axis=1).any()


@pytest.mark.parametrize("apart", [11.0, 7.0])
def test_pixels_are_revealed_that_are_too_bright_for_the_light_expected_of_their_trace(apart):
    frame = Frame(even(9000, 150), seed=14, apart=apart)
    frame.error[:] = 0.01
    frame.bad[frame.rng.random(frame.bad.shape) < 0.05] = 1
    frame.first[10, 1] = -1
    expected = np.where(frame.rng.random(frame.flux.shape) < 0.4, frame.flux * 0.93, np.nan)
    before = frame.bad.copy()
    total = cosmic_ray_kernels.reveal(*frame.arrays, frame.extra, frame.flux, expected, 0.03, 1.5)
    found = np.zeros(before.shape, bool)
    for x, k in np.argwhere(np.isfinite(expected.T) & (frame.first >= 0)):
        light = frame.flux[:, x] * (frame.first[x] >= 0)
        light[k] = expected[k, x]
        model = light @ frame.full[x]
        noise = 36 + model + (0.01 * model) ** 2 + (0.03 * expected[k, x] * frame.full[x, k]) ** 2
        window = np.arange(N_ROWS) - frame.first[x, k]
        bright = frame.data[x] - model > 1.5 * np.sqrt(noise)
        found[x] |= (window >= 0) & (window < 18) & (before[x] == 0) & bright
    np.testing.assert_array_equal(frame.bad == 2, found)
    np.testing.assert_array_equal(frame.bad == 1, before == 1)
    assert total == found.sum() > 100


def test_outliers_of_the_wrong_light_are_taken_back_where_better_light_is_expected():
    frame = Frame(even(9000, 50), seed=16)
    frame.bad[:] = 2
    expected = np.full(frame.flux.shape, np.nan)
    expected[1, 7] = frame.flux[1, 7]
    cosmic_ray_kernels.reveal(*frame.arrays, frame.extra, frame.flux, expected, 0.03, 6.0)
    window = slice(frame.first[7, 1], frame.first[7, 1] + 18)
    assert not frame.bad[7, window].any()
    assert np.count_nonzero(frame.bad == 0) == 18


def test_nothing_is_revealed_where_nothing_is_expected():
    frame = Frame(even(9000, 50), seed=15)
    frame.data += 500
    assert (
        cosmic_ray_kernels.reveal(*frame.arrays, frame.extra, frame.flux, np.full(frame.flux.shape, np.nan), 0.03, 4.0)
        == 0
    )
    assert not frame.bad.any()
