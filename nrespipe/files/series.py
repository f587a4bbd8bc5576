"""Series of velocities in the forms that programs which fit orbits read."""

import io
import os
from pathlib import Path

import numpy as np

#: Form of a file by its suffix.
FORMS = {".csv": "radvel", ".dat": "juliet", ".txt": "juliet", ".ecsv": "ecsv"}


def text(table, form):
    """Return a series as text.

    Parameters
    ----------
    table : astropy.table.QTable
        With the columns ``bjd_tdb``, ``rv``, ``rv_err`` and ``tel``.
    form : {'radvel', 'juliet', 'ecsv'}
        ``radvel``: comma-separated, columns time, mnvel, errvel, tel, with a header (RadVel). ``juliet``: time,
        velocity, error and instrument, separated by blanks, without a header (juliet's ``rvfilename``). ``ecsv``: all
        columns with their units (astropy).

    Returns
    -------
    str
        Times are BJD in TDB, velocities m/s.
    """
    if form == "ecsv":
        stream = io.StringIO()
        table.write(stream, format="ascii.ecsv")
        return stream.getvalue()
    numbers = (np.asarray(table[name].value, float) for name in ("bjd_tdb", "rv", "rv_err"))
    separator, header = (",", ["time,mnvel,errvel,tel"]) if form == "radvel" else (" ", [])
    lines = [separator.join(_cells(*row)) for row in zip(*numbers, table["tel"])]
    return "".join(f"{line}\n" for line in [*header, *lines])


def _cells(time, rv_ms, error_ms, tel):
    # a millionth of a day is 0.09 s, in which the Earth changes a velocity by a third of a mm/s
    return f"{time:.7f}", f"{rv_ms:.3f}", f"{error_ms:.3f}", str(tel)


def write(table, path, form=""):
    """Write a series to a file; nobody ever sees a part of it.

    Parameters
    ----------
    table : astropy.table.QTable
        As `text` takes it.
    path : str or Path
        The file; one that is there is replaced.
    form : str, optional
        As `text` takes it; by the suffix of the file without.

    Raises
    ------
    ValueError
        If the suffix tells no form.
    """
    path = Path(path)
    form = form or FORMS.get(path.suffix.lower(), "")
    if not form:
        raise ValueError(f"{path.name}: its suffix tells no form, use one of {', '.join(FORMS)}")
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        partial.write_text(text(table, form), encoding="utf-8")
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
