from types import SimpleNamespace

import numpy as np
import pytest

from nrespipe.engine.extraction import profile, scattered_light
from nrespipe.frames.image import Image
from nrespipe.frames.traces import Traces


def scene(level, n=1024, bright=12_000, seed=1):
    """Orders with weak wings on a smooth background, 30 pixels apart below and 90 above, as on the detector."""
    rng = np.random.default_rng(seed)
    centers = 20 + np.cumsum(np.linspace(30, 90, 17))[:, None] + 6 * np.linspace(-1, 1, n) ** 2
    rows = np.arange(n)[:, None]
    light = np.zeros((n, n)) + level
    for k, c in enumerate(centers):
        peak = bright * (1 - 0.04 * k) * np.sinc(np.linspace(-0.7, 0.7, n)) ** 2
        light += peak * (np.exp(-0.5 * ((rows - c) / 1.8) ** 2) + 0.0015 * np.exp(-np.abs(rows - c) / 5))
    electrons = (rng.poisson(light) + rng.normal(0, 7, light.shape)).astype(np.float32)
    image = Image(electrons, np.full((n, n), 49, np.float32), np.zeros((n, n), np.uint8), 60.0)
    return image, Traces((0,), np.arange(60, 60 + len(centers)), centers[None])


def smooth(n=1024):
    y, x = np.mgrid[-1 : 1 : n * 1j, -1 : 1 : n * 1j]
    return 30 + 8 * x - 5 * y + 6 * x * y


def flat_of(traces):
    """Return the profile and the wings of a bright frame of the same orders."""
    image, _ = scene(40.0, bright=400_000, seed=2)
    clean, wings = scattered_light.of_flat(image, traces, (0,))
    return SimpleNamespace(traces=traces, profile=profile.measure(clean, traces, (0,), wings)[0])


def test_the_smooth_background_of_a_flat_is_recovered_to_half_an_electron():
    image, traces = scene(smooth())
    result, _ = scattered_light.of_flat(image, traces, (0,))
    removed = image.electrons - result.electrons
    assert np.abs(np.median(removed - smooth())) < 0.2
    assert np.percentile(np.abs(removed - smooth()), 95) < 0.6


@pytest.mark.slow
def test_the_background_of_a_star_is_recovered_to_half_an_electron_with_the_wings_of_the_flat():
    image, traces = scene(smooth())
    result = scattered_light.subtract(image, traces, flat_of(traces), (0,))
    removed = image.electrons - result.electrons
    assert np.abs(np.median(removed - smooth())) < 0.1
    assert np.percentile(np.abs(removed - smooth()), 95) < 0.5


def test_the_wings_of_a_flat_are_measured_to_a_few_parts_in_a_hundred_thousand_of_the_light():
    image, traces = scene(40.0, bright=400_000)
    _, wings = scattered_light.of_flat(image, traces, (0,))
    distance = scattered_light.DISTANCES
    near = (distance >= 8) & (distance <= 15)
    core = np.arange(-4, 5)
    light = np.sum(np.exp(-0.5 * (core / 1.8) ** 2) + 0.0015 * np.exp(-np.abs(core) / 5))
    expected = 0.0015 * np.exp(-distance[near] / 5) / light
    np.testing.assert_allclose(wings[:, near], [expected, expected], atol=2e-5)


@pytest.mark.slow
def test_the_photon_noise_of_the_background_is_kept():
    image, traces = scene(100.0)
    result = scattered_light.subtract(image, traces, flat_of(traces), (0,))
    np.testing.assert_allclose(result.floor_variance - image.floor_variance, 100, rtol=0.03)


def test_a_cosmic_ray_between_the_orders_does_not_lift_the_surface():
    image, traces = scene(20.0)
    hit = image.electrons.copy()
    hit[900:903, 100:160] += 20_000
    spoiled = Image(hit, image.floor_variance, image.mask, 60.0)
    flat = flat_of(traces)
    clean = scattered_light.subtract(image, traces, flat, (0,)).electrons
    result = scattered_light.subtract(spoiled, traces, flat, (0,)).electrons
    assert np.abs((hit - result) - (image.electrons - clean)).max() < 0.5


def test_a_frame_without_a_free_pixel_is_left_as_it_is():
    image, traces = scene(20.0)
    blind = Image(image.electrons, image.floor_variance, np.ones_like(image.mask), 60.0)
    result = scattered_light.subtract(blind, traces, flat_of(traces), (0,))
    np.testing.assert_array_equal(result.electrons, image.electrons)
