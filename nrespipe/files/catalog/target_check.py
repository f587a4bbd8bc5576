"""Defects of a catalog of stars: of every line and every column, in plain words."""

import csv
import re
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from nrespipe.files.catalog import star_match
from nrespipe.frames.star import Star, is_same_star, name_key, name_keys

#: Columns of the catalog, in order
COLUMNS = (
    "name", "aliases", "ra_deg", "dec_deg", "epoch_year", "pm_ra_mas_yr", "pm_dec_mas_yr", "parallax_mas", "rv_kms",
    "v_mag", "teff_k", "logg", "metallicity", "spectral_type", "template", "source",
)  # fmt: skip

#: Columns of words; all others hold numbers
TEXTS = ("name", "aliases", "spectral_type", "template", "source")

_NEEDED = ("name", "ra_deg", "dec_deg", "epoch_year", "source")
#: Range of each number; a value beyond it is a typing error (the largest proper motion known is 10.4 arcsec a year)
_RANGES = {
    "ra_deg": (0, 360), "dec_deg": (-90, 90), "epoch_year": (1950, 2050), "pm_ra_mas_yr": (-11e3, 11e3),
    "pm_dec_mas_yr": (-11e3, 11e3), "parallax_mas": (0, 800), "rv_kms": (-600, 600), "v_mag": (-2, 20),
    "teff_k": (2000, 60000), "logg": (-1, 6), "metallicity": (-5, 1.5),
}  # fmt: skip
#: Numbers that once stood for unknown
_SENTINELS = (-99.9, -99.99, -999.0, -9999.0)
_TYPE = re.compile(r"(sd|d|g)?[OBAFGKMLT](\d|[IV(:]|$)")

#: Right ascension of stars of the Henry Draper catalog, which is in its order: number, degree (from this catalog)
_DRAPER = np.array(
    [[0, 0.4], [6582, 17.1], [10700, 26.0], [16160, 39.0], [22049, 53.2], [26965, 63.8], [32147, 75.2], [38858, 87.1],
     [61421, 114.8], [76151, 133.6], [95735, 165.8], [103095, 178.2], [115617, 199.6], [127334, 217.4],
     [185144, 293.1], [190248, 302.2], [201091, 316.7], [209100, 330.8], [219134, 348.3], [225300, 360.4]]
)  # fmt: skip
#: The catalog of Hipparcos is in the order of right ascension too
_HIPPARCOS = np.array([[0, 0.0], [118322, 360.0]])


#: Line of the file, and star of that line.
_Placed = tuple[int, Star]


@dataclass(frozen=True)
class Defect:
    """One defect of a catalog.

    Attributes
    ----------
    line
        Line of the file, from 1; 0 for the whole file.
    column
        Column, '' for the whole line.
    words
        The defect.
    """

    line: int
    column: str
    words: str

    def __str__(self) -> str:
        where = ", ".join(word for word in (f"line {self.line}" if self.line else "", self.column) if word)
        return f"{where}: {self.words}" if where else self.words


def read(path: Path | str) -> tuple[tuple[Star, ...], list[Defect]]:
    """Read a catalog and find all its defects.

    Parameters
    ----------
    path
        A CSV file with the columns of `COLUMNS`; lines that begin with ``#`` are remarks. Rows without a word, and
        nameless empty columns at the end, as spreadsheets write them, do not count.

    Returns
    -------
    stars : tuple of Star
        Those whose own line has no defect, in the order of the file.
    defects : list of Defect
        In the order of their lines.

    Raises
    ------
    OSError
        If the file cannot be read.
    """
    try:
        return _read(Path(path).read_text(encoding="utf-8-sig"))
    except UnicodeDecodeError as error:
        return (), [Defect(0, "", f"is no text in UTF-8: byte {error.start} is {error.object[error.start]:#04x}")]
    except (ValueError, csv.Error) as error:
        # fields and numbers that are too long for the libraries
        return (), [Defect(0, "", f"cannot be understood: {error}")]


