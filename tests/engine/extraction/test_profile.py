from types import SimpleNamespace

import numpy as np
import pytest

from nrespipe.engine.extraction import pixel_response, profile
from nrespipe.engine.extraction.scattered_light import DISTANCES
from nrespipe.frames.image import Image
from nrespipe.frames.quality import Pixel
from nrespipe.frames.traces import Traces

N_ROWS, N_COLUMNS = 420, 1536
ORDERS = np.arange(80, 88)
#: Share of the light per pixel at the edge of the windows, 8.5 pixels away; it falls with a length of 5 pixels.
WING = 2e-4
SCATTER = 0.007


def shape_at(u, skew=0.12, sigma=1.9):
    """A skewed core integrated over pixels, in steps finer than the tables, with wings."""
    core = 0.0
    for step in np.linspace(-0.45, 0.45, 10):
        t = (u + step) / sigma / np.where(u + step < 0, 1 - skew, 1 + skew)
        core = core + np.exp(-0.5 * np.abs(t) ** 2.5) / 10
    wing = WING * np.exp(-(np.abs(u) - 8.5) / 5) * np.clip((np.abs(u) - 5) / 3, 0, 1) * (np.abs(u) < 22)
    # the integral of the core is 2 sigma 2^0.4 Gamma(1.4)
    return core / (2 * sigma * 2**0.4 * 0.88726) * (1 - 2 * WING * 5.5) + wing


FINE = np.arange(-30, 30, 0.01)
CENTROID = np.sum(FINE * shape_at(FINE)) * 0.01
WHOLE = np.sum(shape_at(FINE)) * 0.01


def share_at(u):
    """Shares about the center of light that sum to 1."""
    return shape_at(u + CENTROID) / WHOLE


@pytest.fixture(scope="module")
def flat():
    """A stack of flats of two fibers with an uneven response, dust, and a dead pixel in the core of a trace."""
    rng = np.random.default_rng(11)
    x = np.linspace(-1, 1, N_COLUMNS)
    first = 25 + 48 * np.arange(len(ORDERS))[:, None] + 7 * x**2 - 4 * x
    traces = Traces((0, 2), ORDERS, np.stack([first, first + 22]))
    peak = 3e6 * np.array([1.0, 0.8])[:, None, None] * np.geomspace(0.1, 1, len(ORDERS))[:, None]
    flux = peak * np.sinc(0.75 * x) ** 2
    rows, light = np.arange(N_ROWS)[:, None], np.zeros((N_ROWS, N_COLUMNS))
    for place in np.ndindex(2, len(ORDERS)):
        light += flux[place] * share_at(rows - traces.centers[place])
    response = np.clip(rng.normal(1, SCATTER, light.shape), 0.9, 1.1)
    middle = int(traces.centers[0, 5, 500])
    dust = np.s_[middle - 2 : middle + 3, 500:505]
    response[dust] *= 0.87
    dead = int(traces.centers[1, 6, 300]), 300
    response[dead] = 0.3
    electrons = (rng.poisson(light * response) + rng.normal(0, 2, light.shape)).astype(np.float32)
    image = Image(electrons, np.full(light.shape, 4, np.float32), np.zeros(light.shape, np.uint8), 60.0)
    wings = np.tile(share_at(DISTANCES) * (DISTANCES >= 6.5), (2, 1))
    core = np.mean([np.sum(share_at(np.arange(-4, 5) + phase)) for phase in np.arange(-0.5, 0.5, 0.05)])
    measured = profile.measure(image, traces, (0, 2), wings / core, n_chunks=5)
    known = SimpleNamespace(image=image, traces=traces, flux=flux, light=light, response=response)
    known.dust, known.dead, known.wings = dust, dead, wings
    known.profile, known.found, known.variance = measured
    return known


def responded(flat, flux=None):
    return pixel_response.measure(flat.image, flat.traces, flat.profile, flat.flux if flux is None else flux, (0, 2))


@pytest.mark.slow
def test_the_profile_is_recovered_to_a_ten_thousandth_of_the_light(flat):
    inside = np.abs(flat.profile.offsets) <= 8.0
    truth = share_at(flat.profile.offsets[inside])
    error = flat.profile.values[..., inside] - truth
    # the peak is 0.22; the faintest order has a tenth of the light
    assert np.sqrt(np.mean(error**2)) < 1e-4
    assert np.abs(np.median(error, axis=(0, 1, 2))).max() < 2e-4
    assert np.abs(error).max() < 6e-4


