"""Products written from an invented reduction of a small raw frame."""

import pytest
from astropy.io import fits
from made_products import MASTERS, NRES01, reduction_of

from nrespipe.files.products import frame_products
from nrespipe.files.raw import raw_file


@pytest.fixture
def make(write_raw, tmp_path):
    """Write the products of a frame with such OBJECTS; return the frame, its reduction and the open files."""
    opened = []

    def made(objects="51 Peg&thar&none", changes=None, header=None, **options):
        raw = raw_file.read(write_raw(OBJECTS=objects, **(header or {})))
        reduction = reduction_of(raw, **(changes or {}))
        paths = [path for _, path in frame_products.write(raw, reduction, MASTERS, NRES01, tmp_path / "out", **options)]
        opened.extend(fits.open(path) for path in paths)
        return raw, reduction, opened[-len(paths) :]

    yield made
    for hdus in opened:
        hdus.close()
