"""Charge that saturated pixels spill along the columns, by other recipes than the simulator's."""

from types import SimpleNamespace

import numpy as np
import pytest

from nrespipe.engine.detector import bleeding
from nrespipe.engine.extraction import optimal_extraction, scattered_light
from nrespipe.frames.image import Image
from nrespipe.frames.quality import Pixel
from nrespipe.frames.traces import Profile, Traces

N_ROWS, N_COLUMNS = 256, 1024
READ, WIDTH, WELL = 7.0, 1.9, 150_000.0
ORDERS = np.arange(60, 66)
X = np.arange(N_COLUMNS)
Y = np.arange(N_ROWS)[:, np.newaxis]
#: Share of the light of a trace per pixel that its wings hold, 6.5 to 22 pixels from it.
DISTANCES = np.arange(0, 22.1, 0.25)
WINGS = np.where(DISTANCES > 6.5, 1.5e-3 * np.exp(-(DISTANCES - 6.5) / 4), 0.0)


def profile_of(offsets):
    return np.exp(-0.5 * (offsets / WIDTH) ** 2) / (WIDTH * np.sqrt(2 * np.pi))


@pytest.fixture(scope="module")
def flat():
    """Orders as close as in the red: fiber 0, the star's, 18 pixels above the lamp's, the next order 15 above that."""
    centers = np.stack([24.0 + 33.0 * np.arange(6) + 18 * (fiber == 0) for fiber in (0, 1)])
    traces = Traces((0, 1), ORDERS, centers[..., np.newaxis] + 5 * np.linspace(-1, 1, N_COLUMNS) ** 2 + X / 150)
    offsets = np.arange(-10, 10.01, 0.05)
    shape = profile_of(offsets) + np.interp(np.abs(offsets), DISTANCES, WINGS)
    table = np.broadcast_to(shape.astype(np.float32), (2, 6, 1, len(offsets)))
    blank = np.ones((N_ROWS, N_COLUMNS), np.float32)
    profile = Profile(
        offsets, np.array([512.0]), table, DISTANCES, np.stack([WINGS, WINGS]), blank, np.zeros_like(blank)
    )
    return SimpleNamespace(traces=traces, profile=profile, blaze=np.ones(traces.centers.shape), peak_e_per_s=None)


def light_of(flat, rng, star=3000.0):
    """A star with a blaze in fiber 0, and lines of the lamp, faint and very bright, in fiber 1."""
    flux = np.zeros(flat.traces.centers.shape)
    flux[0] = star * (0.2 + 0.8 * np.exp(-(((X - 500) / 400) ** 2)))
    for row in flux[1]:
        for at, peak in zip(rng.uniform(0, N_COLUMNS, 25), np.geomspace(50, 3e5, 25)):
            row += peak * np.exp(-0.5 * ((X - at) / 1.7) ** 2)
    image = 6.0 + 5.0 * X / N_COLUMNS + 8.0 * Y / N_ROWS
    for fiber in (0, 1):
        for centers, light in zip(flat.traces.centers[fiber], flux[fiber]):
            image = image + light * (profile_of(Y - centers) + np.interp(np.abs(Y - centers), DISTANCES, WINGS, 0, 0))
    return flux, image


def exponential(distance, height):
    """Flat at the well, with ends that fall off slowly."""
    return WELL * np.exp(-np.maximum(distance - height, 0) / 12.0)


def straight(distance, height):
    """Falls in a straight line to nothing."""
    return WELL * np.clip(1 - distance / (3 * height), 0, 1)


def stepped(distance, height):
    """Ends in a step a good deal below the well."""
    return np.where(distance < height, WELL, np.where(distance < 2 * height, 3000.0, 0))


RECIPES = {"exponential": exponential, "straight": straight, "stepped": stepped}


