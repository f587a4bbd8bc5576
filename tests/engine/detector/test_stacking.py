import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from nrespipe.engine.detector import stacking


def mean(frames, *options, **more):
    """Stack arrays, and check on the way that each row is asked for once."""
    asked = np.zeros((len(frames), len(frames[0])), int)

    def band_of(i, rows):
        asked[i, rows] += 1
        return frames[i][rows]

    result = stacking.mean(range(len(frames)), band_of, np.shape(frames[0]), *options, **more)
    assert (asked == 1).all()
    return result


def test_the_mean_of_frames_without_outliers_is_the_plain_mean():
    rng = np.random.default_rng(1)
    frames = rng.normal(100, 3, (6, 50, 40)).astype(np.float32)
    average, variance, rejected, unsteady = mean(frames, 9.0)
    kept = rejected == 0
    assert kept.mean() > 0.995
    np.testing.assert_allclose(average[kept], frames.mean(axis=0)[kept], rtol=1e-5)
    np.testing.assert_allclose(variance[kept], 9.0 / 6, rtol=1e-5)
    assert not unsteady.any()


def test_the_bands_in_which_frames_are_read_change_nothing(monkeypatch):
    rng = np.random.default_rng(2)
    frames = rng.normal(100, 3, (5, 300, 40)).astype(np.float32)
    noise = rng.uniform(8, 10, (300, 40)).astype(np.float32)
    whole = mean(frames, noise, 0.3, scales=(1, 1.1, 0.9, 1, 1))
    monkeypatch.setattr(stacking, "_BAND_BYTES", 1)
    for one, other in zip(whole, mean(frames, noise, 0.3, scales=(1, 1.1, 0.9, 1, 1))):
        np.testing.assert_array_equal(one, other)


def test_the_kernel_agrees_with_plain_numpy():
    rng = np.random.default_rng(3)
    scales = np.array([0.7, 1.0, 1.4, 0.9, 1.0])
    frames = (rng.poisson(400, (5, 60, 50)) * scales[:, None, None]).astype(np.float32)
    frames[rng.random(frames.shape) < 0.03] += 300
    average, variance, rejected, _ = mean(frames, 25.0, 1.0, scales=scales, threshold=4.0, mismatch=0.02)
    s = scales[:, None, None]
    center = np.median(frames / s, axis=0)
    expected = 25 + center * s + (0.02 * center * s) ** 2
    kept = np.abs(frames - center * s) <= 4 * np.sqrt(expected)
    exposure = np.sum(kept * s, axis=0)
    plain = np.sum(kept * frames, axis=0) / exposure
    np.testing.assert_array_equal(rejected, np.sum(~kept, axis=0))
    np.testing.assert_allclose(average, plain, rtol=1e-5)
    np.testing.assert_allclose(variance, (25 * kept.sum(axis=0) + plain * exposure) / exposure**2, rtol=1e-5)


@given(st.lists(st.floats(-1e6, 1e6, width=32), min_size=3, max_size=50))
def test_the_median_of_any_values_is_that_of_numpy(values):
    assert stacking._middle(np.array(values, np.float32)) == pytest.approx(np.median(values), rel=1e-6, abs=1e-30)


def test_cosmic_rays_in_every_frame_leave_no_trace():
    rng = np.random.default_rng(2)
    frames = rng.normal(0, 2, (4, 200, 200)).astype(np.float32)
    for i, frame in enumerate(frames):
        frame[i::7, i::7] += 500
    average, variance, rejected, unsteady = mean(frames, 4.0)
    pulls = average / np.sqrt(variance)
    assert rejected.max() >= 1
    assert abs(np.std(pulls) - 1) < 0.03
    assert abs(np.mean(pulls)) < 0.02
    assert not unsteady.any()


def test_bright_pixels_are_judged_by_their_photon_noise():
    rng = np.random.default_rng(3)
    frames = rng.poisson(40_000, (5, 100, 100)).astype(np.float32)
    _, variance, rejected, _ = mean(frames, 9.0, photon_variance=1.0)
    assert rejected.mean() < 1e-3
    np.testing.assert_allclose(variance.mean(), 40_009 / 5, rtol=0.01)


@pytest.mark.parametrize("hits", [0.0, 0.02])
def test_the_variance_is_that_of_the_values_kept_at_unequal_exposures(hits):
    rng = np.random.default_rng(4)
    scales = np.array([0.5, 1.0, 1.5, 1.0])
    frames = rng.poisson(300 * scales[:, None, None], (4, 300, 300)) + rng.normal(0, 7, (4, 300, 300))
    frames += 5000 * (rng.random(frames.shape) < hits)
    average, variance, rejected, _ = mean(frames.astype(np.float32), 49.0, 1.0, scales=scales)
    chosen = rejected == (1 if hits else 0)
    pulls = (average[chosen] - 300) / np.sqrt(variance[chosen])
    assert abs(np.std(pulls) - 1) < 3 / np.sqrt(2 * len(pulls))
    assert abs(np.mean(pulls)) < 3 / np.sqrt(len(pulls))


def test_with_two_frames_the_brighter_of_two_unlike_values_goes():
    frames = np.zeros((2, 3, 3), np.float32)
    frames[1, 1, 1] = 100
    average, _, rejected, unsteady = mean(frames, 1.0)
    assert average[1, 1] == 0
    assert rejected[1, 1] == 1
    assert not unsteady.any()


def test_light_that_flickers_by_less_than_the_mismatch_is_kept():
    frames = np.full((3, 4, 4), 1e6, np.float32)
    frames[2] *= 1.02
    assert (mean(frames, 49.0, 1.0, threshold=6.0)[2] == 1).all()
    assert (mean(frames, 49.0, 1.0, threshold=6.0, mismatch=0.01)[2] == 0).all()


@pytest.mark.parametrize("n", [5, 10, 40])
def test_pixels_that_jump_or_are_noisy_are_unsteady_and_good_ones_are_not(n):
    rng = np.random.default_rng(5)
    frames = rng.normal(0, 2, (n, 400, 400)).astype(np.float32)
    frames[rng.random(frames.shape) < 5e-4] += 200
    frames[:, 0] *= 5
    frames[: 2 * n // 5, 1] += 40
    frames[0, 2] -= 60
    # three rows of four hundred are no rule
    unsteady = mean(frames, 4.0)[3]
    assert unsteady[0].mean() > (0.9 if n > 5 else 0.6)
    assert unsteady[1].all()
    assert unsteady[2].all()
    assert unsteady[3:].mean() < 1e-4


def test_pixels_are_not_blamed_for_a_noise_that_was_expected_too_small():
    frames = np.random.default_rng(6).normal(0, 8, (5, 100, 100)).astype(np.float32)
    assert not mean(frames, 4.0)[3].any()


def test_samples_do_not_overlap_and_stay_within_the_image():
    for n_rows in (1, 30, 256, 700, 4096):
        rows = stacking.samples(n_rows)
        assert rows[0].start >= 0
        assert rows[-1].stop <= n_rows
        assert all(a.stop <= b.start for a, b in itertools.pairwise(rows))


@pytest.mark.parametrize("n", [2, 5, 10, 40])
def test_the_most_cosmic_rays_of_a_pixel_are_those_of_the_binomial_distribution(n):
    for share in (0.0, *np.geomspace(1e-8, 0.3, 50)):
        expected = 2 + np.count_nonzero(binom.sf(np.arange(1, n), n, share) > 1e-4)
        assert stacking._most_rays(n, share) == expected
