"""Ranks, medians, intervals, levels and spreads, against NumPy's."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nrespipe.numerics.robust_statistics import interval_of, line_free_level, median, select, spread

values = st.lists(st.integers(-5, 5) | st.floats(-1e6, 1e6), min_size=1, max_size=30).map(lambda x: np.array(x, float))


@given(values, st.data())
def test_the_value_of_a_rank_is_that_of_the_sorted_values(array, data):
    k = data.draw(st.integers(0, len(array) - 1))
    moved = array.copy()
    assert select(moved, k) == np.sort(array)[k]
    np.testing.assert_array_equal(np.sort(moved), np.sort(array))
    assert (moved[:k] <= moved[k]).all()


@pytest.mark.parametrize("kind", [np.float32, np.float64])
@given(array=values)
def test_the_median_is_that_of_numpy(kind, array):
    array = array.astype(kind)
    assert median(array.copy()) == pytest.approx(float(np.median(array)), rel=1e-6)


@given(values, st.floats(-20, 20))
def test_a_value_lies_in_the_interval_that_begins_below_it(array, value):
    edges = np.sort(array)
    expected = min(max(np.searchsorted(edges, value) - 1, 0), max(len(edges) - 2, 0))
    assert interval_of(edges, value) == expected


def _plain(values, clip=2.5, rounds=4):
    for _ in range(rounds):
        middle = np.median(values)
        scatter = 1.4826 * np.median(np.abs(values - middle))
        values = values[values <= middle + clip * scatter]
    return np.median(values)


@settings(deadline=None)
@given(st.integers(0, 10_000))
def test_the_kernel_agrees_with_plain_numpy(seed):
    random = np.random.default_rng(seed)
    flux, good = random.normal(size=(2, 70)) ** 3, random.uniform(size=(2, 70)) > 0.3
    edges = np.array([0, 30, 70])
    levels = line_free_level(flux, good, edges)
    for row in range(2):
        for block in range(2):
            here = slice(edges[block], edges[block + 1])
            assert levels[row, block] == _plain(flux[row, here][good[row, here]])


def test_lines_in_a_third_of_the_pixels_raise_the_level_by_less_than_the_noise():
    random = np.random.default_rng(5)
    flux = 100 + random.normal(size=(20, 64)) * 10
    flux[:, ::3] += 5000
    levels = line_free_level(flux, np.ones(flux.shape, bool), np.array([0, 64]))
    assert abs(levels.mean() - 100) < 5


def test_a_block_without_a_good_pixel_has_level_zero():
    levels = line_free_level(np.ones((1, 8)), np.zeros((1, 8), bool), np.array([0, 8]))
    assert levels[0, 0] == 0


@pytest.mark.parametrize("scale", [0.4, 2.2, 30.0])
def test_the_spread_of_whole_counts_is_not_stepped(scale):
    rng = np.random.default_rng(4)
    sample = np.round(rng.normal(1000, scale, 200_000))
    assert spread(sample) == pytest.approx(np.std(sample), rel=0.01)


def test_cosmic_rays_do_not_change_the_spread():
    rng = np.random.default_rng(5)
    sample = rng.normal(0, 3, 50_000)
    sample[:500] += 5000
    assert spread(sample) == pytest.approx(3, rel=0.01)


def test_an_empty_sample_has_no_spread():
    assert np.isnan(spread(np.array([np.nan])))
