"""Flats as real sites may give them: faint, uneven, damaged, not as their header says."""

from functools import lru_cache

import numpy as np
import pytest

from nrespipe import instruments
from nrespipe.engine.orders import trace
from nrespipe.errors import BadFrame
from nrespipe.frames.raw import Kind
from nrespipe.simulator import bench as benches
from nrespipe.simulator import frame as frames
from nrespipe.simulator.frame import Switches

pytestmark = pytest.mark.slow

SITE, SEED, ROWS = "nres03", 5, 4096
#: Only the light is looked at, and that is without noise.
QUIET = Switches(photon_noise=False, read_noise=False, cosmics=False, fixed_pattern=False, response=False)


@pytest.fixture(scope="module")
def light(shelf):
    """Noise-free light of a flat through each fiber alone, and the rows of their traces."""
    bench = benches.build(instruments.load(SITE), SEED)
    alone = [tuple("tung" if fiber == lit else "none" for fiber in range(3)) for lit in range(3)]

    def render():
        scenes = [frames.Scene(Kind.FLAT, lamps, 30.0) for lamps in alone]
        return [frames.render(bench, scene, switches=QUIET).electrons for scene in scenes]

    return shelf.get("flats-alone", render), [benches.row(bench, fiber, np.arange(ROWS)) for fiber in range(3)]


def flat(light, levels, seed=1):
    """Add noise to the light of fibers at these levels."""
    image = sum(level * image for level, image in zip(levels, light[0]) if level)
    return image + _noise(seed) * np.sqrt(image + np.float32(7.0**2))


@lru_cache(maxsize=1)
def _noise(seed):
    return np.random.default_rng(seed).normal(0, 1, (ROWS, ROWS)).astype(np.float32)


def find(image, fibers=(0, 1)):
    return trace.find(image, fibers, instruments.load(SITE))


def worst(found, light, columns=slice(None)):
    """Largest distance of any center from the truth of the order and fiber that it is said to belong to [pixel]."""
    truth = np.stack([light[1][fiber][found.orders - 52] for fiber in found.fibers])
    offset = found.centers - truth
    # a skewed profile has no true center
    return np.nanmax(np.abs(offset - np.nanmedian(offset))[..., columns])


@pytest.mark.parametrize(("level", "orders"), [(0.6, 67), (0.2, 66), (0.05, 60), (0.01, 45)])
def test_a_faint_flat_loses_blue_orders_but_numbers_none_wrongly(light, level, orders):
    found = find(flat(light, (level, level, 0)))
    assert len(found.orders) >= orders
    assert found.orders[0] == 52
    assert worst(found, light) < 1.0


@pytest.mark.parametrize("levels", [(1, 0.1, 0), (0.1, 1, 0), (0.05, 1, 0), (1, 0.12, 0)])
def test_a_fiber_ten_times_fainter_than_the_other_is_found_beside_it(light, levels):
    found = find(flat(light, levels))
    assert len(found.orders) >= 64
    assert worst(found, light) < 0.3


def test_two_flats_of_the_same_light_agree_to_a_thousandth_of_a_pixel(light):
    first, second = (find(flat(light, (1, 1, 0), seed=seed)) for seed in (1, 2))
    difference = first.centers - second.centers
    difference = difference[np.isfinite(difference)]
    assert 1.4826 * np.median(np.abs(difference - np.median(difference))) < 1e-3
    assert np.abs(difference).max() < 0.05


def test_three_fibers_at_once_are_found_where_they_do_not_overlap(light):
    found = find(flat(light, (1, 1, 1)), (0, 1, 2))
    # in the red, fiber 2 of an order falls upon fiber 0 of the one below
    free = found.orders > 85
    offset = found.centers - np.stack([rows[found.orders - 52] for rows in light[1]])
    assert np.nanmax(np.abs(offset - np.nanmedian(offset))[:, free]) < 1.0
    assert np.nanmedian(np.abs(offset)) < 0.5


@pytest.mark.parametrize("rows", [(1500, 1560), (2000, 2120), (3300, 3420), (60, 130)])
def test_a_dead_block_of_rows_takes_no_other_order_with_it(light, rows):
    image = flat(light, (1, 1, 0))
    image[slice(*rows)] = 0
    found = find(image)
    assert len(found.orders) >= 62
    outside = np.stack([light[1][fiber][found.orders - 52] for fiber in found.fibers])
    outside = (outside < rows[0] - 8) | (outside > rows[1] + 8)
    offset = np.where(outside, found.centers - np.stack([light[1][f][found.orders - 52] for f in found.fibers]), np.nan)
    assert np.nanmax(np.abs(offset - np.nanmedian(offset))) < 0.3