def trails(flat, rng, recipe, number, sides=(-1, 1), well=1.0):
    """Charge of lines of the lamp at random places, 1 to 20 columns wide."""
    charge = np.zeros((N_ROWS, N_COLUMNS))
    for _ in range(number):
        order, first, width = rng.integers(6), rng.integers(5, N_COLUMNS - 25), rng.integers(1, 21)
        for x in range(first, first + width):
            middle = (x - first + 0.5) / width
            height = rng.uniform(8, 25) * np.sqrt(4 * middle * (1 - middle))
            distance = (Y[:, 0] - flat.traces.centers[1, order, x]) * np.array(sides)[:, np.newaxis]
            spilled = recipe(np.abs(distance), height)
            # the line itself fills the pixels of its trace
            charge[:, x] += np.where((distance > 0) | (np.abs(distance) < 3), spilled, 0).max(axis=0) * well
    return charge


def observed(flat, charge, seed, full=WELL):
    """Return the true flux, and the image with the charge in it."""
    rng = np.random.default_rng(seed)
    flux, light = light_of(flat, rng)
    expected = np.minimum(light + charge, np.maximum(light, full))
    electrons = rng.poisson(expected) + rng.normal(0, READ, light.shape)
    mask = np.where(electrons > 0.95 * WELL, Pixel.SATURATED, 0).astype(np.uint8)
    return flux, Image(electrons.astype(np.float32), np.full(light.shape, READ**2, np.float32), mask, 600.0)


def extracted(flat, image):
    marked = bleeding.mark(image, flat.traces, flat, (0, 1))
    clean = scattered_light.subtract(marked, flat.traces, flat, (0, 1))
    return marked, optimal_extraction.optimal(clean, flat.traces, flat, (0, 1), (1,))


def compare(flat, flux, image):
    """Pulls of the pixels without flags, and which pixels they are."""
    _, spectra = extracted(flat, image)
    good = spectra.quality == 0
    return ((spectra.flux - flux) / np.sqrt(spectra.variance))[good], good


def test_where_a_gap_does_not_tell_its_level_it_goes_as_that_of_the_gaps_around():
    true = 20 + 5 * np.sin(np.arange(16) / 3) + 3 * np.arange(40)[:, np.newaxis] / 40
    levels = true.copy()
    levels[15:18, 4:9] = np.nan
    smooth = bleeding._smooth(levels, 4096)
    np.testing.assert_allclose(smooth[:, 128:-128:256], bleeding._smooth(true, 4096)[:, 128:-128:256], atol=0.2)
    assert np.all(np.isfinite(bleeding._smooth(np.full((3, 4), np.nan), 64)))


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("sides", [(-1, 1), (1,), (-1,)], ids=["both", "up", "down"])
@pytest.mark.slow
def test_light_beside_spilled_charge_is_right_within_its_error_or_flagged(flat, recipe, sides):
    for number, seed in ((4, 1), (40, 2)):
        charge = trails(flat, np.random.default_rng(seed), RECIPES[recipe], number, sides)
        pulls, good = compare(flat, *observed(flat, charge, seed))
        assert np.count_nonzero(np.abs(pulls) > 6) == 0
        assert abs(np.median(pulls)) < 0.1
        assert np.std(pulls) == pytest.approx(1, abs=0.05)
        assert good.mean() > (0.94 if number == 4 else 0.5)


@pytest.mark.slow
@pytest.mark.parametrize("well", [0.1, 0.3, 0.6])
def test_charge_that_spills_far_below_the_saturation_of_the_header_is_found(flat, well):
    """No pixel is flagged as saturated, and trails are flat at another level each time."""
    charge = trails(flat, np.random.default_rng(5), exponential, 10, well=well)
    flux, image = observed(flat, charge, 5, full=well * WELL)
    assert not np.any(image.mask)
    pulls, good = compare(flat, flux, image)
    assert np.count_nonzero(np.abs(pulls) > 6) == 0
    assert good.mean() > 0.8


