import numpy as np
import pytest

from nrespipe.numerics import column_fit_kernels, tilt_kernels

#: Lines of an arc: column and height [pixel, electron].
LINES = ((40.3, 30_000), (71.8, 60_000), (75.9, 20_000), (110.1, 45_000), (160.6, 80_000), (203.2, 50_000))
N_COLUMNS, N_ROWS = 240, 64
TILT, CURVATURE = 0.03, 0.0015


def lines(x, fwhm):
    """A smooth spectrum: Gaussian lines on a little light."""
    sigma = fwhm / 2.3548
    return 400 + sum(height * np.exp(-0.5 * ((x - place) / sigma) ** 2) for place, height in LINES)


def laid(skew=0.0, apart=18.0, sigma=1.9):
    """Two rising traces with a profile that may be skewed: shares, first rows, centers."""
    offsets = np.arange(-10, 10.01, 0.05)
    shape = np.exp(-0.5 * (offsets / np.where(offsets < 0, 1 - skew, 1 + skew) / sigma) ** 2)
    shape /= shape.sum() * 0.05
    offsets_of_mean = np.sum(shape * offsets) * 0.05
    centers = 20.3 + apart * np.arange(2) + 0.03 * np.arange(N_COLUMNS)[:, None]
    tables = np.tile(np.interp(offsets + offsets_of_mean, offsets, shape).astype(np.float32), (2, 1, 1))
    response = np.ones((N_COLUMNS, N_ROWS), np.float32)
    shares, first = column_fit_kernels.shares_of(response, centers, tables, np.array([100.0]), -10.0, 0.05, 8.5)
    return shares, first, centers


def distances(shares, first, centers):
    """Distance of every pixel of the windows from its trace, and the second moments, by whole arrays."""
    u = first[..., None] + np.arange(shares.shape[2]) - centers[..., None]
    return u, np.sum(shares * u**2, axis=2) / np.sum(shares, axis=2)


def painted(shares, first, centers, fwhm, tilt=TILT, curvature=CURVATURE):
    """An image of leaning lines, every row with its own copy of the spectrum; also without the slant, and the light."""
    u, q = distances(shares, first, centers)
    x = np.arange(N_COLUMNS)[:, None, None]
    shifted = lines(x - tilt * u - curvature * (u**2 - q[..., None]), fwhm)
    upright = np.broadcast_to(lines(x, fwhm), shifted.shape)
    images = np.zeros((2, N_COLUMNS, N_ROWS))
    for column, k in np.argwhere(first >= 0):
        for image, light in zip(images, (shifted, upright)):
            window = image[column, first[column, k] :][: shares.shape[2]]
            window += (shares[column, k] * light[column, k])[: len(window)]
    return *images, np.tile(lines(np.arange(N_COLUMNS), fwhm), (2, 1))


@pytest.mark.parametrize("degree", range(7))
def test_derivatives_of_polynomials_are_exact_up_to_the_order_of_the_differences(degree):
    x = np.arange(20.0) - 9
    flux = x**degree
    truth = [np.polynomial.Polynomial([0] * degree + [1]).deriv(n)(x) for n in (1, 2, 3)]
    for place in range(3, 17):
        found = tilt_kernels.derivatives(flux, place)
        scale = np.abs(flux).max()
        assert found[0] == pytest.approx(truth[0][place], abs=1e-12 * scale)
        assert found[1] == pytest.approx(truth[1][place], abs=1e-12 * scale)
        assert found[2] == pytest.approx(truth[2][place], abs=1e-12 * scale)