def test_profile_and_wings_sum_to_one_at_every_sub_pixel_position(flat):
    offsets, values = flat.profile.offsets, flat.profile.values
    beyond = flat.profile.wings[:, DISTANCES > 8.5].sum() * DISTANCES[1]
    for phase in range(20):
        pixels = np.arange(phase, len(offsets), 20)
        pixels = pixels[np.abs(offsets[pixels]) <= 8.5 + 1e-9]
        np.testing.assert_allclose(values[..., pixels].sum(axis=-1) + beyond, 1, atol=2e-4)


def test_the_wings_are_those_of_the_flat_relative_to_all_light(flat):
    known = DISTANCES >= 8.5
    np.testing.assert_allclose(flat.profile.wings[:, known], flat.wings[:, known], rtol=0.01)


def test_the_light_of_the_lamp_is_right_to_a_permille(flat):
    ratio = flat.found / flat.flux
    good = np.abs(np.arange(N_COLUMNS) - 768) < 720
    assert np.abs(np.median(ratio[..., good], axis=-1) - 1).max() < 1e-3
    # five pixels carry most of the light: their response scatters the sum by 0.3 percent, dust and photons by more
    assert np.std(ratio[..., good] - 1) < 5e-3


def test_the_response_is_known_within_its_error_where_the_lamp_shines(flat):
    response, error, weight, _ = responded(flat)
    for least, most in ((0.9, 1.1), (0.5, 0.9), (0.1, 0.5)):
        decided = (weight > least) & (weight <= most)
        # at random: the dust and the dead pixel have a claim of their own
        decided[flat.dust], decided[flat.dead] = False, False
        pulls = (response - flat.response)[decided] / error[decided]
        assert decided.sum() > 2000
        # the profile is right to a ten-thousandth, where the best pixels are known to two thousandths
        assert abs(np.mean(pulls)) < 0.07
        assert 0.9 < np.std(pulls) < 1.2
    assert np.median(error[weight > 0.9]) < 0.3 * SCATTER


def test_the_scatter_of_the_response_is_that_of_the_detector(flat):
    _, error, weight, _ = responded(flat)
    assert np.median(error[weight == 0]) == pytest.approx(SCATTER, rel=0.15)


def test_dust_is_followed_to_its_depth(flat):
    response, error, _, mask = responded(flat)
    truth = flat.response[flat.dust]
    assert np.median(truth) == pytest.approx(0.87, abs=0.01)
    assert np.mean(response[flat.dust]) == pytest.approx(np.mean(truth), abs=0.004)
    pulls = (response[flat.dust] - truth) / error[flat.dust]
    assert np.abs(pulls).max() < 5
    assert not mask[flat.dust].any()


def test_a_dead_pixel_in_the_core_of_a_trace_is_flagged_and_no_other(flat):
    _, _, _, mask = responded(flat)
    assert mask[flat.dead] == np.uint8(Pixel.BAD)
    assert np.count_nonzero(mask) == 1


def test_pixels_without_light_keep_one_and_the_error_of_the_scatter(flat):
    response, error, weight, mask = responded(flat)
    distance = np.abs(np.arange(N_ROWS)[:, None] - flat.traces.centers.reshape(-1, 1, N_COLUMNS)).min(axis=0)
    dark = distance > 8.5
    assert dark.sum() > 50_000
    assert (response[dark] == 1).all()
    assert (weight[dark] == 0).all()
    assert not mask[dark].any()
    np.testing.assert_allclose(error[dark], error[dark][0], rtol=1e-5)
    assert error[dark][0] == pytest.approx(SCATTER, rel=0.15)


def test_pixels_that_are_masked_say_nothing(flat):
    blind = Image(flat.image.electrons, flat.image.floor_variance, np.ones_like(flat.image.mask), 60.0)
    response, error, weight, mask = pixel_response.measure(blind, flat.traces, flat.profile, flat.flux, (0, 2))
    assert (response == 1).all()
    assert not weight.any()
    assert not mask.any()
    assert (error > 0).all()


def test_light_that_is_unknown_gives_no_response(flat):
    flux = flat.flux.copy()
    flux[0, 3, 200:300] = np.nan
    _, _, weight, _ = responded(flat, flux)
    center = flat.traces.centers[0, 3, 250]
    assert not weight[int(center) - 3 : int(center) + 4, 250].any()
    assert weight[int(center), 350] > 0.5
