"""Values of header cards, as headers have them: numbers as strings, 'N/A', 'NaN', blanks."""

import math
import re
from collections.abc import Mapping
from typing import Any

from nrespipe.frames.raw import Section

#: Value and comment of each card by its keyword.
Cards = Mapping[str, tuple[Any, str]]

#: Words that stand for no value, upper case.
ABSENT = frozenset({"", "N/A", "NA", "NAN", "NULL", "UNKNOWN", "UNSPECIFIED", "UNDEFINED"})

_SECTION = re.compile(r"\[\s*(\d+)\s*:\s*(\d+)\s*,\s*(\d+)\s*:\s*(\d+)\s*\]")
#: Three numbers, or two, between colons, blanks or the letters of their units
_SEXAGESIMAL = re.compile(
    r"([+-]?)\s*(\d{1,3})\s*(?:[:\shdHD]|\u00b0)\s*(\d{1,2})\s*(?:(?:[:\smM'\u2032])\s*(?:(\d{1,2}(?:[.,]\d*)?)\s*[sS\"\u2033]?)?)?"
)


def value(header: Cards, keyword: str) -> object:
    """Return the value of a card as it is; None where there is no such card."""
    return header.get(keyword, (None, ""))[0]


def text(value: object) -> str:
    """Return a value as text.

    Parameters
    ----------
    value
        Value of a card.

    Returns
    -------
    str
        Without blanks around it; '' where it stands for no value.
    """
    if value is None:
        return ""
    words = str(value).strip()
    return "" if words.upper() in ABSENT else words


def number(value: object) -> float | None:
    """Return a value as a number.

    Parameters
    ----------
    value
        Value of a card; a number or its text.

    Returns
    -------
    float or None
        None where it is no finite number.
    """
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        result = float(value)
    except (ValueError, OverflowError):
        return None
    return result if math.isfinite(result) else None


def positive(value: object) -> float | None:
    """Return a value as a number above zero.

    Parameters
    ----------
    value
        Value of a card; a number or its text.

    Returns
    -------
    float or None
        None where it is no finite number above zero.
    """
    result = number(value)
    return result if result is not None and result > 0 else None


def section(value: object) -> Section | None:
    """Return the rectangle that a text like ``[1:4096,1:4096]`` means.

    Parameters
    ----------
    value
        Value of a card, columns before rows, counted from one, both ends included.

    Returns
    -------
    Section or None
        None where the value names no rectangle.
    """
    match = _SECTION.fullmatch(text(value))
    if match is None:
        return None
    x1, x2, y1, y2 = map(int, match.groups())
    if min(x1, x2, y1, y2) < 1:
        return None
    return Section(min(x1, x2) - 1, max(x1, x2), min(y1, y2) - 1, max(y1, y2))


def right_ascension_deg(value: object, comment: str = "") -> float | None:
    """Return a right ascension in degrees.

    Parameters
    ----------
    value
        Sexagesimal text (hours; degrees where it is too large for hours, or marked so), or a decimal number or its text
        (degrees, unless the comment says hours).
    comment
        Comment of the card.

    Returns
    -------
    float or None
        From 0 up to 360 [degree]; None where the value is no right ascension.
    """
    angle = _sexagesimal(value)
    in_hours = "hour" in comment.lower() if angle is None else angle <= 24 and "d" not in text(value).lower()
    if angle is None:
        angle = number(value)
    if angle is None or not 0 <= angle <= (24 if in_hours else 360):
        return None
    return (angle * 15 if in_hours else angle) % 360


def declination_deg(value: object) -> float | None:
    """Return a declination, or a latitude, in degrees.

    Parameters
    ----------
    value
        Sexagesimal text, or a decimal number or its text [degree]; an S after it means south.

    Returns
    -------
    float or None
        From -90 to 90 [degree]; None where the value is no declination.
    """
    angle = _angle_deg(value)
    return angle if angle is not None and -90 <= angle <= 90 else None


def longitude_east_deg(value: object) -> float | None:
    """Return a longitude in degrees.

    Parameters
    ----------
    value
        Sexagesimal text, or a decimal number or its text [degree]; a W after it means west.

    Returns
    -------
    float or None
        East positive, from -180 to 180 [degree]; None where the value is no longitude.
    """
    angle = _angle_deg(value)
    if angle is None or abs(angle) > 360:
        return None
    return angle if abs(angle) <= 180 else (angle + 180) % 360 - 180


def _angle_deg(value: object) -> float | None:
    """Return an angle in degrees, with the sign that a letter of a direction after it gives."""
    words = text(value)
    turned = -1 if words[-1:] in ("S", "W") and isinstance(value, str) else 1
    bare = words.rstrip("NSEW ") if isinstance(value, str) else value
    angle = _sexagesimal(bare)
    if angle is None:
        angle = number(bare)
    return None if angle is None else turned * angle


def _sexagesimal(value: object) -> float | None:
    match = _SEXAGESIMAL.fullmatch(text(value).replace("\u2212", "-")) if isinstance(value, str) else None
    if match is None:
        return None
    sign, whole, minutes, seconds = match[1], int(match[2]), int(match[3]), float((match[4] or "0").replace(",", "."))
    # rounding makes a minute of 60.000 seconds
    if minutes > 60 or seconds > 60:
        return None
    # The sign stands for the whole value: -00:30 is half a degree south.
    return (-1 if sign == "-" else 1) * (whole + minutes / 60 + seconds / 3600)