@pytest.mark.parametrize(("fwhm", "permille"), [(2.8, (60, 30, 380)), (4.5, (6, 3, 85))])
def test_derivatives_are_right_to_permilles_of_a_resolved_line_and_to_percents_of_the_sharpest(fwhm, permille):
    x, sigma = np.arange(60.0), fwhm / 2.3548
    for center in (29.5, 29.75, 30.0):
        t = (x - center) / sigma
        line = np.exp(-0.5 * t**2)
        truth = np.array([-t / sigma, (t**2 - 1) / sigma**2, (3 * t - t**3) / sigma**3]) * line
        found = np.array([tilt_kernels.derivatives(line, place) for place in range(60)]).T
        error = np.abs(found - truth)[:, 3:-3].max(axis=1) / np.abs(truth).max(axis=1)
        assert (1000 * error < permille).all()


def test_nothing_is_known_of_derivatives_beside_a_gap_or_the_ends():
    flux = np.arange(30.0) ** 2
    flux[12] = np.nan
    zero = [x for x in range(30) if tilt_kernels.derivatives(flux, x) == (0.0, 0.0, 0.0)]
    assert zero == [0, 1, 2, *range(9, 16), 27, 28, 29]


def test_the_second_moment_is_that_of_the_profile_about_its_center():
    shares, first, centers = laid(skew=0.2)
    expected = distances(shares, first, centers)[1]
    found = [tilt_kernels.moment(shares[x, k], first[x, k], centers[x, k]) for x, k in np.ndindex(*centers.shape)]
    np.testing.assert_allclose(np.reshape(found, centers.shape), expected, rtol=1e-5)
    assert tilt_kernels.moment(np.zeros(18, np.float32), 5, 9.0) == 0.0


def displaced_by_numpy(shares, first, centers, flux, tilt, curvature):
    """The Taylor series with derivatives by convolution."""
    kernels = np.array(
        [
            [-1 / 60, 3 / 20, -3 / 4, 0, 3 / 4, -3 / 20, 1 / 60],
            [1 / 90, -3 / 20, 3 / 2, -49 / 18, 3 / 2, -3 / 20, 1 / 90],
            [1 / 8, -1, 13 / 8, 0, -13 / 8, 1, -1 / 8],
        ]
    )
    u, q = distances(shares, first, centers)
    image = np.zeros((N_COLUMNS, N_ROWS))
    for k in range(centers.shape[1]):
        s = [np.pad(np.correlate(flux[k], kernel, "valid"), 3) for kernel in kernels]
        d = tilt[k][:, None] * u[:, k] + curvature[k][:, None] * (u[:, k] ** 2 - q[:, k, None])
        series = -d * s[0][:, None] + d**2 / 2 * s[1][:, None] - d**3 / 6 * s[2][:, None]
        # the kernel leaves out what lies so far from the trace that next to no light is displaced there
        series = series * (np.abs(u[:, k]) <= 6.5)
        for x in np.flatnonzero(first[:, k] >= 0):
            window = image[x, first[x, k] :][: shares.shape[2]]
            window += (shares[x, k] * series[x])[: len(window)]
    return image


@pytest.mark.parametrize("apart", [18.0, 9.0, 36.0])
def test_displaced_light_agrees_with_the_series_by_whole_arrays(apart):
    shares, first, centers = laid(skew=0.1, apart=apart)
    rng = np.random.default_rng(4)
    flux = rng.uniform(0, 50_000, (2, N_COLUMNS))
    tilt = 0.03 + 1e-4 * rng.standard_normal(flux.shape).cumsum(axis=1)
    curvature = 0.001 + 1e-5 * rng.standard_normal(flux.shape).cumsum(axis=1)
    found = tilt_kernels.displaced(N_ROWS, shares, first, centers, flux, tilt, curvature)
    expected = displaced_by_numpy(shares, first, centers, flux, tilt, curvature)
    np.testing.assert_allclose(found, expected, atol=1e-6 * np.abs(expected).max())


