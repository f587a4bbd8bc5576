"""Series of velocities in the file formats of programs that fit orbits."""

import io
import os
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from nrespipe.files import plain_table
from nrespipe.files.atomic_files import temporary_path

if TYPE_CHECKING:
    from astropy.table import QTable

Form = Literal["radvel", "juliet", "ecsv"]
#: Form of a file by its suffix.
FORMS: dict[str, Form] = {".csv": "radvel", ".dat": "juliet", ".txt": "juliet", ".ecsv": "ecsv"}

_RADVEL = ["time", "mnvel", "errvel", "tel"]
_CORRECTED = ("zero_point", "zero_point_err", "rv_corrected", "rv_corrected_err")


def text(table: "QTable", form: Form) -> str:
    """Return a series as text.

    Parameters
    ----------
    table
        With the columns ``bjd_tdb``, ``rv``, ``rv_err`` and ``tel``.
    form
        ``radvel``: comma-separated, columns time, mnvel, errvel, tel, with a header (RadVel), and behind them the zero
        points and what is corrected for them, where the table has these, empty where there is none. ``juliet``: time,
        velocity, error and instrument, separated by blanks, without a header (juliet's ``rvfilename``). ``ecsv``: all
        columns with their units (astropy).

    Returns
    -------
    str
        Times are BJD in TDB, velocities m/s.

    Raises
    ------
    ValueError
        If the form has no columns for the zero points of the table.
    """
    if form == "ecsv":
        stream = io.StringIO()
        table.write(stream, format="ascii.ecsv")
        return stream.getvalue()
    corrected = [name for name in _CORRECTED if name in table.colnames]
    if corrected and form == "juliet":
        raise ValueError("the form of juliet has no place beside the velocity for its zero point: use .csv or .ecsv")
    numbers = [np.asarray(table[name].value, float) for name in ("bjd_tdb", "rv", "rv_err")]
    separator, header = (",", [",".join(_RADVEL + corrected)]) if form == "radvel" else (" ", [])
    more = zip(*(np.asarray(table[name].value, float) for name in corrected)) if corrected else [()] * len(table)
    lines = [
        separator.join([*_cells(*row), *("" if np.isnan(value) else f"{value:.3f}" for value in others)])
        for row, others in zip(zip(*numbers, table["tel"]), more)
    ]
    return "".join(f"{line}\n" for line in [*header, *lines])


def _cells(time: float, rv_ms: float, error_ms: float, tel: object) -> tuple[str, str, str, str]:
    # a millionth of a day is 0.09 s, in which the Earth changes a velocity by a third of a mm/s
    return f"{time:.7f}", f"{rv_ms:.3f}", f"{error_ms:.3f}", str(tel)


def write(table: "QTable", path: str | Path, form: Form | None = None) -> None:
    """Write a series to a file; nobody ever sees a part of it.

    Parameters
    ----------
    table
        As `text` takes it.
    path
        The file; one that is there is replaced.
    form
        As `text` takes it; that of the suffix of the file if not given.

    Raises
    ------
    ValueError
        If the suffix belongs to no form, or the form has no columns for the zero points of the table.
    FileNotFoundError
        If there is no such directory.
    """
    path = Path(path)
    form = form or FORMS.get(path.suffix.lower())
    if form is None:
        raise ValueError(f"{path.name}: its suffix belongs to no form, use one of {', '.join(FORMS)}")
    plain_table.check_place(path)
    partial = temporary_path(path)
    try:
        partial.write_text(text(table, form), encoding="utf-8")
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
