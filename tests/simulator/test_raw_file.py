"""Header cards."""

import numpy as np
from astropy.coordinates import Angle
from hypothesis import given
from hypothesis import strategies as st

from nrespipe import instruments
from nrespipe.simulator import raw_file


@given(st.floats(-90, 90))
def test_sexagesimal_degrees_read_back_to_a_hundredth_of_an_arcsecond(degrees):
    text = raw_file.sexagesimal(degrees, 2, sign=True)
    assert text[0] in "+-"
    assert abs(Angle(text, unit="deg").deg - degrees) * 3600 <= 0.0051


def test_seconds_are_never_written_as_sixty():
    assert raw_file.sexagesimal(np.nextafter(12, 0), 3) == "12:00:00.000"
    assert raw_file.sexagesimal(-0.5, 1, sign=True) == "-00:30:00.0"


def test_a_star_without_coordinates_leaves_a_header_of_words_only():
    words = dict(card[:2] for card in raw_file.telescope_cards(instruments.load("nres01"), None))
    assert words["CAT-RA"] == words["RA"] == "N/A"
    assert words["LONGITUD"] < 0
