import numpy as np

from nrespipe.engine import background
from nrespipe.frames.image import Image
from nrespipe.frames.traces import Traces


def scene(level, n=1024):
    """Orders with weak wings on a smooth background, 30 pixels apart below and 90 above, as on the detector."""
    rng = np.random.default_rng(1)
    centers = 20 + np.cumsum(np.linspace(30, 90, 17))[:, None] + 6 * np.linspace(-1, 1, n) ** 2
    rows = np.arange(n)[:, None]
    light = np.zeros((n, n)) + level
    for k, c in enumerate(centers):
        peak = 12_000 * (1 - 0.04 * k) * np.sinc(np.linspace(-0.7, 0.7, n)) ** 2
        light += peak * (np.exp(-0.5 * ((rows - c) / 1.8) ** 2) + 0.0015 * np.exp(-np.abs(rows - c) / 5))
    electrons = (rng.poisson(light) + rng.normal(0, 7, light.shape)).astype(np.float32)
    image = Image(electrons, np.full((n, n), 49, np.float32), np.zeros((n, n), np.uint8), 60.0)
    return image, Traces((0,), np.arange(60, 60 + len(centers)), centers[None])


def test_a_smooth_background_is_recovered_to_half_an_electron():
    y, x = np.mgrid[-1:1:1024j, -1:1:1024j]
    level = 30 + 8 * x - 5 * y + 6 * x * y
    image, traces = scene(level)
    result = background.subtract(image, traces, (0,), degree=(3, 3))
    removed = image.electrons - result.electrons
    assert np.abs(np.median(removed - level)) < 0.1
    assert np.percentile(np.abs(removed - level), 95) < 0.5


def test_the_photon_noise_of_the_background_is_kept():
    image, traces = scene(100.0)
    result = background.subtract(image, traces, (0,), degree=(3, 3))
    np.testing.assert_allclose(result.floor_variance - image.floor_variance, 100, rtol=0.03)


def test_a_cosmic_ray_between_the_orders_does_not_lift_the_surface():
    image, traces = scene(20.0)
    hit = image.electrons.copy()
    hit[900:903, 100:160] += 20_000
    spoiled = Image(hit, image.floor_variance, image.mask, 60.0)
    clean = background.subtract(image, traces, (0,), degree=(3, 3)).electrons
    result = background.subtract(spoiled, traces, (0,), degree=(3, 3)).electrons
    assert np.abs((hit - result) - (image.electrons - clean)).max() < 0.5