@pytest.mark.parametrize(("fwhm", "permille"), [(2.8, 1.2), (4.5, 0.2)])
def test_an_image_of_tilted_lines_is_predicted_to_a_permille_of_its_peak(fwhm, permille):
    shares, first, centers = laid()
    slanting, upright, flux = painted(shares, first, centers, fwhm)
    tilt, curvature = np.full(flux.shape, TILT), np.full(flux.shape, CURVATURE)
    extra = tilt_kernels.displaced(N_ROWS, shares, first, centers, flux, tilt, curvature)
    error = np.abs(upright + extra - slanting)[4:-4]
    assert 1000 * error.max() / slanting.max() < permille
    # without the slant it would be off by ten permille and more
    assert 1000 * np.abs(upright - slanting).max() / slanting.max() > 10


def test_light_that_is_unknown_is_not_displaced():
    shares, first, centers = laid()
    _, _, flux = painted(shares, first, centers, 3.5)
    flux[0, 100:120] = np.nan
    first[150:, 1] = -1
    tilt, curvature = np.full(flux.shape, TILT), np.full(flux.shape, CURVATURE)
    extra = tilt_kernels.displaced(N_ROWS, shares, first, centers, flux, tilt, curvature)
    assert np.isfinite(extra).all()
    assert not extra[97:123, :30].any()
    assert not extra[150:, 36:].any()
    assert extra[60:90, :30].any()


def slant_of(data, shares, first, centers, flux, extra, bad=None, edges=(0, N_COLUMNS)):
    """Lean and curvature that are missing, for each trace and piece, and their errors."""
    bad = np.zeros(data.shape, np.uint8) if bad is None else bad
    floor = np.full(data.shape, 49, np.float32)
    arrays = (data.astype(np.float32), floor, bad, shares, first, centers, flux, extra)
    matrix, right = tilt_kernels.sums(*arrays, 0.01, 30.0, 4.5, np.array(edges))
    return np.linalg.solve(matrix, right[..., None])[..., 0], np.sqrt(np.linalg.inv(matrix).diagonal(0, 2, 3))


def recovered(data, shares, first, centers, rounds=3, bad=None):
    """Fit light and slant in turn."""
    tilt, curvature = np.zeros((2, 2, N_COLUMNS))
    extra, flux = np.zeros(data.shape, np.float32), np.full((2, N_COLUMNS), np.nan)
    floor, none = np.full(data.shape, 49, np.float32), np.zeros(data.shape, np.float32)
    bad = np.zeros(data.shape, np.uint8) if bad is None else bad
    for _ in range(rounds):
        arrays = (data.astype(np.float32), floor, none, bad, shares, first, extra)
        flux, _, _ = column_fit_kernels.fit(*arrays, np.zeros(2), np.inf, flux, 4)
        extra = tilt_kernels.displaced(N_ROWS, shares, first, centers, flux, tilt, curvature)
        more, errors = slant_of(data, shares, first, centers, flux, extra, bad)
        tilt, curvature = tilt + more[:, :, 0], curvature + more[:, :, 1]
    return tilt[:, 0], curvature[:, 0], errors[:, 0]


@pytest.mark.parametrize("fwhm", [2.8, 4.5])
@pytest.mark.parametrize("skew", [0.0, 0.15])
def test_tilt_and_curvature_of_lines_without_noise_are_recovered_to_two_percent(fwhm, skew):
    shares, first, centers = laid(skew)
    slanting, _, _ = painted(shares, first, centers, fwhm)
    tilt, curvature, _ = recovered(slanting, shares, first, centers)
    np.testing.assert_allclose(tilt, TILT, atol=0.02 * TILT)
    np.testing.assert_allclose(curvature, CURVATURE, atol=0.02 * CURVATURE)


def test_tilt_and_curvature_of_noisy_lines_are_recovered_within_their_errors():
    shares, first, centers = laid()
    slanting, _, _ = painted(shares, first, centers, 4.5)
    pulls = []
    for seed in range(15):
        rng = np.random.default_rng(seed)
        noisy = rng.poisson(slanting) + rng.normal(0, 7, slanting.shape)
        tilt, curvature, errors = recovered(noisy, shares, first, centers)
        assert (errors < (1.3e-3, 6e-4)).all()
        pulls.append((np.stack([tilt, curvature], axis=1) - (TILT, CURVATURE)) / errors)
    # the guard, an error of the profile that these lines do not have, makes the errors larger than the noise
    assert 0.7 < np.std(pulls) < 1.2
    assert abs(np.mean(pulls)) < 0.35


