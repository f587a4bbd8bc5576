import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from nrespipe.numerics.levels import between_lines


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
    levels = between_lines(flux, good, edges)
    for row in range(2):
        for block in range(2):
            here = slice(edges[block], edges[block + 1])
            assert levels[row, block] == _plain(flux[row, here][good[row, here]])


def test_lines_in_a_third_of_the_pixels_raise_the_level_by_less_than_the_noise():
    random = np.random.default_rng(5)
    flux = 100 + random.normal(size=(20, 64)) * 10
    flux[:, ::3] += 5000
    levels = between_lines(flux, np.ones(flux.shape, bool), np.array([0, 64]))
    assert abs(levels.mean() - 100) < 5


def test_a_block_without_a_good_pixel_has_level_zero():
    levels = between_lines(np.ones((1, 8)), np.zeros((1, 8), bool), np.array([0, 8]))
    assert levels[0, 0] == 0
