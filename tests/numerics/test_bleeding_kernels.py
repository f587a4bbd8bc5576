import numpy as np
import pytest

from nrespipe.numerics import bleeding_kernels


@pytest.mark.parametrize("share", [0.0, 0.3, 0.6])
def test_the_level_of_a_gap_is_that_of_its_dark_columns_however_many_hold_charge(share):
    rng = np.random.default_rng(1)
    true = np.linspace(10, 40, 4096)
    count = np.full((20, 4096), 6, np.int32)
    level = true + np.sqrt((50 + true) / 6) * rng.standard_normal(count.shape)
    level += np.where(rng.random(count.shape) < share, rng.exponential(300, count.shape), 0)
    base = bleeding_kernels.block_levels(level.astype(np.float32), np.full(count.shape, 50, np.float32), count, 256)
    off = base - true.reshape(16, 256).mean(axis=1)
    # of an error of 3 to 4 electrons in one piece
    assert np.median(off) == pytest.approx(0, abs=0.5)
    assert np.abs(off).max() < 4


def test_a_block_without_usable_columns_has_no_level():
    count = np.full((1, 1024), 4, np.int32)
    count[0, 256:512] = 0
    level = np.where(count > 0, 20.0, 9999.0).astype(np.float32)
    base = bleeding_kernels.block_levels(level, np.full(level.shape, 1, np.float32), count, 256)
    np.testing.assert_allclose(base, [[20, np.nan, 20, 20]])


def test_a_mark_is_carried_through_pieces_that_tell_nothing_and_no_farther():
    marked = np.array([[1, 0, 0, 0, 0, 1, 0]], bool).T
    blind = np.array([[0, 1, 1, 0, 1, 0, 1]], bool).T
    upward, downward = bleeding_kernels.carried(marked, blind)
    np.testing.assert_array_equal(upward[:, 0], [1, 1, 1, 0, 0, 1, 1])
    np.testing.assert_array_equal(downward[:, 0], [1, 0, 0, 0, 1, 1, 0])


def test_levels_leave_out_what_is_known_to_be_bad_but_not_what_is_allowed():
    electrons = np.arange(40, dtype=np.float32).reshape(10, 4)
    mask = np.zeros((10, 4), np.uint8)
    mask[2, 0], mask[3, 0], mask[2:5, 1] = 1, 2, 1
    low, high = (np.full((1, 4), value, np.int32) for value in (2, 5))
    mean, lowest, variance, count = bleeding_kernels.levels(electrons, electrons, mask, np.uint8(2), low, high)
    np.testing.assert_array_equal(count, [[2, 0, 3, 3]])
    np.testing.assert_array_equal(mean, [[14, 0, 14, 15]])
    np.testing.assert_array_equal(lowest, [[12, 0, 10, 11]])
    np.testing.assert_array_equal(variance, mean)


def test_pixels_belong_to_their_piece_or_to_those_on_both_sides_of_their_trace():
    low, high = (np.repeat(np.array([rows], np.int32).T, 2, axis=1) for rows in ([0, 20, 40], [10, 30, 50]))
    row, column = np.array([5, 15, 35, 55]), np.array([0, 0, 1, 1])
    found = bleeding_kernels.beside(row, column, low, high)
    np.testing.assert_array_equal(found, [[1, 0], [1, 1], [0, 1]])


def test_pieces_are_filled_with_the_traces_on_both_sides_and_the_next_pieces():
    low, high = (np.array([rows], np.int32).T for rows in ([0, 20, 40, 60], [10, 30, 50, 70]))
    mask = np.ones((80, 1), np.uint8)
    bleeding_kernels.flag_pieces(mask, np.uint8(128), np.array([[0, 1, 0, 0]], bool).T, low, high)
    np.testing.assert_array_equal(np.flatnonzero(mask[:, 0] == 129), np.arange(50))


def test_pixels_with_a_bit_are_those_of_numpy():
    mask = np.random.default_rng(2).integers(0, 256, (50, 60)).astype(np.uint8)
    for bit in (2, 128):
        np.testing.assert_array_equal(bleeding_kernels.pixels_with(mask, np.uint8(bit)), np.nonzero(mask & bit))
