"""Stars that move or rotate fast have a velocity wherever their lines are seen."""

from dataclasses import replace

import numpy as np
import pytest

from nrespipe import data
from nrespipe.engine.velocity import measurement
from nrespipe.frames.quality import Quality

MASKS = {kind: data.stellar_lines(kind) for kind in data.stellar_types()}


def _measured(seen, spectra=None):
    return measurement.measure(
        spectra or seen.spectra, seen.wavelengths, 0, replace(seen.star, teff_k=None), MASKS, data.tellurics(),
        seen.barycentric, spare_masks=(data.stellar_lines("F2"),),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "vsini_ms", "snr", "rv_ms"),
    [("F2", 120e3, 48.0, 12e3), ("F2", 60e3, 48.0, 12e3), ("F5", 17e3, 48.0, 12e3), ("G2", 0.0, 100.0, 450e3)],
)
@pytest.mark.slow
def test_a_star_that_moves_or_rotates_fast_is_measured_within_its_errors(starlight, kind, vsini_ms, snr, rv_ms):
    found = _measured(starlight(kind, vsini_ms=vsini_ms, snr=snr, rv_ms=rv_ms))
    assert abs(found.rv_ms - rv_ms) < 3.5 * np.hypot(found.error_ms, found.mask_error_ms)
    assert np.hypot(found.error_ms, found.mask_error_ms) < 2000


@pytest.mark.slow
def test_lines_that_are_wider_than_the_continuum_allows_are_flagged(starlight):
    assert _measured(starlight("F2", vsini_ms=200e3, snr=100.0)).quality & Quality.VELOCITY_INCONSISTENT


@pytest.mark.parametrize("seed", [5, 6])
@pytest.mark.slow
def test_light_without_lines_has_no_velocity_however_wide_the_lines_that_are_sought(starlight, seed):
    seen = starlight("F2", snr=30.0)
    variance = seen.spectra.blaze * 900 + 150.0
    noise = np.random.default_rng(seed).standard_normal(variance.shape)
    flat = replace(seen.spectra, flux=seen.spectra.blaze * 900 + np.sqrt(variance) * noise, variance=variance)
    found = _measured(seen, flat)
    assert np.isnan(found.rv_ms)
    assert found.quality & Quality.NO_VELOCITY
