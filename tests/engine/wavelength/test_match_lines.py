from dataclasses import replace

import extracted_arcs
import numpy as np
import pytest

from nrespipe import data, instruments
from nrespipe.engine.wavelength import night_solution
from nrespipe.errors import BadFrame
from nrespipe.frames.spectra import Spectra
from nrespipe.simulator import bench as benches

_NAMES = ("flux", "variance", "quality", "blaze")


@pytest.fixture(scope="module")
def arc():
    bench = benches.build(instruments.load("nres03"), seed=50)
    return extracted_arcs.expose(bench, (1,), seed=0)


def _changed(arc, change):
    return replace(arc, **{name: np.ascontiguousarray(change(getattr(arc, name))) for name in _NAMES})


def _rows(arc, rows):
    return Spectra(arc.fibers, 52 + np.arange(len(rows)), *(getattr(arc, name)[:, rows] for name in _NAMES))


def _rolled(arc):
    random = np.random.default_rng(1)
    return _changed(arc, lambda a: np.array([[np.roll(row, random.integers(4096)) for row in a[0]]]))


def _refused(arc):
    with pytest.raises(BadFrame) as error:
        night_solution.solve([arc], instruments.load("nres03"), data.lamp_lines())
    return str(error.value)


def test_mirrored_spectra_are_refused(arc):
    assert "no wavelength solution to trust" in _refused(_changed(arc, lambda a: a[:, :, ::-1]))


def test_orders_upside_down_are_refused(arc):
    assert "no wavelength solution to trust" in _refused(_changed(arc, lambda a: a[:, ::-1]))


def test_lines_at_random_places_are_refused(arc):
    assert "no wavelength solution to trust" in _refused(_rolled(arc))


@pytest.mark.parametrize("missing", [2, 30, 64])
@pytest.mark.slow
def test_a_missing_order_is_refused(arc, missing):
    _refused(_rows(arc, np.delete(np.arange(67), missing)))


@pytest.mark.parametrize("place", [33, 67])
@pytest.mark.slow
def test_an_invented_order_is_refused(arc, place):
    _refused(_rows(arc, np.insert(np.arange(67), place, 10)))


def test_a_missing_order_at_the_edge_is_named(arc):
    assert "order 116 shows the lamp lines of order 117" in _refused(_rows(arc, np.delete(np.arange(67), 64)))


def test_a_spectrum_without_light_is_refused(arc):
    assert "no light of the lamp" in _refused(replace(arc, flux=np.zeros_like(arc.flux)))


def test_noise_is_refused(arc):
    noise = np.random.default_rng(2).normal(0, 25, arc.flux.shape)
    assert "too few" in _refused(replace(arc, flux=noise))


def test_a_continuous_lamp_is_refused(arc):
    light = 1e5 * arc.blaze
    noisy = light + np.random.default_rng(3).normal(size=light.shape) * np.sqrt(light)
    _refused(replace(arc, flux=noisy, variance=light + 600))


def test_three_mirrored_orders_are_refused(arc):
    _refused(_rows(_changed(arc, lambda a: a[:, :, ::-1]), np.arange(20, 23)))
