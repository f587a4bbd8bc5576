"""The response of pixels from three flats of a camera with gain 1 and 6.6 ADU, with other light than simulated."""

from types import SimpleNamespace

import numpy as np
import pytest
from scipy.special import erf

from nrespipe.engine.extraction import pixel_response
from nrespipe.engine.extraction.scattered_light import DISTANCES
from nrespipe.frames.image import Image
from nrespipe.frames.traces import Profile, Traces

N_ROWS, N_COLUMNS, FLATS, NOISE = 512, 1536, 3, 6.6
ORDERS = np.arange(80, 92)
X, Y = np.arange(N_COLUMNS), np.arange(N_ROWS)[:, None]
OFFSETS = np.arange(-10, 10.025, 0.05)
#: A box blurred more on one side, integrated over a pixel.
_STEPS = OFFSETS[:, None] + np.linspace(-0.45, 0.45, 10)
SHARE = np.mean(erf((_STEPS + 2.6) / 1.27) - erf((_STEPS - 2.6) / 1.4), axis=1) / 10.4


def _dust(rng, spots=40):
    """Round spots with soft edges, 2 to 19 percent deep."""
    dark = np.zeros((N_ROWS, N_COLUMNS))
    for row, column, radius, depth in rng.uniform((0, 0, 1, 0.02), (N_ROWS, N_COLUMNS, 6, 0.19), (spots, 4)):
        far = np.hypot(Y - row, X - column) - radius
        dark = np.maximum(dark, depth / (1 + np.exp(np.minimum(far / 0.7, 50))))
    return dark


def _flat(peak, scatter, fringes, hits=0, spots=0, seed=3):
    """Stack of flats, and what `respond` makes of it; fringes in the lower half only, as in the red."""
    rng = np.random.default_rng(seed)
    centers = (22 + 40 * np.arange(len(ORDERS)))[:, None] + 8 * (X / N_COLUMNS - 0.5) ** 2 + 4 * X / N_COLUMNS
    flux = peak * 5.2 * np.linspace(1, 0.3, len(ORDERS))[:, None] * np.sinc(0.8 * (X / N_COLUMNS - 0.5) * 2) ** 2
    light = sum(one * np.interp(Y - center, OFFSETS, SHARE) for one, center in zip(flux, centers))
    response = 1 + scatter * rng.standard_normal(light.shape) - _dust(rng, spots)
    strength = fringes * np.clip(2 - 4 * Y / N_ROWS, 0, 1)
    response *= 1 + strength * np.sin(2 * np.pi * (X / 6.5 + 0.02 * Y + 2 * np.sin(X / 400)))
    electrons = rng.poisson(FLATS * light * response) + rng.normal(0, NOISE * np.sqrt(FLATS), light.shape)
    places, hit = (rng.integers(0, N_ROWS, hits), rng.integers(0, N_COLUMNS, hits)), np.zeros(light.shape)
    hit[places] = rng.exponential(0.1 * FLATS * peak, hits)
    electrons += hit
    floor = np.full(light.shape, FLATS * NOISE**2, np.float32)
    image = Image(electrons.astype(np.float32), floor, np.zeros(light.shape, np.uint8), 90.0)
    table = np.tile(SHARE, (1, len(ORDERS), 2, 1)).astype(np.float32)
    even = np.ones(light.shape, np.float32)
    ends = np.array([0.0, N_COLUMNS - 1.0])
    shape = Profile(OFFSETS, ends, table, DISTANCES, np.zeros((2, len(DISTANCES))), even, even)
    traces = Traces((1,), ORDERS, centers[None])
    found, error, weight, bad = pixel_response.measure(image, traces, shape, FLATS * flux[None], (1,))
    known = (weight > 0) & (bad == 0)
    return SimpleNamespace(truth=response, found=found, error=error, known=known, hit=hit, light=light, centers=centers)


#: Light of the brightest pixel of a flat [electron], scatter of the response, and amplitude of the fringes.
WORLDS = {"even": (20_000, 0.01, 0.0), "faint and fringed": (4_000, 0.01, 0.03), "rough": (20_000, 0.02, 0.05)}


@pytest.fixture(scope="module", params=WORLDS, ids=WORLDS)
def flat(request):
    return _flat(*WORLDS[request.param], spots=40)


def test_the_histogram_of_the_response_has_neither_hole_nor_shoulder(flat):
    counts, edges = np.histogram(flat.found[flat.known], np.arange(1.0, 1.2, 0.01))
    assert (np.diff(counts) < 3 * np.sqrt(counts[:-1] + 1)).all(), counts
    # what is drawn towards 1 has no more pixels out there than the truth
    truth, _ = np.histogram(flat.truth[flat.known], edges)
    assert (counts[3:] <= truth[3:] + 3 * np.sqrt(truth[3:] + 1)).all(), (counts, truth)


@pytest.mark.parametrize("rows", [slice(0, 240), slice(272, 512)], ids=["fringed", "without fringes"])
def test_the_response_is_unbiased_and_its_error_is_true_at_every_brightness(flat, rows):
    pull = ((flat.found - flat.truth) / flat.error)[rows]
    light = np.where(flat.known, flat.light / flat.light.max(), 0)[rows]
    for least, most in ((0.01, 0.1), (0.1, 0.3), (0.3, 1.1)):
        here = (light > least) & (light <= most)
        assert np.count_nonzero(here) > 3000
        assert abs(np.mean(pull[here])) < 0.1
        # where the flat is faint, fringed and even pieces take a little of each other's scatter
        assert 0.85 < np.std(pull[here]) < 1.12


def test_the_sum_over_a_column_errs_by_what_it_claims_and_by_up_to_twice_as_much_in_strong_fringes(flat):
    share = sum(np.interp(Y - center, OFFSETS, SHARE) for center in flat.centers)
    inner = np.s_[:, 100:-100]
    pulls = []
    for center in flat.centers:
        rows = np.abs(Y - center) < 8
        error = np.sum(np.where(rows, share * (flat.found - flat.truth), 0), axis=0)
        claim = np.sqrt(np.sum(np.where(rows, share * flat.error, 0) ** 2, axis=0))
        pulls.append((error / claim)[inner[1]])
    red, blue = np.std(pulls[:4]), np.std(pulls[7:])
    # fringes are common to a column, and so is what a faint flat does not show of them
    assert 0.85 < blue < 1.15
    assert 0.85 < red < 2.0


def test_dust_with_soft_edges_is_followed(flat):
    dusty = flat.known & (flat.light > 0.3 * flat.light.max()) & (flat.truth < 0.91)
    assert dusty.sum() > 20
    assert abs(np.mean((flat.found - flat.truth)[dusty])) < 0.008


@pytest.mark.parametrize("name", ["even", "faint and fringed"])
def test_light_of_cosmic_rays_does_not_enter_the_response(name):
    # more than three such flats have after their outliers are rejected
    flat = _flat(*WORLDS[name], hits=4000)
    excess = flat.hit / np.maximum(FLATS * flat.light, 1)
    noise = 1 / np.sqrt(FLATS * np.maximum(flat.light, 1))
    clear = (flat.light > 0.1 * flat.light.max()) & (excess > 6 * np.hypot(noise, 0.01)) & (excess < 0.2)
    assert clear.sum() > 50
    assert np.mean((flat.found - flat.truth)[clear]) < 0.1 * np.mean(excess[clear])
    assert flat.found[flat.hit > 0].max() < flat.truth.max()
