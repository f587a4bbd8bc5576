import extracted_arcs
import numpy as np
import pytest

from nrespipe import instruments
from nrespipe.frames.quality import Pixel
from nrespipe.simulator import bench as benches


@pytest.fixture(scope="module")
def bench():
    return benches.build(instruments.load("nres01"))


@pytest.fixture(scope="module")
def arc(bench):
    return extracted_arcs.expose(bench, (1,), seed=1)


def test_the_center_of_the_light_lies_to_one_side_of_the_center_of_the_gaussian_that_fits_it(bench):
    _, offset, fwhm = extracted_arcs.shape_along(bench, 1)
    assert np.all(np.abs(offset) < 0.12 * fwhm)
    assert np.max(np.abs(offset)) > 0.05
    x = np.array([0.0, 2000.0])
    slope = benches.wavelength(bench, 1, x + 1) - benches.wavelength(bench, 1, x)
    apart = (extracted_arcs.wavelength(bench, 1, x) - benches.wavelength(bench, 1, x)) / slope
    np.testing.assert_allclose(apart, extracted_arcs.offset_px(bench, 1, x), rtol=0.01, atol=1e-4)


def test_lines_double_in_width_along_an_order(bench):
    _, _, fwhm = extracted_arcs.shape_along(bench, 1)
    assert np.all(fwhm[:, -3] > 1.9 * fwhm[:, 2])


def test_saturated_light_is_cut_off_and_flagged_with_what_it_spills(arc):
    flux, variance, quality, _ = arc.of(1)
    full = quality & np.uint8(Pixel.SATURATED) > 0
    assert full.sum() > 50
    assert np.all(flux[quality == 0] < 1.1 * extracted_arcs.SATURATION_E)
    assert np.any(quality & np.uint8(Pixel.BLOOMED) > 0)
    assert np.all(variance >= 650)