@pytest.mark.slow
@pytest.mark.parametrize("known", [True, False])
def test_a_trail_in_a_hot_column_is_followed_no_farther_than_it_goes(flat, known):
    rng = np.random.default_rng(6)
    charge = np.zeros((N_ROWS, N_COLUMNS))
    charge[:, 500:508] = exponential(np.abs(Y - flat.traces.centers[1, 3, 503]), 10.0)
    flux, image = observed(flat, charge, 6)
    hot = image.electrons.copy()
    hot[60:, 504] += 20_000 if known else 40
    mask = image.mask.copy()
    mask[60:, 504] |= np.uint8(Pixel.BAD if known else 0)
    image = Image(hot + rng.normal(0, 1, hot.shape).astype(np.float32), image.floor_variance, mask, 600.0)
    marked, spectra = extracted(flat, image)
    good = spectra.quality == 0
    good[..., 504] = False
    assert np.all(np.abs((spectra.flux - flux) / np.sqrt(spectra.variance))[good] < 6)
    far = np.abs(Y[:, 0] - flat.traces.centers[1, 3, 503]) > 130
    beside = [x for x in range(495, 515) if x != 504]
    assert not np.any(marked.mask[far][:, beside] & np.uint8(Pixel.BLOOMED))


def test_a_frame_without_spilled_charge_is_left_alone(flat):
    rng = np.random.default_rng(7)
    _, image = observed(flat, np.zeros((N_ROWS, N_COLUMNS)), 7)
    electrons = image.electrons.copy()
    for _ in range(400):
        # cosmic rays, along the columns too
        y, x, length = rng.integers(0, N_ROWS - 8), rng.integers(0, N_COLUMNS), rng.integers(1, 5)
        electrons[y : y + length, x] += rng.exponential(2000)
    marked = bleeding.mark(Image(electrons, image.floor_variance, image.mask, 600.0), flat.traces, flat, (0, 1))
    assert np.mean(marked.mask & np.uint8(Pixel.BLOOMED) > 0) < 1e-3


@pytest.mark.slow
def test_a_star_that_saturates_keeps_most_of_the_columns_in_which_it_does_not(flat):
    rng = np.random.default_rng(8)
    flux, light = light_of(flat, rng, star=9e5)
    excess = np.maximum(light - WELL, 0).sum(axis=0) / 2
    charge = sum(
        excess / 6 / 8 * np.exp(-np.maximum(np.abs(Y - centers) - 3, 0) / 4.0) for centers in flat.traces.centers[0]
    )
    electrons = rng.poisson(np.minimum(np.minimum(light, WELL) + charge, WELL)) + rng.normal(0, READ, light.shape)
    mask = np.where(electrons > 0.95 * WELL, Pixel.SATURATED, 0).astype(np.uint8)
    image = Image(electrons.astype(np.float32), np.full(light.shape, READ**2, np.float32), mask, 600.0)
    _, spectra = extracted(flat, image)
    good = spectra.quality == 0
    assert np.all(np.abs((spectra.flux - flux) / np.sqrt(spectra.variance))[good] < 6)
    calm = light.max(axis=0) < 0.9 * WELL
    assert 0.3 < calm.mean() < 0.7
    # found 0.37: its wings fill the gaps far beyond the columns that saturate
    assert np.mean(spectra.quality[:, :, calm] & np.uint8(Pixel.BLOOMED) > 0) < 0.45


@pytest.mark.slow
@pytest.mark.parametrize("number", [10, 60])
def test_the_background_does_not_rise_where_charge_is_spilled(flat, number):
    charge = trails(flat, np.random.default_rng(9), exponential, number)
    _, image = observed(flat, charge, 9)
    marked = bleeding.mark(image, flat.traces, flat, (0, 1))
    clean = scattered_light.subtract(marked, flat.traces, flat, (0, 1))
    off = image.electrons - clean.electrons - (6.0 + 5.0 * X / N_COLUMNS + 8.0 * Y / N_ROWS)
    assert np.abs(off).max() < 4
    assert abs(np.median(off)) < 1