def test_bad_pixels_do_not_count_in_the_slant():
    shares, first, centers = laid()
    slanting, _, _ = painted(shares, first, centers, 4.5)
    bad = (np.random.default_rng(1).random(slanting.shape) < 0.03).astype(np.uint8)
    spoiled = np.where(bad > 0, 1e5, slanting)
    tilt, curvature, _ = recovered(spoiled, shares, first, centers, bad=bad)
    np.testing.assert_allclose(tilt, TILT, atol=0.02 * TILT)
    np.testing.assert_allclose(curvature, CURVATURE, atol=0.05 * CURVATURE)


def test_the_normal_equations_are_those_of_dense_least_squares():
    """Of light, tilt and curvature of one trace together: the light of each column takes what the slant cannot have."""
    shares, first, centers = laid(skew=0.1)
    slanting, _, flux = painted(shares, first, centers, 3.5)
    rng = np.random.default_rng(8)
    data = (slanting + rng.normal(0, 50, slanting.shape)).astype(np.float32)
    bad = (rng.random(data.shape) < 0.03).astype(np.uint8)
    none, edges = np.zeros_like(data), (0, 90, 240)
    values, errors = slant_of(data, shares, first, centers, flux, none, bad, edges)
    u, q = distances(shares, first, centers)
    slope = np.array([[tilt_kernels.derivatives(flux[k], x)[0] for x in range(N_COLUMNS)] for k in range(2)])
    steep = (flux > 900) & (np.abs(slope) >= 0.02 * flux)
    for k, piece in np.ndindex(2, 2):
        matrix, right = np.zeros((2, 2)), np.zeros(2)
        for x in range(edges[piece], edges[piece + 1]):
            model = np.zeros(N_ROWS)
            for i in range(2):
                model[first[x, i] : first[x, i] + 18] += flux[i, x] * shares[x, i]
            y = first[x, k] + np.arange(18)
            use = (np.abs(u[x, k]) < 4.5) & (bad[x, y] == 0)
            if not steep[k, x] or not use.any():
                continue
            weight = 1 / (49 + model[y] + (0.01 * model[y]) ** 2)[use]
            p, v = shares[x, k][use].astype(float), u[x, k][use]
            design = np.stack([p, -slope[k, x] * p * v, -slope[k, x] * p * (v**2 - q[x, k])])
            normal, side = (design * weight) @ design.T, (design * weight) @ (data[x, y] - model[y])[use]
            matrix += normal[1:, 1:] - np.outer(normal[0, 1:], normal[0, 1:]) / normal[0, 0]
            # the light was fitted already: its own equation asks for nothing more
            right += side[1:] - normal[0, 1:] * side[0] / normal[0, 0]
        np.testing.assert_allclose(values[k, piece], np.linalg.solve(matrix, right), rtol=2e-3)
        np.testing.assert_allclose(errors[k, piece] ** 2, np.linalg.inv(matrix).diagonal(), rtol=2e-3)


def test_light_without_lines_says_nothing_about_their_slant():
    shares, first, centers = laid()
    flux = np.full((2, N_COLUMNS), 50_000.0)
    data = np.full((N_COLUMNS, N_ROWS), 100, np.float32)
    bad = np.zeros(data.shape, np.uint8)
    arrays = (data, data, bad, shares, first, centers, flux, np.zeros_like(data))
    matrix, right = tilt_kernels.sums(*arrays, 0.01, 30.0, 4.5, np.array([0, 120, 240]))
    assert not matrix.any()
    assert not right.any()