@pytest.mark.parametrize("first", [8, 30, 45, 54])
@pytest.mark.parametrize("dark", [4, 10])
def test_orders_on_both_sides_of_a_dark_gap_are_found_and_numbered_right(light, first, dark):
    image, rows = flat(light, (1, 1, 0)), np.arange(ROWS)[:, None]
    lowest, highest = light[1][1][first] - 9, light[1][0][first + dark - 1] + 9
    image[(rows > lowest) & (rows < highest)] = 0
    found = find(image)
    kept = np.delete(np.arange(52, 119), range(first, first + dark))
    np.testing.assert_array_equal(found.orders, kept)
    assert worst(found, light) < 0.3


@pytest.mark.parametrize("columns", [(2030, 2070), (1900, 2200), (0, 300), (2040, 2041)])
def test_dead_columns_even_in_the_middle_change_nothing_elsewhere(light, columns):
    image = flat(light, (1, 1, 0))
    image[:, slice(*columns)] = 0
    found = find(image)
    np.testing.assert_array_equal(found.orders, np.arange(52, 119))
    assert worst(found, light) < 0.3


def test_a_lane_of_dust_along_an_order_does_not_change_the_numbers_of_the_others(light):
    image = flat(light, (1, 1, 0))
    x = np.arange(ROWS)
    for order in (23, 24):
        for y in range(-40, 12):
            image[np.round(light[1][0][order]).astype(int) + y, x] *= 0.01
    found = find(image)
    others = ~np.isin(found.orders, (74, 75, 76, 77))
    assert others.sum() >= 63
    offset = found.centers - np.stack([light[1][fiber][found.orders - 52] for fiber in found.fibers])
    assert np.nanmax(np.abs(offset - np.nanmedian(offset))[:, others]) < 0.3


def test_columns_of_bleeding_charge_and_many_cosmic_rays_are_no_orders(light):
    image = flat(light, (1, 1, 0))
    rng = np.random.default_rng(3)
    image[rng.integers(0, ROWS, 30_000), rng.integers(0, ROWS, 30_000)] += rng.exponential(20_000, 30_000)
    image[500:3500, [700, 2048, 2049, 3900]] = 120_000
    found = find(image)
    np.testing.assert_array_equal(found.orders, np.arange(52, 119))
    assert worst(found, light) < 0.3


def test_no_center_is_given_where_the_flat_shows_no_light(light):
    image = flat(light, (1, 1, 0))
    image[:, :900] = np.random.default_rng(2).normal(0, 7, (ROWS, 900))
    found = find(image)
    assert np.isnan(found.centers[:, :, : 900 - 6 * 32]).all()
    assert worst(found, light) < 0.3


@pytest.mark.parametrize("shift", [25, -20])
def test_a_bench_higher_or_lower_than_any_other_is_numbered_right(light, shift):
    found = find(np.roll(flat(light, (1, 1, 0)), shift, axis=0))
    truth = np.stack([light[1][fiber][found.orders - 52] for fiber in found.fibers]) + shift
    assert np.nanmedian(np.abs(found.centers - truth)) < 0.3


def test_a_bench_half_an_order_off_is_not_numbered_at_all(nres01):
    # by the pattern alone: where two numberings fit alike depends on how the bench is bent
    rows = np.polynomial.polynomial.polyval(np.arange(0.5, 60), nres01.order_rows)
    with pytest.raises(BadFrame, match="between two numberings: the lowest of 60 may be"):
        trace.first_order(rows, nres01)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda light: flat(light, (1, 1, 0))[::-1],
        lambda light: flat(light, (1, 0, 0)),
        lambda light: flat(light, (1, 1, 1)),
        lambda light: flat(light, (1, 1, 0)).T,
        lambda light: flat(light, (0.0005, 0.0005, 0)),
        lambda light: flat(light, (1, 1, 0))[:, ::-1] * (np.arange(ROWS) % 64 < 8)[:, None],
    ],
    ids=["upside down", "one fiber", "three fibers", "on its side", "no light", "stripes"],
)
def test_a_flat_that_is_not_what_it_claims_is_refused(light, spoil):
    with pytest.raises(BadFrame):
        find(np.ascontiguousarray(spoil(light)))
