import numpy as np
import pytest

from nrespipe import instruments
from nrespipe.instruments import optics


def test_wavelength_grows_along_an_order_and_falls_with_its_number(nres01):
    x = np.linspace(0, 4095, 50)
    wavelengths = np.array([optics.wavelength(nres01, 1, m, x) for m in nres01.orders])
    assert (np.diff(wavelengths, axis=1) > 0).all()
    assert (np.diff(wavelengths, axis=0) < 0).all()


def test_consecutive_orders_overlap_everywhere(nres01):
    ends = np.array([optics.wavelength(nres01, 1, m, np.array([0.0, 4095.0])) for m in nres01.orders])
    assert (ends[1:, 1] > ends[:-1, 0]).all()


@pytest.mark.parametrize(("order", "center_angstrom"), [(52, 8981.292), (90, 5184.380), (118, 3943.345)])
def test_the_center_of_an_order_lies_where_the_instrument_facts_put_it(order, center_angstrom):
    # one angstrom is 0.02 per cent: the gas and the angle of incidence of that night are not in the table
    model = optics.wavelength(instruments.load("nres02"), 1, order, 2048.0)
    assert model == pytest.approx(center_angstrom, abs=1.0)


@pytest.mark.parametrize(("x", "kms_per_px"), [(0, 2.03), (2048, 1.45), (4095, 0.99)])
def test_a_pixel_of_the_green_order_is_as_wide_as_the_instrument_facts_say(nres01, x, kms_per_px):
    pair = optics.wavelength(nres01, 1, 90, np.array([x - 0.5, x + 0.5]))
    assert np.diff(pair)[0] / pair.mean() * 299792.458 == pytest.approx(kms_per_px, abs=0.01)


def test_the_star_fibers_are_shifted_to_either_side_of_the_reference(nres01):
    one, zero, two = (optics.wavelength(nres01, fiber, 90, 2048.0) for fiber in (1, 0, 2))
    assert zero < one < two
    assert one - zero == pytest.approx(0.17, abs=0.02)
