"""Stars by description, and their light."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nrespipe.frames.star import Star
from nrespipe.simulator import stars


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


@pytest.mark.parametrize(
    ("spectral_type", "teff_k", "kind"),
    [
        ("G8V", 5463.0, "G2"),
        ("G8V", None, "G2"),
        ("K2V", None, "K2"),
        ("A0V", None, "F5"),
        ("M5V", None, "M0"),
        ("", None, "G2"),
    ],
)
def test_a_star_has_the_lines_of_the_list_that_is_nearest_in_temperature(spectral_type, teff_k, kind):
    star = Star(name="HD1", ra_deg=1.0, dec_deg=2.0, rv_kms=3.0, spectral_type=spectral_type, teff_k=teff_k)
    assert stars.target("HD1", {"HD1": star}).spectral_type == kind
