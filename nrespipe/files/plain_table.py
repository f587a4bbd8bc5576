"""Tables as text: aligned for people, comma-separated or JSON for other programs."""

import csv
import io
import json
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Literal

from nrespipe.files.atomic_files import temporary_path

#: Form of a list: aligned for the eye, an array of JSON objects, or comma-separated with the names of the columns.
Form = Literal["table", "json", "csv"]


def text(remark: str, columns: Mapping[str, int | None], rows: Iterable[Mapping[str, object]]) -> str:
    """Return a table as text.

    Parameters
    ----------
    remark
        First line, behind ``#``.
    columns
        Digits behind the point of the numbers of each column; None for words and whole numbers.
    rows
        Cells by column; empty where it has none, where it is None, or not finite.

    Returns
    -------
    str
        For UTF-8; lines end with a newline alone. The second line has the names of the columns, also where there
        are no rows.
    """
    stream = io.StringIO()
    stream.write(f"# {remark}\n")
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(columns)
    for row in rows:
        writer.writerow([_cell(row.get(name), digits) for name, digits in columns.items()])
    return stream.getvalue()


def write(content: str, path: str | Path) -> None:
    """Write text to a file; nobody ever sees a part of it.

    Parameters
    ----------
    path
        The file; one that is there is replaced.

    Raises
    ------
    FileNotFoundError
        If there is no such directory.
    """
    path = Path(path)
    check_place(path)
    partial = temporary_path(path)
    try:
        with partial.open("w", encoding="utf-8", newline="\n") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def check_place(path: Path) -> None:
    """Refuse a file whose directory does not exist.

    Parameters
    ----------
    path
        File that is to be written.

    Raises
    ------
    FileNotFoundError
        If there is no such directory; the message names the file itself, and not the partial one that comes first.
    """
    if not path.parent.is_dir():
        raise FileNotFoundError(f"{path}: there is no directory {path.parent}")


def _cell(value: object, digits: int | None) -> str:
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return ""
    # a table of lines has no place for a line break
    return " ".join(str(value).split()) if digits is None else f"{value:.{digits}f}"


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return the lines of a table with aligned columns.

    Parameters
    ----------
    rows
        Cells; all rows have as many.

    Returns
    -------
    list of str
        A line for each row.
    """
    widths = [max(map(len, column)) for column in zip(*rows)]
    return ["  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths)).rstrip() for row in rows]


def listed(columns: Mapping[str, int | None], rows: Iterable[Mapping[str, object]], form: Form) -> str:
    """Return a list in the form that was asked for.

    Parameters
    ----------
    columns
        Digits behind the point of the numbers of each column in a table for the eye; None for words and whole numbers.
    rows
        Values by column: words, numbers, moments, lists of words, or None. A number that is not finite counts as None.

    Returns
    -------
    str
        Lines without the last end of line. JSON and CSV have all digits; only JSON keeps line breaks in words.
    """
    rows = [{name: _finite(row[name]) for name in columns} for row in rows]
    if form == "json":
        return json.dumps(rows, default=_plain, indent=1, ensure_ascii=False, allow_nan=False)
    if form == "csv":
        stream = io.StringIO()
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows([_joined(value, "|") for value in row.values()] for row in rows)
        return stream.getvalue().rstrip("\n")
    return "\n".join(aligned([[*columns], *([_seen(row[c], digits) for c, digits in columns.items()] for row in rows)]))


def _finite(value: object) -> object:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _seen(value: object, digits: int | None) -> str:
    """Return a value for the eye."""
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M}"
    if isinstance(value, float):
        return str(value) if digits is None else f"{value:.{digits}f}"
    return _joined(value, " ") or "-"


def _joined(value: object, by: str) -> str:
    """Return a value as one cell."""
    if value is None:
        return ""
    cell = by.join(map(str, value)) if isinstance(value, list) else str(_plain(value))
    # a table of lines has no place for a line break
    return " ".join(cell.split())


def _plain(value: object) -> object:
    """Return a value as JSON has it."""
    return value.isoformat() if isinstance(value, datetime) else value
