import numpy as np

from nrespipe.numerics import profile_table


def test_a_column_between_two_chunks_mixes_their_profiles():
    middles = np.array([10.0, 20.0, 40.0])
    assert profile_table.chunk_of(middles, 5.0) == (0, 0.0)
    assert profile_table.chunk_of(middles, 25.0) == (1, 0.25)
    assert profile_table.chunk_of(middles, 99.0) == (1, 1.0)
