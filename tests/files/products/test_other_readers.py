"""Programs of others read our products: the reader of the EPRV standard, the verifier of the FITS standard."""

import re
import subprocess
import warnings
from pathlib import Path

import pytest
from astropy.io import fits
from other_programs import interpreter, run
from servers import debian

#: Cards of the wavelengths whose values the EPRV standard wants as integers and the FITS standard as texts.
_CONTRADICTED = re.compile(r"\*\*\* Error: +Keyword #\d+, PS\d+_[13]: .* is not a string")

_FRAMES = ["51 Peg&thar&none", "none&thar&51 Peg", "51 Peg&thar&HD 10700", "51 Peg&none&HD 10700"]


@pytest.mark.slow
def test_the_reader_of_the_standard_opens_every_product_and_writes_it_back_equal(make):
    files = [hdus.filename() for objects in _FRAMES for hdus in make(objects)[2]]
    words = run(interpreter("rv-data-standard==1.0.0"), Path(__file__).with_name("standard_reader.py"), *files)
    assert [line for line in words.splitlines() if line.startswith("equal")] == [f"equal {Path(f).name}" for f in files]


@pytest.mark.parametrize("objects", _FRAMES)
def test_the_verifier_of_fits_finds_no_error_but_where_the_two_standards_disagree(make, objects):
    program = debian("fitsverify", "fitsverify")
    for hdus in make(objects)[2]:
        done = subprocess.run(
            [program, hdus.filename()], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
        )
        errors = [line for line in done.stdout.splitlines() if line.startswith("*** Error")]
        assert [line for line in errors if not _CONTRADICTED.match(line)] == []
        assert ("L2" in hdus.filename()) == bool(errors)
        found = re.search(r"found (\d+) warning\(s\) and (\d+) error\(s\)", done.stdout)
        assert int(found[2]) == len(errors)


def test_astropy_verifies_every_product_without_a_word(make):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for hdus in make("51 Peg&thar&HD 10700")[2]:
            with fits.open(hdus.filename()) as found:
                found.verify("exception")
