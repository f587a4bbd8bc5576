"""Cards of the headers of products: whole comments, no value for a number that is not known."""

import math
import re
from textwrap import wrap
from typing import TYPE_CHECKING

import numpy as np
from astropy.io import fits

if TYPE_CHECKING:
    from astropy.io.fits import Card

#: Longest comment that fits next to any number.
LONGEST_COMMENT = 47

#: Letters of a comment in a card that continues a text.
_ROOM = 64

#: Keyword and value of a card with the blanks that FITS allows to leave out.
_SPACED = re.compile(r"^(.{8}= ) +(\S+)")


def card(keyword: str, content: str | bool | int | float | None, comment: str = "") -> "Card":
    """Return a card; a number that is not one becomes a card without a value.

    Parameters
    ----------
    content
        Value.
    comment
        Never cut: a text that leaves no room for it goes on in a second card, a number goes to the left.

    Raises
    ------
    ValueError
        If there is no room for the comment of a number; there always is for `LONGEST_COMMENT` letters.
    """
    if isinstance(content, float | np.floating):
        content = float(content) if math.isfinite(content) else None
    if isinstance(content, str):
        content = content.encode("ascii", "replace").decode()
    # one that certainly fits is made only once: making a card takes as long as all else about it
    text_length = max(20, len(content) + 2 + content.count("'")) if isinstance(content, str) else 20
    if len(comment) <= min(LONGEST_COMMENT, 67 - text_length):
        return fits.Card(keyword, content, comment)
    bare = str(fits.Card(keyword, content)).rstrip()
    if not comment or len(bare) > 80 or max(30, len(bare)) + 3 + len(comment) <= 80:
        # astropy continues a long text in further cards, with any comment
        return fits.Card(keyword, content, comment)
    if isinstance(content, str):
        return _continued(keyword, content.rstrip(), comment)
    short = _SPACED.sub(r"\1\2", bare) + f" / {comment}"
    if len(short) > 80:
        raise ValueError(f"{keyword}: no room for the comment {comment!r} next to {content!r}")
    return fits.Card.fromstring(short)


def _continued(keyword: str, text: str, comment: str) -> "Card":
    """Return the card of a text whose comment is in further cards, by the convention for long texts."""
    # a doubled quote must not be torn
    texts = re.findall("(?:''|[^']){1,33}", text.replace("'", "''")) or [""]
    comments = wrap(comment, _ROOM)
    rows = [(f"{one}&", "") for one in texts] + [("&", one) for one in comments[:-1]] + [("", comments[-1])]
    starts = [f"{keyword:8}= ", *["CONTINUE  "] * (len(rows) - 1)]
    lines = [f"{start}'{one}'" + (f" / {words}" if words else "") for start, (one, words) in zip(starts, rows)]
    return fits.Card.fromstring("".join(line.ljust(80) for line in lines))


def sexagesimal(value_deg: float | None, hours: bool = False) -> str:
    """Return an angle as text.

    Parameters
    ----------
    value_deg
        Angle [degree].
    hours
        Whether to write it in hours.

    Returns
    -------
    str
        ``HH:MM:SS.ssss``, or ``+DD:MM:SS.sss``; 'UNKNOWN' for None.
    """
    if value_deg is None:
        return "UNKNOWN"
    unit = 10000 if hours else 1000
    parts = round(abs(value_deg) / (15 if hours else 1) * 3600 * unit)
    seconds, fraction = divmod(parts, unit)
    digits = f"{fraction:0{4 if hours else 3}d}"
    sign = "" if hours else ("-" if value_deg < 0 else "+")
    whole = seconds // 3600 % 24 if hours else seconds // 3600
    return f"{sign}{whole:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}.{digits}"
