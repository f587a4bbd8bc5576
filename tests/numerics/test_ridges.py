import numpy as np
import pytest

from nrespipe.numerics import ridges

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
    centers, significance = ridges.follow(binned, SUB, 120.0)
    middle = truth.reshape(-1, SUB).mean(axis=1)
    np.testing.assert_allclose(centers, middle, atol=0.02)
    assert (significance > 20).all()


def test_a_centroid_in_noise_scatters_as_its_significance_says():
    off = []
    for seed in range(40):
        binned, truth = bent(noise=60.0, seed=seed)
        centers, _ = ridges.follow(binned, SUB, 120.0)
        off.append(centers - truth.reshape(-1, SUB).mean(axis=1))
    assert np.nanstd(off) < 0.25
    assert abs(np.nanmedian(off)) < 0.02


def test_a_gap_is_crossed_and_a_ridge_that_ends_is_not_invented():
    binned, truth = bent(noise=5.0)
    binned[:, 36 * SUB :] = np.random.default_rng(3).normal(0, 5, (300, 4 * SUB))
    binned[:, 30 * SUB : 32 * SUB] = 0
    centers, _ = ridges.follow(binned, SUB, 120.0)
    assert np.isnan(centers[36:]).all()
    np.testing.assert_allclose(centers[32:36], truth.reshape(-1, SUB).mean(axis=1)[32:36], atol=0.1)


@pytest.mark.parametrize("row", [2.0, 298.0])
def test_a_ridge_at_the_edge_of_the_detector_is_left_alone(row):
    centers, _ = ridges.follow(bent(noise=5.0)[0], SUB, row)
    assert np.isnan(centers).all()
