from dataclasses import replace

import box_arcs
import extracted_arcs
import numpy as np
import pytest

from nrespipe import data, instruments
from nrespipe.engine.wavelength import arc_lines, identify
from nrespipe.frames.spectra import Spectra
from nrespipe.instruments import optics
from nrespipe.numerics import legendre2d
from nrespipe.simulator import bench as benches


def _at(bench, orders, columns):
    """True wavelength at a column of an order, for each pair of them [angstrom]."""
    every = extracted_arcs.wavelength(bench, 1, columns)
    return every[orders - bench.spectrograph.first_order, np.arange(len(columns))]


def _error_px(start, spectrograph, true_wavelength, orders, first=1000, last=3000):
    """Farthest that the corrected optical model lies from the truth in the middle half of the orders [pixel]."""
    x = np.linspace(first, last, 9)
    order, x = (a.ravel() for a in np.meshgrid(orders, x))
    scaled = legendre2d.scaled(x, 0, 4095), legendre2d.scaled(order, spectrograph.first_order, spectrograph.last_order)
    shift = legendre2d.design(start.terms, *scaled) @ start.shift
    found = optics.wavelength(spectrograph, 1, order, x - shift)
    return np.max(np.abs(found / true_wavelength(order, x) - 1)) * 299792458 / 1450


@pytest.mark.parametrize("seed", range(24))
@pytest.mark.slow
def test_the_lamp_is_recognised_from_any_of_two_dozen_random_states(seed):
    random = np.random.default_rng(seed)
    spectrograph = instruments.load(f"nres0{1 + seed % 4}")
    few = seed % 3 > 0
    n = random.integers(3, 6) if few else 67
    first = random.integers(52, 120 - n)
    renumber = int(random.integers(-2, 3))
    bench = benches.build(spectrograph, seed=seed)
    orders = np.arange(first, first + n)
    spectra = extracted_arcs.expose(bench, (1,), seed=seed, orders=orders, renumber=renumber, lamp_seed=seed)
    start = identify.blindly(arc_lines.find(spectra, 1), spectra.orders, spectrograph, data.lamp_lines(), 1)
    assert start.renumber == -renumber
    assert _error_px(start, spectrograph, lambda order, x: _at(bench, order, x), orders) < 0.35


def test_all_numberings_are_tried_where_the_given_one_is_far_off():
    bench = benches.build(instruments.load("nres02"), seed=5)
    spectra = extracted_arcs.expose(bench, (1,), seed=6, orders=[70, 71, 72], renumber=25)
    start = identify.blindly(arc_lines.find(spectra, 1), spectra.orders, bench.spectrograph, data.lamp_lines(), 1)
    assert start.renumber == -25


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_start_is_good_to_a_third_of_a_pixel_to_the_ends_of_the_first_and_the_last_order(seed):
    bench = box_arcs.truth(instruments.load("nres01"), seed)
    orders, turned = np.arange(52, 119), np.zeros((7, 7))
    turned[1, 3], turned[0, 4] = 1.5, 2.0
    bench = replace(bench, shift_px=bench.shift_px + turned)
    flux = box_arcs.draw(bench, orders, box_arcs.thorium(data.lamp_lines(), seed), seed)[None]
    spectra = Spectra((1,), orders, flux, np.abs(flux) + 1100, np.zeros(flux.shape, np.uint8), np.ones(flux.shape))
    start = identify.blindly(arc_lines.find(spectra, 1), orders, bench.spectrograph, data.lamp_lines(), 1)
    assert start.renumber == 0
    assert _error_px(start, bench.spectrograph, bench.wavelength, orders, 100, 4000) < 0.33


@pytest.fixture(scope="module")
def lamp():
    return data.lamp_lines()


@pytest.fixture(scope="module")
def arcs():
    bench = benches.build(instruments.load("nres01"), seed=3)
    return [extracted_arcs.expose(bench, (1,), seed=300 + i, orders=np.arange(70, 100)) for i in range(2)]


def moved(arc, pixels):
    flux, variance = (np.roll(a, pixels, axis=2) for a in (arc.flux, arc.variance))
    return Spectra(arc.fibers, arc.orders, flux, variance, np.roll(arc.quality, pixels, axis=2), arc.blaze)


def test_a_move_along_the_orders_is_told_to_a_tenth_of_a_pixel_by_single_arcs(arcs, lamp, nres01):
    here = identify.shift_from_model(arcs[0], 1, nres01, lamp)
    for pixels in (-3, 0, 1):
        there = identify.shift_from_model(moved(arcs[1], pixels), 1, nres01, lamp)
        assert there - here == pytest.approx(pixels, abs=0.1)


def test_what_shows_no_lines_of_the_lamp_has_no_place(arcs, lamp, nres01):
    arc = arcs[0]
    scrambled = arc.flux[:, :, np.random.default_rng(1).permutation(arc.flux.shape[2])]
    noise = Spectra(arc.fibers, arc.orders, scrambled, arc.variance, arc.quality, arc.blaze)
    assert np.isnan(identify.shift_from_model(noise, 1, nres01, lamp))
