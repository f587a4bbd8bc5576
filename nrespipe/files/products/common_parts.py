"""The parts that every product has: the raw header, the receipt, the configuration, the list of parts."""

import re
import warnings
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import astropy
import numpy as np
import scipy
from astropy.io import fits
from astropy.utils.exceptions import AstropyWarning

from nrespipe.files import fits_io
from nrespipe.files.products.cards import card

if TYPE_CHECKING:
    from astropy.io.fits import BinTableHDU, Card, HDUList, Header, ImageHDU
    from astropy.io.fits.hdu.base import ExtensionHDU

    from nrespipe.files.products.product_inputs import ProductInputs

#: Beginnings of cards that describe an array or a table and not the observation.
_STRUCTURAL = ("NAXIS", "TTYPE", "TFORM", "TUNIT", "ZNAXIS", "ZTILE")

#: Keywords of the standard, and the longer ones of ESO's HIERARCH convention.
_ALLOWED = re.compile(r"[A-Z0-9_-]{1,8}|[A-Z0-9_-]+( [A-Z0-9_-]+)*")


def instrument_header(inputs: "ProductInputs") -> "ImageHDU":
    """Return every card of the raw header but for those that describe its arrays, and no comment cut off.

    Parameters
    ----------
    inputs
        What the product is made from.

    Returns
    -------
    astropy.io.fits.ImageHDU
        With one pixel of 0: the reader of the standard (rvdata 1.0.0) writes no image without any.
    """
    made = fits.Header()
    with warnings.catch_warnings():
        # long keywords become HIERARCH cards: astropy warns of them
        warnings.simplefilter("ignore", AstropyWarning)
        for keyword, (content, comment) in inputs.raw.header.items():
            if keyword in ("COMMENT", "HISTORY", ""):
                for line in str(content).split("\n"):
                    made.append(fits.Card(keyword, _ascii(line)), end=True)
            elif keyword not in fits_io.STRUCTURAL and not keyword.startswith(_STRUCTURAL):
                for one in _carried(keyword, _ascii(content), _ascii(comment)):
                    made.append(one, end=True)
        return fits.ImageHDU(np.zeros(1, np.float32), made, name="INSTRUMENT_HEADER")


def _carried(keyword: str, content: Any, comment: str) -> "list[Card]":
    if not _ALLOWED.fullmatch(keyword) or keyword in ("CONTINUE", "HIERARCH"):
        # kept as words: it would not come back as the card it was
        return [fits.Card("COMMENT", f"{keyword} = {content!r} / {comment}")]
    if len(keyword) <= 8:
        with suppress(ValueError):
            return [card(keyword, content, comment)]
    return [fits.Card(keyword, content), fits.Card("COMMENT", f"{keyword}: {comment}")]


def _ascii(content: Any) -> Any:
    if not isinstance(content, str):
        return content
    return "".join(letter if " " <= letter <= "~" else "?" for letter in content)


def first(inputs: "ProductInputs") -> "list[ExtensionHDU]":
    """Return the parts that every product begins with: raw header, receipt, configuration."""
    return [instrument_header(inputs), receipt(inputs), configuration(inputs)]


def receipt(inputs: "ProductInputs") -> "BinTableHDU":
    """Return the table of the steps that led to the product.

    Parameters
    ----------
    inputs
        What the product is made from.

    Returns
    -------
    astropy.io.fits.BinTableHDU
        A row a step. All have the time of the raw file: the same frame has to give the same bytes at any time.
    """
    rows = [
        (inputs.date, inputs.version, "UNKNOWN", "UNKNOWN", function, arguments, "PASS")
        for function, arguments in inputs.steps
    ]
    names = ("TIME", "CODE_RELEASE", "BRANCH_NAME", "COMMIT_HASH", "FUNCTION", "ARGS", "STATUS")
    return words_table("RECEIPT", dict(zip(names, zip(*rows))))


def configuration(inputs: "ProductInputs") -> "BinTableHDU":
    """Return the table of versions and masters that are needed to make the product again.

    Parameters
    ----------
    inputs
        What the product is made from.

    Returns
    -------
    astropy.io.fits.BinTableHDU
        One column, an entry a row.
    """
    entries = {
        "nrespipe": inputs.version,
        "numpy": np.__version__,
        "scipy": scipy.__version__,
        "astropy": astropy.__version__,
        "spectrograph": inputs.spectrograph.name,
        "raw": inputs.raw.filename,
        **{f"master_{kind}": name for kind, name in inputs.masters.items()},
    }
    return words_table("DRP_CONFIG", {"ENTRY": [f"{name} = {content}" for name, content in entries.items()]})


def descriptions(words: Mapping[str, str]) -> "BinTableHDU":
    """Return the table of descriptions of the parts of the product.

    Parameters
    ----------
    words
        Name of each part, and its description.

    Returns
    -------
    astropy.io.fits.BinTableHDU
        A row a part.
    """
    return words_table("EXT_DESCRIPT", {"Name": list(words), "Description": list(words.values())})


def words_table(name: str, columns: Mapping[str, Sequence[str]]) -> "BinTableHDU":
    """Return a table of words."""
    made = []
    for title, content in columns.items():
        cells = [_ascii(str(cell)) for cell in content]
        made.append(fits.Column(title, f"{max(1, *map(len, cells), 1)}A", array=np.array(cells)))
    return fits.BinTableHDU.from_columns(made, name=name)


def assemble(primary: "Header", parts: "list[ExtensionHDU]", words: Mapping[str, str]) -> "HDUList":
    """Put a product together.

    Parameters
    ----------
    parts
        INSTRUMENT_HEADER, RECEIPT, DRP_CONFIG, and what follows the table of descriptions.
    words
        Name and description of the parts from the fourth on.

    Returns
    -------
    astropy.io.fits.HDUList
        In the order of the standard.
    """
    all_words = {
        "PRIMARY": "what, when and where, in the keywords of the EPRV standard",
        "INSTRUMENT_HEADER": "the header of the raw frame",
        "RECEIPT": "the steps that led to this file",
        "DRP_CONFIG": "versions and masters",
        "EXT_DESCRIPT": "what each part of this file holds",
        **words,
    }
    return fits.HDUList([fits.PrimaryHDU(header=primary), *parts[:3], descriptions(all_words), *parts[3:]])
