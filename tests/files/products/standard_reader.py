"""Read products by the reference reader of the EPRV standard, write them back, and compare; run by another Python.

python standard_reader.py PRODUCT ...
"""

import sys
import tempfile
import warnings
from pathlib import Path

import numpy as np
from astropy.io import fits
from rvdata.core.models.level2 import RV2
from rvdata.core.models.level3 import RV3
from rvdata.core.models.level4 import RV4
from rvdata.tests.regression import compliance

READERS = {"L2": RV2, "L3": RV3, "L4": RV4}

#: What the reader changes: the name of the file, the list of steps, and cards of the layout.
OURS_ALONE = {"FILENAME", "COMMENT", "HISTORY", ""}


def main(path):
    """Read, write and compare one product."""
    with tempfile.TemporaryDirectory() as folder:
        # the reader takes no name that ends in .fz; astropy unpacks images whatever the name
        link = Path(folder, path.name.removesuffix(".fz"))
        link.symlink_to(path)
        level = fits.getheader(link)["DATALVL"]
        check = {"L2": compliance.check_l2_compliance, "L3": compliance.check_l3_compliance}
        check.get(level, compliance.check_l4_compliance)(str(link))
        back = READERS[level].from_fits(str(link)).to_fits(folder, "back.fits")
        with fits.open(link) as before, fits.open(back) as after:
            assert sorted(hdu.name for hdu in before) == sorted(hdu.name for hdu in after)
            for hdu in before:
                same_header(hdu, after[hdu.name])
                if hdu.name not in ("PRIMARY", "RECEIPT"):
                    same_data(hdu, after[hdu.name])
            n = len(before["RECEIPT"].data)
            for column in before["RECEIPT"].columns.names:
                assert before["RECEIPT"].data[column].tolist() == after["RECEIPT"].data[column][:n].tolist()


def same_header(one, other):
    """Check that every card but those of the layout came back with its value."""
    layout = ("NAXIS", "TFORM", "TTYPE", "TUNIT", "BITPIX", "EXTEND")
    for card in one.header.cards:
        if card.keyword not in OURS_ALONE and not card.keyword.startswith(layout):
            there = other.header[card.keyword]
            unknown = isinstance(card.value, fits.card.Undefined) or card.value is None or card.value == ""
            assert there == card.value or (unknown and there in (None, "")), (one.name, card, there)


def same_data(one, other):
    """Check that an image or a table came back to the last bit."""
    if isinstance(one, fits.BinTableHDU):
        assert one.columns.names == other.columns.names, one.name
        pairs = [(one.data[name], other.data[name]) for name in one.columns.names]
    else:
        pairs = [(one.data, other.data)]
    for mine, theirs in pairs:
        np.testing.assert_array_equal(np.asarray(mine), np.asarray(theirs), err_msg=one.name)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    for name in sys.argv[1:]:
        main(Path(name).resolve())
        print("equal", Path(name).name)
