"""Stars by description, and their light."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nrespipe import data
from nrespipe.frames.velocity import Star
from nrespipe.simulator import bench as benches
from nrespipe.simulator import stars
from nrespipe.simulator.bench import C_MS


def test_a_description_names_star_signal_and_fiber():
    exposure = stars.parse("HD10700:80:2", exposure_s=300)
    assert list(exposure.targets) == [2]
    assert exposure.targets[2].star.name == "HD10700"
    assert exposure.targets[2].snr == 80
    assert exposure.exposure_s == 300


def test_a_name_alone_goes_to_fiber_0_at_signal_to_noise_100():
    ((fiber, target),) = stars.parse("51 Peg").targets.items()
    assert (fiber, target.snr, target.star.name) == (0, 100.0, "51 Peg")


def test_a_plus_puts_two_stars_into_two_fibers():
    targets = stars.parse("HD102365:100+HD10700:80").targets
    assert {fiber: target.star.name for fiber, target in targets.items()} == {0: "HD102365", 2: "HD10700"}


@pytest.mark.parametrize("text", ["", ":50", "A:x", "A:1:2:3", "A:-5", "A:nan", "A:50:0+B:50:0", "A:50:z", "A+"])
def test_a_description_that_makes_no_sense_is_refused_with_its_text(text):
    with pytest.raises(ValueError, match="cannot read"):
        stars.parse(text)


@given(st.text(max_size=30))
def test_any_text_is_either_understood_or_refused(text):
    try:
        exposure = stars.parse(text)
    except ValueError:
        return
    assert all(target.snr > 0 and target.star.ra_deg is not None for target in exposure.targets.values())


def test_a_catalog_goes_before_the_own_table():
    star = Star(name="HD10700", ra_deg=1.0, dec_deg=2.0, rv_kms=3.0, spectral_type="K5V")
    target = stars.target("HD10700", {"HD10700": star})
    assert (target.star.ra_deg, target.rv_ms, target.spectral_type) == (1.0, 3000.0, "K5")


def test_an_unknown_star_is_made_up_the_same_every_time():
    assert stars.target("TIC 1234") == stars.target("TIC 1234")
    assert stars.target("TIC 1234").star.ra_deg != stars.target("TIC 1235").star.ra_deg


def test_what_an_observer_hangs_on_a_name_does_not_change_the_star():
    one, two = stars.target("HD102365"), stars.target("HD102365_engr")
    assert one.rv_ms == two.rv_ms
    wavelength = np.linspace(5500, 5510, 50)
    np.testing.assert_array_equal(stars.seen(one, wavelength, 0.0), stars.seen(two, wavelength, 0.0))


def test_a_star_at_another_velocity_is_the_same_spectrum_at_other_wavelengths():
    target = stars.target("HD102365")
    wavelength = np.linspace(5000, 5060, 20001)
    berv_ms = -23456.7
    factor = (1 + target.rv_ms / C_MS) / (1 + berv_ms / C_MS)
    still = stars.Target(target.star, target.spectral_type, 0.0, target.vsini_kms)
    seen, rest = stars.seen(target, wavelength * factor, berv_ms), stars.seen(still, wavelength, 0.0)
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
    assert np.mean(stars.seen(still, mask.vacuum_angstrom[strong], 0.0) < 0.5) > 0.97


def test_the_spectrum_has_lines_that_no_list_knows():
    star = Star(name="X", ra_deg=0.0, dec_deg=0.0)
    seen = [stars.rest_spectrum("G2", 2.0, seed) for seed in (1, 2)]
    assert 0.001 < np.std(seen[0] - seen[1]) < 0.1
    assert star.name == "X"


def test_telluric_lines_lie_within_their_intervals_and_stay_with_the_observatory():
    bands = data.tellurics()
    wide = bands.end_angstrom - bands.start_angstrom > 0.2
    middle = (bands.start_angstrom[wide] + bands.end_angstrom[wide]) / 2
    assert np.mean(stars.transmission(middle, 1.0)) < 0.95
    clear = np.linspace(5600, 5680, 400)
    away = np.min(np.abs(clear[:, None] - np.concatenate([bands.start_angstrom, bands.end_angstrom])), axis=1) > 0.3
    assert stars.transmission(clear[away], 2.0).min() > 0.97
    thick, thin = stars.transmission(middle, 2.0), stars.transmission(middle, 1.0)
    np.testing.assert_allclose(thick, thin**2, rtol=1e-9)


def test_rotation_broadens_without_moving_a_line():
    narrow, wide = stars.rest_spectrum("G2", 0.0, 7), stars.rest_spectrum("G2", 8.0, 7)
    index = np.arange(len(narrow))
    part = slice(1_000_00, 1_010_00)
    assert np.std(wide[part]) < np.std(narrow[part])
    depths = [(1 - spectrum)[1000:-1000] for spectrum in (narrow, wide)]
    assert depths[0].sum() == pytest.approx(depths[1].sum(), rel=1e-5)
    centers = [np.sum(depth * index[1000:-1000]) / depth.sum() for depth in depths]
    assert centers[0] == pytest.approx(centers[1], abs=1.0)


def test_the_speed_of_light_is_that_of_the_metre():
    assert benches.C_MS == 299792458.0
