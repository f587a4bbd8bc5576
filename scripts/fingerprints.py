"""Print a fingerprint of every array and every number in the FITS files below a folder.

Run ``scripts/fingerprints.py FOLDER > before`` on the output of ``nrespipe demo``, change the program, write the night
again into another folder, and compare with ``diff``: a change that moves no number prints the same lines. Texts, dates
and checksums of files are left out.
"""

import sys
from hashlib import sha256
from pathlib import Path

import numpy as np
from astropy.io import fits

#: Numbers in cards that say how a file is written, and not what is in it.
_OF_THE_FILE = ("DATE", "CHECKSUM", "DATASUM", "ZHECKSUM", "ZDATASUM", "PCOUNT", "THEAP")


def main(folder):
    """Print the lines of all files, in the order of their names."""
    for path in sorted(folder.rglob("*.fits*")):
        with fits.open(path) as units:
            for place, unit in enumerate(units):
                name = f"{path.relative_to(folder)}[{place},{unit.name}]"
                print(name, "cards", digest(repr(numbers(unit.header)).encode()))
                for part, values in arrays(unit.data):
                    print(name, part, values.dtype, values.shape, digest(values.tobytes()))


def numbers(header):
    """Return the keywords of a header whose value is a number, with the value."""
    return [
        (card.keyword, card.value)
        for card in header.cards
        if isinstance(card.value, (bool, int, float)) and not card.keyword.startswith(_OF_THE_FILE)
    ]


def arrays(data):
    """Yield the name and the values of each array of numbers of a unit."""
    if data is None:
        return
    if data.dtype.names is None:
        yield "image", np.asarray(data)
        return
    for name in data.dtype.names:
        column = data[name]
        if column.dtype.kind == "O":
            # a column of arrays of different lengths
            column = np.concatenate([np.ravel(row) for row in column]) if len(column) else np.empty(0)
        if column.dtype.kind in "biuf":
            yield name, np.asarray(column)


def digest(content):
    """Return a short fingerprint of bytes."""
    return sha256(content).hexdigest()[:16]


if __name__ == "__main__":
    main(Path(sys.argv[1]))