def is_possible(column: str, value: float) -> bool:
    """Return whether a star can have a number in a column of the catalog.

    Parameters
    ----------
    column
        One that has numbers.
    value
        The number, in the unit of the column.
    """
    low, high = _RANGES[column]
    return low <= value <= high


def _read(text: str) -> tuple[tuple[Star, ...], list[Defect]]:
    numbered = enumerate(text.splitlines(), 1)
    lines = [(number, line) for number, line in numbered if line.strip(', "\t') and line.lstrip('"')[0] != "#"]
    if not lines:
        return (), [Defect(0, "", "has neither columns nor stars")]
    (top, first), *rest = lines
    header = _cells(first)
    defects = _header_defects(top, header)
    if not {"name", "ra_deg", "dec_deg"} <= set(header):
        return (), defects
    named: list[_Placed] = []
    stars: list[Star] = []
    for number, line in rest:
        row, found = _row(number, _cells(line, len(header)), header)
        defects += found
        if row["name"]:
            named.append((number, _star(row)))
            stars += [] if found else [named[-1][1]]
    placed = [(line, star) for line, star in named if None not in (star.ra_deg, star.dec_deg)]
    defects += [] if rest else [Defect(0, "", "has no stars")]
    defects += _names_twice(named) + _places_twice(placed) + _motions_twice(placed) + _hours(placed)
    return tuple(stars), sorted(defects, key=lambda defect: defect.line)


def _cells(line: str, fewest: int = 1) -> list[str]:
    """Return the fields of a line, without empty ones beyond the last column."""
    cells = [cell.strip() for cell in next(csv.reader([line]))]
    while len(cells) > fewest and not cells[-1]:
        cells.pop()
    return cells


def _header_defects(line: int, header: list[str]) -> list[Defect]:
    for mark, name in ((";", "';'"), ("\t", "a tab")):
        if len(header) == 1 and mark in header[0]:
            return [Defect(line, "", f"{name} separates the columns; expected a comma")]
    missing = [column for column in COLUMNS if column not in header]
    strange = [column for column in header if column not in COLUMNS]
    twice = sorted({column for column in header if header.count(column) > 1})
    found = [Defect(line, column, "this column is missing") for column in missing]
    found += [Defect(line, column or "a column without a name", "no such column is known") for column in strange]
    return found + [Defect(line, column, "is there twice") for column in twice]


def _row(line: int, cells: list[str], header: list[str]) -> tuple[dict[str, str], list[Defect]]:
    """Return the fields of one line by column, and their defects; a field that is no number is emptied."""
    if len(cells) != len(header):
        return dict.fromkeys(COLUMNS, ""), [Defect(line, "", f"has {len(cells)} fields, {len(header)} are needed")]
    row = dict.fromkeys(COLUMNS, "") | dict(zip(header, cells))
    found = [Defect(line, column, "is empty") for column in _NEEDED if column in header and not row[column]]
    for column in _RANGES:
        if column in header and row[column] and (words := _number_defect(column, row[column])):
            found.append(Defect(line, column, words))
            row[column] = ""
    for one, other in (("pm_ra_mas_yr", "pm_dec_mas_yr"), ("pm_dec_mas_yr", "pm_ra_mas_yr")):
        if row[one] and not row[other] and not any(defect.column == other for defect in found):
            found.append(Defect(line, other, f"is empty, but {one} is not"))
    if row["spectral_type"] and not _TYPE.match(row["spectral_type"]):
        found.append(Defect(line, "spectral_type", f"{row['spectral_type']!r} begins like no spectral type, as G2V"))
    return row, found


def _number_defect(column: str, text: str) -> str:
    try:
        value = float(text)
    except ValueError:
        if column in ("ra_deg", "dec_deg") and re.fullmatch(r"[+-]?\d+([ :hmds'\"]+[\d.]+)+[ :hmds'\"]*", text):
            return f"{text!r} is sexagesimal; a number in degrees is needed"
        return f"{text!r} is no number"
    if value in _SENTINELS[column == "rv_kms" :]:
        return f"{text} stands for unknown; leave the field empty"
    low, high = _RANGES[column]
    return "" if is_possible(column, value) else f"{text} lies outside {low:g}..{high:g}"


