import arc_spectra
import numpy as np
import pytest

from nrespipe import data, instruments
from nrespipe.instruments import optics


@pytest.fixture(scope="module")
def truth():
    return arc_spectra.truth(instruments.load("nres01"), data.lamp_lines(), seed=1)


def test_without_a_shift_the_wavelengths_are_those_of_the_optical_model():
    spectrograph = instruments.load("nres01")
    still = arc_spectra.truth(spectrograph, data.lamp_lines(), seed=1, shift_px=np.zeros((4, 4)))
    x = np.linspace(0, 4095, 9)
    np.testing.assert_allclose(still.wavelength(0, 80, x), optics.wavelength(spectrograph, 0, 80, x), rtol=1e-12)


def test_a_drift_moves_the_light_to_larger_x(truth):
    assert truth.wavelength(1, 80, 2000.0, (0.5, 0.0)) == pytest.approx(truth.wavelength(1, 80, 1999.5), rel=1e-7)


def test_noise_has_the_variance_that_the_spectra_claim(truth):
    first, second = (arc_spectra.expose(truth, (1,), seed, orders=[80]) for seed in (1, 2))
    pull = (first.flux - second.flux) / np.sqrt(first.variance + second.variance)
    assert np.std(pull) == pytest.approx(1, abs=0.05)


def test_the_same_seed_gives_the_same_bytes(truth):
    first, again = (arc_spectra.expose(truth, (1,), 3, orders=[80]) for _ in range(2))
    assert first.flux.tobytes() == again.flux.tobytes()
