"""No comment of a product is cut, and every number that is not one has no value."""

import pytest
from astropy.io import fits
from hypothesis import given
from hypothesis import strategies as st

from nrespipe.files.products.cards import LONGEST_COMMENT, card

pytestmark = pytest.mark.filterwarnings("error")

_NUMBERS = (0.0, 1.5, -1.2345678901234567e-100, 2.0264406646529514, 12345678901234567890, True, None, float("nan"))


def read(made):
    """Return value and comment after a way through the bytes of a header."""
    header = fits.Header.fromstring(fits.Header([made]).tostring())
    return header["DATE"], header.comments["DATE"]


@pytest.mark.parametrize(
    "comment", ["", "the same in words", "UTC, of the raw file: equal input, equal bytes", "y" * 63]
)
def test_a_text_of_any_length_keeps_its_comment_whole(comment):
    for length in range(100):
        assert read(card("DATE", "x" * length, comment)) == ("x" * length, comment)


@given(
    st.text(st.sampled_from("ab' "), max_size=90).map(str.rstrip),
    st.lists(st.text(st.sampled_from("ab/="), min_size=1, max_size=20), max_size=12).map(" ".join),
)
def test_quotes_and_words_do_not_break_a_card(text, comment):
    assert read(card("DATE", text, comment)) == (text, comment)


@pytest.mark.parametrize("number", _NUMBERS)
def test_the_longest_comment_fits_next_to_any_number(number):
    made = card("DATE", number, "z" * LONGEST_COMMENT)
    assert made.comment == fits.Card.fromstring(str(made)).comment == "z" * LONGEST_COMMENT
    assert len(str(made)) == 80


def test_a_number_makes_room_for_a_longer_comment_of_a_raw_header_and_refuses_one_without_room():
    comment = "[encoder tics] Collimator stage encoder position"
    assert str(card("CSTAG_ET", 0.0, comment)).rstrip() == f"CSTAG_ET= 0.0 / {comment}"
    with pytest.raises(ValueError, match="no room for the comment"):
        card("CSTAG_ET", 2.0264406646529514, "z" * 60)
