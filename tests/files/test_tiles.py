import io

import numpy as np
import pytest
from astropy.io import fits
from hypothesis import given, settings
from hypothesis import strategies as st

from nrespipe.files import tiles


def pack_and_unpack(array, **options):
    buffer = io.BytesIO()
    fits.HDUList([fits.PrimaryHDU(), tiles.image(array, "THING", **options)]).writeto(buffer)
    buffer.seek(0)
    with fits.open(buffer) as hdus:
        assert isinstance(hdus["THING"], fits.CompImageHDU)
        return hdus["THING"].data.copy(), hdus["THING"].header


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
    found, header = pack_and_unpack(smooth, cards=[("BUNIT", "electron", "unit")])
    assert found.tobytes() == smooth.tobytes()
    assert header["BUNIT"] == "electron"


def test_smooth_images_shrink_and_noise_is_left_as_it_is():
    smooth, noise = np.ones((500, 500)), np.random.default_rng(0).normal(size=(500, 500))
    assert tiles.image(smooth, "A").header["ZCMPTYPE"] == "GZIP_2"
    assert tiles.image(noise.astype("f4"), "A").header["ZCMPTYPE"] == "NOCOMPRESS"


def test_an_image_without_elements_or_of_words_is_refused():
    with pytest.raises(ValueError, match="THING: cannot pack"):
        tiles.image(np.zeros((0, 3)), "THING")
    with pytest.raises(ValueError, match="THING: cannot pack"):
        tiles.image(np.array(["a"]), "THING")
