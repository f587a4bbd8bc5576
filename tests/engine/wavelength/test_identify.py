from dataclasses import replace
from types import SimpleNamespace

import arc_spectra
import box_arcs
import numpy as np
import pytest

from nrespipe import data, instruments
from nrespipe.engine.wavelength import arc_lines, identify
from nrespipe.frames.spectra import Spectra
from nrespipe.instruments import optics
from nrespipe.numerics import legendre2d


def _error_px(start, truth, orders, first=1000, last=3000):
    """Farthest that the corrected optical model lies from the truth in the middle half of the orders [pixel]."""
    x = np.linspace(first, last, 9)
    order, x = (a.ravel() for a in np.meshgrid(orders, x))
    spectrograph = truth.spectrograph
    scaled = legendre2d.scaled(x, 0, 4095), legendre2d.scaled(order, spectrograph.first_order, spectrograph.last_order)
    shift = legendre2d.design(start.terms, *scaled) @ start.shift
    found = optics.wavelength(spectrograph, 1, order, x - shift)
    return np.max(np.abs(found / truth.wavelength(1, order, x) - 1)) * 299792458 / 1450


@pytest.mark.parametrize("seed", range(24))
@pytest.mark.slow
def test_the_lamp_is_recognised_from_any_of_two_dozen_random_states(seed):
    random = np.random.default_rng(seed)
    spectrograph = instruments.load(f"nres0{1 + seed % 4}")
    few = seed % 3 > 0
    n = random.integers(3, 6) if few else 67
    first = random.integers(52, 120 - n)
    renumber = int(random.integers(-2, 3))
    truth = arc_spectra.truth(spectrograph, data.lamp_lines(), seed)
    orders = np.arange(first, first + n)
    spectra = arc_spectra.expose(truth, (1,), seed, orders=orders, renumber=renumber)
    start = identify.start(arc_lines.find(spectra, 1), spectra.orders, spectrograph, data.lamp_lines(), 1)
    assert start.renumber == -renumber
    assert _error_px(start, truth, orders) < 0.35


def test_all_numberings_are_tried_where_the_given_one_is_far_off():
    truth = arc_spectra.truth(instruments.load("nres02"), data.lamp_lines(), 5)
    spectra = arc_spectra.expose(truth, (1,), 6, orders=[70, 71, 72], renumber=25)
    start = identify.start(arc_lines.find(spectra, 1), spectra.orders, truth.spectrograph, data.lamp_lines(), 1)
    assert start.renumber == -25


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_start_is_good_to_a_third_of_a_pixel_to_the_ends_of_the_first_and_the_last_order(seed):
    bench = box_arcs.truth(instruments.load("nres01"), seed)
    orders, turned = np.arange(52, 119), np.zeros((7, 7))
    turned[1, 3], turned[0, 4] = 1.5, 2.0
    bench = replace(bench, shift_px=bench.shift_px + turned)
    flux = box_arcs.draw(bench, orders, box_arcs.thorium(data.lamp_lines(), seed), seed)[None]
    spectra = Spectra((1,), orders, flux, np.abs(flux) + 1100, np.zeros(flux.shape, np.uint8), np.ones(flux.shape))
    start = identify.start(arc_lines.find(spectra, 1), orders, bench.spectrograph, data.lamp_lines(), 1)
    assert start.renumber == 0
    truth = SimpleNamespace(
        spectrograph=bench.spectrograph, wavelength=lambda fiber, order, x: bench.wavelength(order, x)
    )
    assert _error_px(start, truth, orders, 100, 4000) < 0.33