def _star(row: dict[str, str]) -> Star:
    numbers: dict[str, Any] = {f.name: float(row[f.name]) for f in fields(Star) if f.name in _RANGES and row[f.name]}
    aliases = tuple(alias.strip() for alias in row["aliases"].split(";") if alias.strip())
    words: dict[str, Any] = {column: row[column] for column in TEXTS if column != "aliases"}
    return Star(**words, **numbers, aliases=aliases)


def _names_twice(named: list[_Placed]) -> list[Defect]:
    """Find names that two lines have, and templates that name no star."""
    found: list[Defect] = []
    names: dict[str, int] = {}
    for line, star in named:
        for name in sorted(name_keys(star)):
            if name in names:
                found.append(Defect(line, "name", f"{star.name}: the name {name} belongs to line {names[name]} too"))
            names.setdefault(name, line)
    for line, star in named:
        if star.template and name_key(star.template) not in names:
            found.append(Defect(line, "template", f"{star.template} is no star of this catalog"))
    return found


def _places_twice(placed: list[_Placed], *, same_arcsec: float = 3.0) -> list[Defect]:
    """Find stars at the position of another one."""
    found = []
    for place, (line, star) in enumerate(placed):
        for earlier, other in placed[:place]:
            if _apart(star, other) < same_arcsec and not is_same_star(star, other):
                words = f"{star.name} lies {_apart(star, other):.1f} arcsec from {other.name} of line {earlier}"
                found.append(Defect(line, "ra_deg", f"{words}: the same star under another name"))
    return found


def _motions_twice(placed: list[_Placed], *, neighbors_arcsec: float = 3600.0) -> list[Defect]:
    """Find proper motions that distant stars share: copied fields, as in 129 of the 248 lines of an older catalog."""
    found: list[Defect] = []
    motions: dict[tuple[float | None, float | None], _Placed] = {}
    for line, star in placed:
        motion = (star.pm_ra_mas_yr, star.pm_dec_mas_yr)
        twin_line, twin = motions.setdefault(motion, (line, star))
        if None not in motion and any(motion) and _apart(star, twin) > neighbors_arcsec:
            found.append(Defect(line, "pm_ra_mas_yr", f"{star.name} has the proper motion of line {twin_line}"))
    return found


def _apart(star: Star, other: Star) -> float:
    if star.ra_deg is None or star.dec_deg is None:
        return float("inf")
    return star_match.separation_arcsec(other, star.ra_deg, star.dec_deg, star.epoch_year)


def _hours(placed: list[_Placed], *, tolerance_deg: float = 15.0) -> list[Defect]:
    """Find right ascensions that contradict the number of a star in a catalog that is in their order."""
    found = []
    for line, star in placed:
        expected = _expected_ra_deg(star)
        if expected is None or star.ra_deg is None or star.dec_deg is None:
            continue
        # near the poles precession has moved stars far from the order of 1900
        if abs(star.dec_deg) > 75 or _off(star.ra_deg, expected) < tolerance_deg:
            continue
        words = f"{star.name} should lie near {expected:.0f} degrees by its number, not at {star.ra_deg:g}"
        hours = _off(15 * star.ra_deg, expected) < tolerance_deg
        found.append(Defect(line, "ra_deg", f"{words}{': are these hours?' if hours else ''}"))
    if len(placed) > 4 and all(star.ra_deg is not None and star.ra_deg < 24 for _, star in placed):
        found.append(Defect(0, "ra_deg", "no right ascension reaches 24: are these hours?"))
    return found


def _expected_ra_deg(star: Star) -> float | None:
    for name in sorted(name_keys(star), reverse=True):
        if numbered := re.fullmatch(r"(HIP|HD)(\d+)[A-C]?", name):
            numbers, degrees = (_HIPPARCOS if numbered[1] == "HIP" else _DRAPER).T
            # extensions of the Draper catalog are in no such order
            return float(np.interp(int(numbered[2]), numbers, degrees)) if int(numbered[2]) <= numbers[-1] else None
    return None


def _off(ra_deg: float, expected: float) -> float:
    return abs((ra_deg - expected + 180) % 360 - 180)
