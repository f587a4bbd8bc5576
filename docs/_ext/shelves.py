"""Generate the lists of stored data: database tables, products, masters, catalog and tables of physics."""

import inspect
import re
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import get_type_hints

import numpy as np
import specimen
from astropy.io import fits
from pages import attributes, escaped, heading, table
from sqlalchemy.dialects import postgresql

import nrespipe
from nrespipe.database.tables import Row
from nrespipe.files import fits_io, master_files
from nrespipe.files.catalog import target_check, targets
from nrespipe.files.products import l2, l3, l4
from nrespipe.frames.masters import Arc, Bias, Dark, Flat
from nrespipe.frames.raw import Kind
from nrespipe.frames.star import Star

_PRODUCTS = {"L2": l2, "L3": l3, "L4": l4}
_MASTERS = {Kind.BIAS: Bias, Kind.DARK: Dark, Kind.FLAT: Flat, Kind.ARC: Arc}


def schema():
    """Return the tables of the database with the meaning of each column.

    Returns
    -------
    str
        In reStructuredText.
    """
    classes = {mapper.local_table.name: mapper.class_ for mapper in Row.registry.mappers}
    parts = []
    for entry in Row.metadata.sorted_tables:
        noun = classes.get(entry.name)
        meanings = {k: v for c in reversed(noun.__mro__[:-1]) for k, v in attributes(c).items()} if noun else {}
        parts.append(heading(f"``{entry.name}``"))
        parts.append(
            f"{inspect.getdoc(noun).splitlines()[0]}\n\n" if noun else "Links between the rows of two tables.\n\n"
        )
        parts.append(table(("Column", "Type", "Meaning"), [_column(column, meanings) for column in entry.columns]))
    return "\n".join(parts)


def _column(column, meanings):
    kind = column.type.compile(dialect=postgresql.dialect()).lower()
    meaning = meanings.get(column.name, "")
    if column.primary_key and not column.foreign_keys:
        meaning = meaning or "Number of the row."
    for key in column.foreign_keys:
        meaning = f"{meaning} Row of ``{key.column.table.name}``.".strip()
    words = getattr(column.type, "enums", None)
    if words:
        meaning += " One of " + ", ".join(f"``{word}``" for word in words) + "."
    return f"``{column.name}``", kind + (" or NULL" if column.nullable else ""), meaning


def product(level):
    """Return the parts and keywords of a sample product.

    Parameters
    ----------
    level : str
        ``L2``, ``L3`` or ``L4``.

    Returns
    -------
    str
        In reStructuredText.
    """
    hdus = _PRODUCTS[level].build(specimen.inputs(), "specimen.fits.fz")
    told = hdus["EXT_DESCRIPT"].data
    meanings = {row["Name"]: row["Description"] for row in told}
    rows = [(f"``{hdu.name}``", _form(hdu), escaped(meanings[hdu.name])) for hdu in hdus]
    cards = [(f"``{hdu.name}``", *row) for hdu in hdus[5:] for row in _cards(hdu.header)]
    return "\n".join(
        [
            table(("Part", "Form", "Content"), rows),
            heading("Keywords of its primary header", "^"),
            table(("Keyword", "Meaning"), _cards(hdus[0].header)),
            heading("Keywords of its other parts", "^"),
            table(("Part", "Keyword", "Meaning"), [row for row in cards if not re.match(r"``TRACE[2-9]_", row[0])]),
        ]
    )


def _form(hdu):
    if isinstance(hdu, fits.BinTableHDU) and "ZIMAGE" not in hdu.header:
        units = ((f"``{column.name}``", f" [{column.unit}]" if column.unit else "") for column in hdu.columns)
        return "table: " + ", ".join(name + unit for name, unit in units)
    prefix = "ZNAXIS" if "ZIMAGE" in hdu.header else "NAXIS"
    # the first axis of a FITS file is the last of the array
    axes = [specimen.AXES[hdu.header[f"{prefix}{i}"]] for i in range(hdu.header[prefix], 0, -1)]
    unit = f" [{hdu.header['BUNIT']}]" if "BUNIT" in hdu.header else ""
    return (f"({', '.join(axes)})" if axes != ["1"] else "one value") + unit if axes else "header"


def _cards(header):
    """Return the keywords with their comments; of numbered keywords with one comment, the first."""
    rows = {}
    for card in header.cards:
        foreign = card.keyword in fits_io.STRUCTURAL or re.match(r"NAXIS|T(TYPE|FORM|UNIT)\d|Z[A-Z]", card.keyword)
        if card.comment and not foreign:
            rows.setdefault((card.keyword.rstrip("0123456789"), card.comment), card)
    return [(f"``{card.keyword}``", escaped(card.comment)) for card in rows.values()]


def master(kind):
    """Return the parts of the file of a master, from the fields of its class.

    Parameters
    ----------
    kind : str
        ``bias`` ...

    Returns
    -------
    str
        In reStructuredText.
    """
    kind = Kind(kind)
    return table(("Field", "Part", "Unit", "Meaning"), _parts(_MASTERS[kind], "", master_files.UNITS[kind]))


def _parts(noun, path, units):
    meanings, hints = attributes(noun), get_type_hints(noun)
    for entry in fields(noun):
        if entry.name == "origin":
            continue
        where, hint = f"{path}{entry.name}", hints[entry.name]
        if is_dataclass(hint):
            yield from _parts(hint, f"{where}.", units)
        else:
            yield f"``{where}``", _part(noun, where, hint), units.get(where, ""), meanings[entry.name]


def _part(noun, where, hint):
    name = where.replace(".", "_").upper()
    if noun.__name__.endswith("Lines"):
        return f"column of ``{where.split('.')[0].upper()}``"
    return f"``{name}``" if hint is np.ndarray else f"column of ``VALUES``, ``{name}``"


def catalog():
    """Return the columns of the catalog of stars and the number of stars.

    Returns
    -------
    str
        In reStructuredText.
    """
    meanings = attributes(Star)
    rows = [(f"``{name}``", meanings[name]) for name in target_check.COLUMNS]
    stars = targets.read(targets.installed())
    return f"{len(stars)} stars; columns:\n\n" + table(("Column", "Meaning"), rows)


def data_tables():
    """Return the tables of physics in the package with their comments, columns and lengths.

    Returns
    -------
    str
        In reStructuredText.
    """
    parts = []
    for path in sorted((Path(nrespipe.__file__).parent / "data").glob("*.csv")):
        lines = path.read_text(encoding="utf-8").splitlines()
        comments = [line.lstrip("# ") for line in lines if line.startswith("#")]
        head, *rows = [line for line in lines if not line.startswith("#")]
        columns = ", ".join(f"``{name}``" for name in head.split(","))
        words = "\n\n".join(map(escaped, comments))
        parts += [heading(f"``{path.name}``"), f"{len(rows)} rows; columns {columns}.\n\n{words}\n"]
    return "\n".join(parts)
