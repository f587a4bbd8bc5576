import arc_spectra
import numpy as np
import pytest

from nrespipe import data, instruments
from nrespipe.engine.wavelength import lamp_shift
from nrespipe.frames.spectra import Spectra


@pytest.fixture(scope="module")
def lamp():
    return data.lamp_lines()


@pytest.fixture(scope="module")
def arcs(lamp):
    truth = arc_spectra.truth(instruments.load("nres01"), lamp, seed=3)
    return [arc_spectra.expose(truth, (1,), 300 + i, orders=np.arange(70, 100)) for i in range(2)]


def moved(arc, pixels):
    flux, variance = (np.roll(a, pixels, axis=2) for a in (arc.flux, arc.variance))
    return Spectra(arc.fibers, arc.orders, flux, variance, np.roll(arc.quality, pixels, axis=2), arc.blaze)


def test_a_move_along_the_orders_is_told_to_a_tenth_of_a_pixel_by_single_arcs(arcs, lamp, nres01):
    here = lamp_shift.measure(arcs[0], 1, nres01, lamp)
    for pixels in (-3, 0, 1):
        there = lamp_shift.measure(moved(arcs[1], pixels), 1, nres01, lamp)
        assert there - here == pytest.approx(pixels, abs=0.1)


def test_what_shows_no_lines_of_the_lamp_has_no_place(arcs, lamp, nres01):
    arc = arcs[0]
    scrambled = arc.flux[:, :, np.random.default_rng(1).permutation(arc.flux.shape[2])]
    noise = Spectra(arc.fibers, arc.orders, scrambled, arc.variance, arc.quality, arc.blaze)
    assert np.isnan(lamp_shift.measure(noise, 1, nres01, lamp))
