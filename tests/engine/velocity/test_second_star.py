"""A second star in the fiber is seen where it is, and a single star has none."""

from dataclasses import replace

import numpy as np
import pytest

from nrespipe import data
from nrespipe.engine.velocity import measurement
from nrespipe.frames.quality import Quality

MASKS = {kind: data.stellar_lines(kind) for kind in data.stellar_types()}


def _measured(seen, spectra=None):
    return measurement.measure(
        seen.spectra if spectra is None else spectra, seen.wavelengths, 0, seen.star, MASKS, data.tellurics(),
        seen.barycentric, spare_masks=(data.stellar_lines("F2"),),
    )  # fmt: skip


def _together(starlight, kinds, apart_ms, share, snr=100.0):
    """Return a star, and its spectra with the light of a second one."""
    first = starlight(kinds[0], snr=snr)
    second = starlight(kinds[1], rv_ms=first.rv_ms + apart_ms, snr=snr, seed=9, star_seed=5, hits=0.0)
    one, two = first.spectra, second.spectra
    flux = (1 - share) * one.flux + share * two.flux
    variance = (1 - share) ** 2 * one.variance + share**2 * two.variance
    return first, replace(one, flux=flux, variance=variance)


@pytest.mark.parametrize(
    ("kinds", "apart_ms", "share", "snr"),
    [
        (("G2", "K2"), 30e3, 0.31, 100.0),
        (("G2", "G2"), 15e3, 0.44, 100.0),
        (("K2", "M0"), 25e3, 0.10, 100.0),
        (("G2", "K2"), -60e3, 0.30, 10.0),
    ],
)
@pytest.mark.slow
def test_a_second_star_is_flagged_with_its_velocity_and_contrast(starlight, kinds, apart_ms, share, snr):
    first, spectra = _together(starlight, kinds, apart_ms, share, snr)
    found = _measured(first, spectra)
    assert found.quality & Quality.SECOND_STAR
    assert found.second_dip.rv_ms - first.rv_ms == pytest.approx(apart_ms, abs=500.0)
    assert found.second_dip.contrast / found.contrast == pytest.approx(share / (1 - share), rel=0.35)


@pytest.mark.slow
def test_of_two_equal_stars_either_is_measured_and_the_other_is_named(starlight):
    first, spectra = _together(starlight, ("G2", "K2"), 30e3, 0.5)
    found = _measured(first, spectra)
    places = np.sort([found.rv_ms, found.second_dip.rv_ms]) - first.rv_ms
    np.testing.assert_allclose(places, [0.0, 30e3], atol=300.0)


@pytest.mark.parametrize(
    ("kind", "vsini_ms", "snr"), [("F5", 40e3, 100.0), ("G2", 0.0, 100.0), ("G2", 20e3, 30.0), ("M0", 0.0, 10.0)]
)
@pytest.mark.slow
def test_a_single_star_has_no_second_dip(starlight, kind, vsini_ms, snr):
    found = _measured(starlight(kind, vsini_ms=vsini_ms, snr=snr))
    assert found.second_dip is None
    assert not found.quality & Quality.SECOND_STAR
