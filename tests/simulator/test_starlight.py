"""The light of stars and what the atmosphere takes of it."""

import numpy as np
import pytest

from nrespipe import data
from nrespipe.doppler import C_MS
from nrespipe.frames.star import Star
from nrespipe.simulator import starlight, stars


def test_what_an_observer_hangs_on_a_name_does_not_change_the_star():
    one, two = stars.target("HD102365"), stars.target("HD102365_engr")
    assert one.rv_ms == two.rv_ms
    wavelength = np.linspace(5500, 5510, 50)
    np.testing.assert_array_equal(starlight.seen(one, wavelength, 0.0), starlight.seen(two, wavelength, 0.0))


def test_a_star_at_another_velocity_is_the_same_spectrum_at_other_wavelengths():
    target = stars.target("HD102365")
    wavelength = np.linspace(5000, 5060, 20001)
    berv_ms = -23456.7
    factor = (1 + target.rv_ms / C_MS) / (1 + berv_ms / C_MS)
    still = stars.Target(target.star, target.spectral_type, 0.0, target.vsini_kms)
    seen, rest = starlight.seen(target, wavelength * factor, berv_ms), starlight.seen(still, wavelength, 0.0)
    difference = seen - rest
    # what the difference would mean as a velocity, by Bouchy's weights
    slope = np.gradient(rest, wavelength) * wavelength
    assert abs(np.sum(difference * slope) / np.sum(slope**2) * C_MS) < 0.02
    assert np.abs(difference).max() < 1e-3


def test_the_strong_lines_of_the_list_are_in_the_spectrum():
    target = stars.target("HD102365")
    mask = data.stellar_lines("G2")
    inside = (mask.vacuum_angstrom > 5000) & (mask.vacuum_angstrom < 6500)
    (strong,) = np.nonzero(inside & (mask.depth > 0.8))
    still = stars.Target(target.star, "G2", 0.0, 2.0)
    assert np.mean(starlight.seen(still, mask.vacuum_angstrom[strong], 0.0) < 0.5) > 0.97


def test_the_spectrum_has_lines_that_no_list_knows():
    star = Star(name="X", ra_deg=0.0, dec_deg=0.0)
    seen = [starlight.rest_spectrum("G2", 2.0, seed) for seed in (1, 2)]
    assert 0.001 < np.std(seen[0] - seen[1]) < 0.1
    assert star.name == "X"


def test_telluric_lines_lie_within_their_intervals_and_stay_with_the_observatory():
    bands = data.tellurics()
    wide = bands.end_angstrom - bands.start_angstrom > 0.2
    middle = (bands.start_angstrom[wide] + bands.end_angstrom[wide]) / 2
    assert np.mean(starlight.transmission(middle, 1.0)) < 0.95
    clear = np.linspace(5600, 5680, 400)
    away = np.min(np.abs(clear[:, None] - np.concatenate([bands.start_angstrom, bands.end_angstrom])), axis=1) > 0.3
    assert starlight.transmission(clear[away], 2.0).min() > 0.97
    thick, thin = starlight.transmission(middle, 2.0), starlight.transmission(middle, 1.0)
    np.testing.assert_allclose(thick, thin**2, rtol=1e-9)


def test_rotation_broadens_a_line_to_its_full_width_without_moving_it():
    spike = np.zeros(201)
    spike[100] = 1.0
    for half_width in (0.3, 3.7, 12.0):
        broad = starlight._rotated(spike, half_width)
        x = np.arange(201) - 100
        assert broad.sum() == pytest.approx(1, rel=1e-12)
        assert np.sum(broad * x) == pytest.approx(0, abs=1e-12)
        assert not broad[np.abs(x) > half_width + 1].any()
    # second moment of a disk with limb darkening 0.6, in units of its half width squared
    assert np.sum(broad * x**2) / 12.0**2 == pytest.approx(0.225, abs=0.01)
