"""The error of a velocity and its parts."""

import numpy as np
import pytest

from nrespipe.engine.velocity import measurement
from nrespipe.engine.wavelength import drift
from nrespipe.frames.wavelength import Drift, LineShape, Wavelengths


def wavelengths(moved):
    orders, one = np.array([90]), np.ones((1, 1, 4))
    shape = LineShape((0,), orders, one, np.zeros(1), np.zeros(1), np.ones((1, 1, 1)))
    return Wavelengths((0,), orders, 5000.0 * one, np.array([0.9]), moved, shape)


def test_without_a_drift_the_error_is_the_scatter_of_the_drifts_of_the_spectrograph():
    options = {"transfer_noise_ms": 0.5, "drift_scatter_ms": 240.0}
    unknown = measurement.error_parts(2.0, wavelengths(drift.UNKNOWN), 0, np.ones((1, 4)), **options)
    assert unknown["drift_error_ms"] == 240.0
    assert unknown["error_ms"] == pytest.approx(np.sqrt(2.0**2 + 0.9**2 + 240.0**2))
    measured = measurement.error_parts(
        2.0, wavelengths(Drift(0, 0, 0, 0, 5.0, 0.7, 1000)), 0, np.ones((1, 4)), **options
    )
    assert measured["drift_error_ms"] == 0.7


def test_where_the_spectrograph_is_not_known_yet_a_missing_drift_costs_what_the_weather_does_to_its_air():
    unknown = measurement.error_parts(2.0, wavelengths(drift.UNKNOWN), 0, np.ones((1, 4)))
    # Ciddor (1996, Appl. Opt. 35, 1566): air of 15 degrees and 1013.25 hPa has n - 1 = 2.78e-4 at 550 nm
    per_hpa_ms = 2.78e-4 * 299792458.0 / 1013.25
    assert 3 < unknown["drift_error_ms"] / per_hpa_ms < 4
