"""Tables of the spectrographs, and the loader that checks them."""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import fields
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import get_args, get_origin, get_type_hints

import numpy as np

from nrespipe.data import line_lists
from nrespipe.frames.spectrograph import Detector, Fibers, Optics, Spectrograph

_DESIGN = "nres01.toml"

#: Legendre degrees (in x, in order) of the terms of ``Optics.polynomial_nm``, in its order
POLYNOMIAL_TERMS = (
    (0, 0), (0, 1), (0, 2), (0, 3), (1, 0), (1, 1), (1, 2), (2, 0),
    (2, 1), (3, 0), (0, 4), (1, 3), (2, 2), (3, 1), (4, 0),
)  # fmt: skip


def names(folder: str | Path | None = None) -> list[str]:
    """Return the names of the spectrographs that have a table.

    Parameters
    ----------
    folder
        Directory with further tables; it need not exist.

    Returns
    -------
    list of str
        ``nres01`` ..., sorted.
    """
    return sorted(_tables(folder))


@cache
def load(name: str, folder: str | Path | None = None) -> Spectrograph:
    """Return a spectrograph that has a table.

    Parameters
    ----------
    name
        ``nres01`` ...
    folder
        Directory with further tables, which replace those of the package; it need not exist.

    Raises
    ------
    KeyError
        If there is no such table.
    ValueError
        If the table is not a valid description; the message names the file and the entry.
    """
    tables = _tables(folder)
    if name not in tables:
        raise KeyError(f"no spectrograph {name!r}; known: {', '.join(sorted(tables))}")
    spectrograph = read(tables[name])
    if spectrograph.name != name:
        raise ValueError(f"{tables[name]}: name is {spectrograph.name!r}, the file is that of {name}")
    return spectrograph


def read(path: str | Path) -> Spectrograph:
    """Read the table of a spectrograph.

    Parameters
    ----------
    path
        A TOML file in the form of those in this package. Name, site and optics are required; a missing
        detector, fibers, orders or lamp is that of the first spectrograph of the design.

    Returns
    -------
    Spectrograph
        A missing position is NaN; a missing time zone and restart hour are those of Greenwich.

    Raises
    ------
    ValueError
        If the table is not a valid description; the message names the file and the entry.
    """
    path = Path(str(path))
    try:
        return _spectrograph(_completed(tomllib.loads(path.read_text(encoding="utf-8"))))
    except KeyError as error:
        raise ValueError(f"{path}: entry {error} is missing") from error
    except OSError as error:
        raise ValueError(f"{path}: cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    # a table is written by a person: with a table in place of a number, brackets without an end ...
    except Exception as error:
        raise ValueError(f"{path}: cannot be understood: {type(error).__name__}: {error}") from error


def _tables(folder):
    shelves = [files(__package__), *([Path(folder)] if folder is not None and Path(folder).is_dir() else [])]
    entries = [entry for shelf in shelves for entry in shelf.iterdir() if entry.name.endswith(".toml")]
    return {entry.name.removesuffix(".toml"): entry for entry in entries}


def _completed(table):
    """Complete a table by the optional entries."""
    design = tomllib.loads((files(__package__) / _DESIGN).read_text(encoding="utf-8"))
    shared = {name: design[name] for name in ("detector", "fibers", "orders", "lamp")}
    nowhere = {"longitude_deg": "nan", "latitude_deg": "nan", "height_m": "nan"}
    # the robots of the other sites begin a new night around local noon
    greenwich = {"time_zone": "UTC", "restart_hour_utc": 12, "cameras": [], "position": nowhere}
    return {**shared, **greenwich, **table}


def _spectrograph(table):
    position, orders, fibers = table["position"], table["orders"], table["fibers"]
    if sorted(fibers["upward"]) != list(range(len(fibers["upward"]))):
        raise ValueError(f"fibers.upward must name every fiber once, got {fibers['upward']}")
    if not orders["first"] < orders["last"]:
        raise ValueError("orders.first must be below orders.last")
    for entry, pattern in (("name", r"nres\d\d"), ("site", "[a-z]{3}"), ("time_zone", "[A-Za-z0-9_/+-]+")):
        if not isinstance(table[entry], str) or not re.fullmatch(pattern, table[entry], re.ASCII):
            raise ValueError(f"{entry} is {table[entry]!r}")
    if not 0 <= int(table["restart_hour_utc"]) <= 24:
        raise ValueError(f"restart_hour_utc is {table['restart_hour_utc']!r}; expected an hour, from 0 to 24")
    return Spectrograph(
        name=table["name"],
        site=table["site"],
        time_zone=table["time_zone"],
        restart_hour_utc=int(table["restart_hour_utc"]),
        longitude_deg=float(position["longitude_deg"]),
        latitude_deg=float(position["latitude_deg"]),
        height_m=float(position["height_m"]),
        detector=_entries(Detector, table["detector"]),
        fibers=_entries(Fibers, fibers),
        first_order=int(orders["first"]),
        last_order=int(orders["last"]),
        order_rows=np.array(orders["rows"], float),
        optics=_optics(table["optics"]),
        line_list=_line_list(table["lamp"]["lines"]),
        cameras=tuple(table["cameras"]),
    )


def _line_list(name):
    if name not in line_lists():
        raise ValueError(f"lamp.lines names no line list: {name!r}; known: {', '.join(line_lists())}")
    return name


def _optics(table):
    shifts = {int(fiber): tuple(map(float, values)) for fiber, values in table["fiber_shifts"].items()}
    optics = _entries(Optics, {**table, "fiber_shifts": shifts})
    if len(optics.polynomial_nm) != len(POLYNOMIAL_TERMS):
        raise ValueError(f"optics.polynomial_nm needs {len(POLYNOMIAL_TERMS)} terms, got {len(optics.polynomial_nm)}")
    return optics


def _entries(noun, table):
    """Make an instance of a class from the entries of a table with the names of its fields."""
    hints = get_type_hints(noun)
    return noun(**{f.name: _typed(f.name, table[f.name], hints[f.name]) for f in fields(noun)})


def _typed(name, value, hint):
    """Return an entry as the type that the class gives it, or raise ValueError."""
    if get_origin(hint) is tuple and isinstance(value, list):
        inner = get_args(hint)
        if inner[-1] is Ellipsis or len(inner) == len(value):
            return tuple(_typed(name, each, inner[0]) for each in value)
    elif get_origin(hint) is Mapping:
        return value
    elif type(value) in (int, float) and abs(value) < 1e300 and (hint is float or value == int(value)):
        return hint(value)
    raise ValueError(f"{name} is {value!r}, which is no {getattr(hint, '__name__', hint)}")
