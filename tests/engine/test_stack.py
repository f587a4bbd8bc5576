import numpy as np

from nrespipe.engine import stack


def test_the_mean_of_frames_without_outliers_is_the_plain_mean():
    rng = np.random.default_rng(1)
    frames = rng.normal(100, 3, (6, 50, 40)).astype(np.float32)
    mean, variance, rejected = stack.mean(frames, 9.0)
    kept = rejected == 0
    assert kept.mean() > 0.995
    np.testing.assert_allclose(mean[kept], frames.mean(axis=0)[kept], rtol=1e-5)
    np.testing.assert_allclose(variance[kept], 9.0 / 6, rtol=1e-5)


def test_cosmic_rays_in_every_frame_leave_no_trace():
    rng = np.random.default_rng(2)
    frames = rng.normal(0, 2, (4, 200, 200)).astype(np.float32)
    for i, frame in enumerate(frames):
        frame[i::7, i::7] += 500
    mean, variance, rejected = stack.mean(frames, 4.0)
    pulls = mean / np.sqrt(variance)
    assert rejected.max() >= 1
    assert abs(np.std(pulls) - 1) < 0.03
    assert abs(np.mean(pulls)) < 0.02


def test_bright_pixels_are_judged_by_their_photon_noise():
    rng = np.random.default_rng(3)
    frames = rng.poisson(40_000, (5, 100, 100)).astype(np.float32)
    _, variance, rejected = stack.mean(frames, 9.0, photon_variance=1.0)
    assert rejected.mean() < 1e-3
    np.testing.assert_allclose(variance.mean(), 40_009 / 5, rtol=0.01)


def test_with_two_frames_the_brighter_of_two_unlike_values_goes():
    frames = np.zeros((2, 3, 3), np.float32)
    frames[1, 1, 1] = 100
    mean, _, rejected = stack.mean(frames, 1.0)
    assert mean[1, 1] == 0
    assert rejected[1, 1] == 1
