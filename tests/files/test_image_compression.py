import io
import shutil
import subprocess

import numpy as np
import pytest
from astropy.io import fits
from hypothesis import given, settings
from hypothesis import strategies as st

from nrespipe.files import image_compression


def pack_and_unpack(array, **options):
    buffer = io.BytesIO()
    fits.HDUList([fits.PrimaryHDU(), image_compression.image(array, "THING", **options)]).writeto(buffer)
    buffer.seek(0)
    with fits.open(buffer) as hdus:
        found = hdus["THING"].data
        return found.astype(found.dtype.newbyteorder("=")), hdus["THING"].header


def arrays():
    """Arrays of every type that is allowed, of one to four axes, with infinities and not-a-numbers."""
    shapes = st.lists(st.integers(1, 9), min_size=1, max_size=4).map(tuple)
    types = st.sampled_from(["u1", "i2", "i4", "i8", "f4", "f8"])

    def filled(shape, code, seed):
        count = int(np.prod(shape)) * np.dtype(code).itemsize
        return np.random.default_rng(seed).integers(0, 256, count, np.uint8).view(code).reshape(shape)

    return st.builds(filled, shapes, types, st.integers(0, 1000))


@settings(deadline=None, max_examples=60)
@given(arrays())
def test_any_bits_come_back_as_they_were(array):
    found, _ = pack_and_unpack(array)
    assert found.dtype == array.dtype
    assert found.shape == array.shape
    assert found.tobytes() == array.tobytes()


@pytest.mark.parametrize("dtype", ["f4", "f8", "u1"])
@pytest.mark.parametrize("shape", [(3, 67, 4096), (1500, 1100)])
def test_an_image_of_many_tiles_comes_back_as_it_was(dtype, shape):
    smooth = np.add.outer(np.arange(shape[0]), np.linspace(0, 50, int(np.prod(shape[1:])))).reshape(shape).astype(dtype)
    if smooth.dtype.kind == "f":
        smooth.flat[::977] = np.nan
    found, header = pack_and_unpack(smooth, cards=[fits.Card("BUNIT", "electron", "unit")])
    assert found.tobytes() == smooth.tobytes()
    assert header["BUNIT"] == "electron"


def test_smooth_images_shrink_and_noise_is_left_as_it_is():
    smooth, noise = np.ones((500, 500)), np.random.default_rng(0).normal(size=(500, 500))
    assert image_compression.image(smooth, "A").filebytes() < smooth.nbytes / 50
    assert isinstance(image_compression.image(noise.astype("f4"), "A"), fits.ImageHDU)


@pytest.mark.skipif(shutil.which("funpack") is None, reason="funpack, of the cfitsio tools, is not installed")
def test_cfitsio_unpacks_what_is_packed_here(tmp_path):
    arrays = {
        "F8": np.add.outer(np.arange(134), np.linspace(0, 1, 4096)).reshape(2, 67, 4096),
        "F4": np.full((300, 4096), 7.25, "f4"),
        "U1": (np.arange(2 * 300 * 1000) % 3).reshape(2, 300, 1000).astype("u1"),
        "I4": np.arange(-60000, 60000).reshape(100, 1200).astype("i4"),
        "NOISE": np.random.default_rng(0).normal(size=(300, 500)).astype("f4"),
    }
    arrays["F8"][1, 3, :50] = np.nan
    hdus = [image_compression.image(array, name) for name, array in arrays.items()]
    fits.HDUList([fits.PrimaryHDU(), *hdus]).writeto(tmp_path / "all.fits.fz")
    subprocess.run(["funpack", "all.fits.fz"], cwd=tmp_path, check=True)
    with fits.open(tmp_path / "all.fits") as unpacked:
        for name, array in arrays.items():
            assert isinstance(unpacked[name], fits.ImageHDU)
            assert unpacked[name].data.astype(array.dtype).tobytes() == array.tobytes(), name


def test_an_image_without_elements_or_of_words_is_refused():
    with pytest.raises(ValueError, match="THING: cannot pack"):
        image_compression.image(np.zeros((0, 3)), "THING")
    with pytest.raises(ValueError, match="THING: cannot pack"):
        image_compression.image(np.array(["a"]), "THING")
