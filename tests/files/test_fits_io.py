"""A file that is damaged is bad; a machine or a disk that fails is not the fault of the file."""

import errno
import os
from functools import partial

import numpy as np
import pytest
from astropy.io import fits
from astropy.io.fits.hdu.compressed._compression import CfitsioException

from nrespipe.errors import BadFrame, MissingCalibration, Unavailable
from nrespipe.files import fits_io, master_files
from nrespipe.files.raw import raw_file


def _fail(path, error):
    with fits_io.reading(path):
        raise error


@pytest.mark.parametrize("error", [MemoryError("no 2 GB"), CfitsioException("hinv: insufficient memory")])
def test_a_machine_without_memory_makes_no_file_bad(write_raw, error):
    with pytest.raises(MemoryError):
        _fail(write_raw(), error)


def test_a_machine_without_memory_makes_no_master_and_no_template_missing(write_raw, monkeypatch):
    monkeypatch.setattr(master_files, "_origin", partial(_raise, MemoryError()))
    with pytest.raises(MemoryError):
        master_files.read(write_raw())


def _raise(error, *_):
    raise error


@pytest.mark.parametrize("number", [errno.ENOMEM, errno.EMFILE, errno.ENFILE, errno.ENOSPC, errno.EIO, errno.ESTALE])
def test_a_disk_that_fails_makes_no_file_bad(write_raw, number):
    with pytest.raises(Unavailable, match=os.strerror(number)):
        _fail(write_raw(), OSError(number, os.strerror(number)))


@pytest.mark.parametrize("error", [ValueError("cannot reshape"), OSError("could not seek in file")])
def test_a_file_whose_bytes_the_disk_does_not_give_is_not_bad(write_raw, monkeypatch, error):
    # the library takes a read that fails for the end of the file
    path = write_raw()
    with pytest.raises(BadFrame, match="damaged"):
        _fail(path, error)
    monkeypatch.setattr(fits_io, "md5", partial(_raise, OSError(errno.EIO, os.strerror(errno.EIO))))
    with pytest.raises(Unavailable, match=os.strerror(errno.EIO)):
        _fail(path, error)


@pytest.mark.parametrize(
    ("packed", "part", "keyword", "number", "words"),
    [
        (True, b"SIMPLE", "NAXIS", 10**9, "NAXIS is 1000000000; expected at most 999"),
        (False, b"SIMPLE", "NAXIS", 10**9, "NAXIS is 1000000000; expected at most 999"),
        (True, b"XTENSION", "TFIELDS", 10**9, "TFIELDS is 1000000000; expected at most 999"),
        (False, b"XTENSION", "TFIELDS", 10**9, "TFIELDS is 1000000000; expected at most 999"),
        (True, b"XTENSION", "ZNAXIS2", 10**9, "its header claims an image of 100 x 1000000000 pixels"),
        # a disk has no place so far away, which is no failure of the disk
        (False, b"SIMPLE", "NAXIS1", 10**12, r"its header claims a part of \d+ bytes"),
        (False, b"SIMPLE", "NAXIS1", 10**9, r"truncated: \d+ bytes"),
    ],
)
def test_a_header_that_asks_for_an_absurd_size_is_bad_before_anything_is_allocated(
    write_raw, packed, part, keyword, number, words
):
    path = write_raw(packed=packed)
    content = bytearray(path.read_bytes())
    place = content.index(f"{keyword:8}=".encode(), content.index(part))
    content[place + 10 : place + 30] = f"{number:20d}".encode()
    path.write_bytes(content)
    for read in (raw_file.read_identity, raw_file.read):
        with pytest.raises(BadFrame, match=words):
            read(path)


def test_a_master_whose_header_asks_for_an_absurd_size_is_made_again(tmp_path):
    path = tmp_path / "bias.fits"
    image = fits.CompImageHDU(np.zeros((40, 40), np.int16), name="MEAN", compression_type="RICE_1")
    fits.HDUList([fits.PrimaryHDU(), image]).writeto(path)
    content = path.read_bytes()
    place = content.index(b"ZNAXIS2 =")
    path.write_bytes(content[: place + 10] + f"{10**12:20d}".encode() + content[place + 30 :])
    with pytest.raises(MissingCalibration, match="claims an image of 40 x 1000000000000 pixels"):
        master_files.read(path)
