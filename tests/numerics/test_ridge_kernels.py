import numpy as np
import pytest

from nrespipe.numerics import ridge_kernels

SUB = 4


def bent(n_rows=300, n_bins=40, noise=0.0, seed=1):
    """A ridge that bends by eighty pixels, in narrow bins of eight columns."""
    u = np.linspace(-1, 1, n_bins * SUB)
    centers = 120 + 80 * u**2
    rows = np.arange(n_rows)[:, None]
    light = 1000 * np.exp(-0.5 * ((rows - centers) / 2.0) ** 2)
    return light + np.random.default_rng(seed).normal(0, noise + 1e-6, light.shape), centers


def test_a_bent_ridge_is_followed_to_both_ends_to_a_hundredth_of_a_pixel():
    binned, truth = bent()
    centers, significance = ridge_kernels.follow(binned, SUB, 120.0, 20)
    middle = truth.reshape(-1, SUB).mean(axis=1)
    np.testing.assert_allclose(centers, middle, atol=0.02)
    assert (significance > 20).all()


def test_a_centroid_in_noise_scatters_as_its_significance_says():
    off = []
    for seed in range(40):
        binned, truth = bent(noise=60.0, seed=seed)
        centers, _ = ridge_kernels.follow(binned, SUB, 120.0, 20)
        off.append(centers - truth.reshape(-1, SUB).mean(axis=1))
    assert np.nanstd(off) < 0.25
    assert abs(np.nanmedian(off)) < 0.02


def test_a_gap_is_crossed_and_a_ridge_that_ends_is_not_invented():
    binned, truth = bent(noise=5.0)
    binned[:, 36 * SUB :] = np.random.default_rng(3).normal(0, 5, (300, 4 * SUB))
    binned[:, 30 * SUB : 32 * SUB] = 0
    centers, _ = ridge_kernels.follow(binned, SUB, 120.0, 20)
    assert np.isnan(centers[36:]).all()
    np.testing.assert_allclose(centers[32:36], truth.reshape(-1, SUB).mean(axis=1)[32:36], atol=0.1)


@pytest.mark.parametrize("row", [2.0, 298.0])
def test_a_ridge_at_the_edge_of_the_detector_is_left_alone(row):
    centers, _ = ridge_kernels.follow(bent(noise=5.0)[0], SUB, row, 20)
    assert np.isnan(centers).all()


def centroid(binned, i, guess, slope):
    """The same centroid, written out: straighten the bin, subtract the floor, iterate the weighted mean."""
    low = int(np.round(guess)) - 7
    window = np.arange(low, low + 15)
    straight = []
    for j in range(SUB):
        shifted = np.clip(window - low + slope * ((j + 0.5) / SUB - 0.5), 0, 14 - 1e-6) + low
        straight.append(np.interp(shifted, window, binned[window, i * SUB + j]))
    cut = np.mean(straight, axis=0)
    cut = cut - np.sort(cut)[:3].mean()
    center = guess
    for _ in range(200):
        weight = np.exp(-0.5 * ((window - center) / 2.0) ** 2)
        center += np.clip(2 * np.sum(weight * cut * (window - center)) / np.sum(weight * cut), -1, 1)
    return center


@pytest.mark.parametrize("noise", [0.0, 8.0])
def test_centers_are_those_of_the_centroid_written_out(noise):
    binned, truth = bent(noise=noise)
    middle = truth.reshape(-1, SUB).mean(axis=1)
    followed, _ = ridge_kernels.follow(binned, SUB, 120.0, 20)
    measured, _ = ridge_kernels.measure(binned, SUB, middle[None] + 0.3)
    slope = np.gradient(middle)
    expected = [centroid(binned, i, middle[i] + 0.3, slope[i]) for i in range(len(middle))]
    np.testing.assert_allclose(measured[0, 1:-1], expected[1:-1], atol=1e-3)
    # the slope comes from the few centers before, so it is a little another
    np.testing.assert_allclose(followed, expected, atol=0.05)


def test_a_ridge_is_followed_from_any_bin_to_the_same_centers():
    binned, truth = bent(noise=5.0)
    starts = [(ridge_kernels.follow(binned, SUB, truth[first * SUB], first)[0]) for first in (16, 20, 24)]
    np.testing.assert_allclose(starts[0], starts[1], atol=0.06)
    np.testing.assert_allclose(starts[2], starts[1], atol=0.06)


def test_noise_is_no_ridge_where_one_is_expected():
    noise = np.random.default_rng(5).normal(0, 5, (300, 40 * SUB))
    rows = np.tile(np.linspace(20, 280, 60)[:, None], 40)
    centers, _ = ridge_kernels.measure(noise, SUB, rows)
    assert np.isfinite(centers).mean() < 0.01


def test_a_ridge_is_measured_only_near_where_it_is_expected():
    binned, truth = bent(noise=5.0)
    middle = truth.reshape(-1, SUB).mean(axis=1)
    near, far = ridge_kernels.measure(binned, SUB, np.stack([middle - 1.0, middle + 5.0]))[0]
    np.testing.assert_allclose(near, middle, atol=0.06)
    assert np.isnan(far).all()


@pytest.mark.parametrize("known", [2, 3, 5])
def test_the_next_center_is_predicted_by_a_polynomial_through_the_last(known):
    rng = np.random.default_rng(7)
    places, values = np.arange(5.0) + rng.uniform(0, 0.2, 5), 100 + rng.normal(0, 3, 5)
    fit = np.polyfit(places[:known], values[:known], 2 if known == 5 else 1)
    row, slope = ridge_kernels._predict(places[:known], values[:known], 6.0, 0.0)
    assert row == pytest.approx(np.polyval(fit, 6.0), rel=1e-9)
    assert slope == pytest.approx(np.polyval(np.polyder(fit), 6.0), rel=1e-7)
