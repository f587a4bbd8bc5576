"""Ranks, medians and intervals, against NumPy's."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nrespipe.numerics import selection

values = st.lists(st.integers(-5, 5) | st.floats(-1e6, 1e6), min_size=1, max_size=30).map(lambda x: np.array(x, float))


@given(values, st.data())
def test_the_value_of_a_rank_is_that_of_the_sorted_values(array, data):
    k = data.draw(st.integers(0, len(array) - 1))
    moved = array.copy()
    assert selection.select(moved, k) == np.sort(array)[k]
    np.testing.assert_array_equal(np.sort(moved), np.sort(array))
    assert (moved[:k] <= moved[k]).all()


@pytest.mark.parametrize("kind", [np.float32, np.float64])
@given(array=values)
def test_the_median_is_that_of_numpy(kind, array):
    array = array.astype(kind)
    assert selection.median(array.copy()) == pytest.approx(float(np.median(array)), rel=1e-6)


@given(values, st.floats(-20, 20))
def test_a_value_lies_in_the_interval_that_begins_below_it(array, value):
    edges = np.sort(array)
    expected = min(max(np.searchsorted(edges, value) - 1, 0), max(len(edges) - 2, 0))
    assert selection.interval_of(edges, value) == expected
