"""Velocities of stars whose velocity is known."""

from dataclasses import replace

import numpy as np
import pytest

from nrespipe import data
from nrespipe.engine import temperature, velocity
from nrespipe.frames.quality import Quality
from nrespipe.frames.velocity import Star

MASKS = {name: data.stellar_lines(name) for name in data.stellar_types()}


def absolute_error_ms(found):
    """Error of an absolute velocity: what the list of lines may do is no error of a series."""
    return np.hypot(found.error_ms, found.mask_error_ms)


def measured(light, star=None, **changes):
    spectra = replace(light.spectra, **changes) if changes else light.spectra
    return velocity.measure(
        spectra, light.wavelengths, 0, star or light.star, MASKS, data.tellurics(), light.barycentric
    )  # fmt: skip


@pytest.mark.parametrize("kind", ["F5", "G2", "K5", "M0"])
def test_an_absolute_velocity_is_right_within_its_error_and_ten_meters_per_second(starlight, kind):
    light = starlight(kind, rv_ms=-23456.0, snr=150.0, vsini_ms=2000.0)
    found = measured(light)
    assert found.mask == kind
    assert abs(found.rv_ms - light.rv_ms) < min(3 * absolute_error_ms(found), 15.0)
    assert absolute_error_ms(found) < 10.0


def test_the_parts_of_the_error_add_up(starlight):
    found = measured(starlight())
    parts = (found.photon_error_ms, found.wavelength_error_ms, found.drift_error_ms, found.transfer_error_ms)
    assert found.error_ms == pytest.approx(np.sqrt(np.sum(np.square(parts))))
    assert found.order_weight.sum() == pytest.approx(1.0)
    kept = found.order_weight > 0
    assert np.sum(found.order_weight[kept] * found.order_rv_ms[kept]) == pytest.approx(found.rv_ms, abs=0.1)
    assert found.photon_error_ms == pytest.approx(np.sum(found.order_error_ms[kept] ** -2.0) ** -0.5)


def test_the_published_function_is_one_far_from_the_lines_and_dips_at_the_velocity(starlight):
    light = starlight("F5", rv_ms=40000.0)
    found = measured(light)
    mean = found.ccf.sum(axis=0)
    assert abs(found.grid_ms[np.argmin(mean)] - light.rv_ms) < 1000
    assert mean.max() == pytest.approx(1.0, abs=0.1)
    assert 1 - mean.min() / mean.max() == pytest.approx(found.contrast, rel=0.2)
    assert 6000 < found.fwhm_ms < 10000


@pytest.mark.slow
def test_photon_errors_are_the_scatter_of_repeated_exposures(starlight):
    found = [measured(starlight("G2", snr=50.0, seed=seed)) for seed in range(16)]
    scatter = np.std([f.rv_ms for f in found], ddof=1)
    # 16 draws know a standard deviation to 18 percent
    assert scatter / found[0].photon_error_ms == pytest.approx(1.0, abs=0.45)


@pytest.mark.slow
def test_errors_cover_the_absolute_velocities_of_many_stars(starlight):
    rng, pulls = np.random.default_rng(3), []
    for number in range(30):
        kind = ("F5", "G2", "K2", "K5", "M0")[number % 5]
        snr, vsini_ms = (30.0, 60.0, 150.0)[number % 3], (0.0, 4000.0, 9000.0)[number // 10]
        light = starlight(
            kind, rng.uniform(-80e3, 80e3), snr, rng.uniform(-29e3, 29e3), number, vsini_ms, number,
            product=number % 2 == 0,
        )  # fmt: skip
        found = measured(light)
        assert found.rv_ms == pytest.approx(light.rv_ms, abs=max(30.0, 3 * absolute_error_ms(found)))
        pulls.append((found.rv_ms - light.rv_ms) / absolute_error_ms(found))
    assert np.sqrt(np.mean(np.square(pulls))) == pytest.approx(1.0, abs=0.4)
    assert np.max(np.abs(pulls)) < 4


@pytest.mark.slow
def test_a_star_does_not_move_with_the_earth(starlight):
    seasons = (-25e3, -9e3, 1e3, 14e3, 28e3)
    found = [measured(starlight("K2", snr=5000.0, berv_ms=berv_ms, hits=0.0)).rv_ms for berv_ms in seasons]
    assert np.std(found) < 1.5


def test_hits_that_are_flagged_leave_the_velocity_where_it_was(starlight):
    clean, hit = (measured(starlight("G2", snr=80.0, hits=hits)) for hits in (0.0, 0.03))
    assert abs(hit.rv_ms - clean.rv_ms) < 3 * clean.photon_error_ms * np.sqrt(0.03 * 4) + 1.0
    assert hit.photon_error_ms > clean.photon_error_ms


@pytest.mark.parametrize("kind", ["F5", "K2", "M0"])
def test_a_star_of_unknown_type_gets_a_neighboring_mask_and_says_so(starlight, kind):
    light = starlight(kind, snr=60.0)
    found = measured(light, star=Star("unknown", 10.0, 10.0))
    assert abs(list(MASKS).index(found.mask) - list(MASKS).index(kind)) <= 1
    assert Quality.TYPE_GUESSED in found.quality
    assert abs(found.rv_ms - light.rv_ms) < 5 * absolute_error_ms(found)


@pytest.mark.parametrize("rv_ms", [-285e3, 240e3])
def test_a_fast_star_is_found_without_a_first_guess(starlight, rv_ms):
    found = measured(starlight("G2", rv_ms=rv_ms, snr=60.0))
    assert found.rv_ms == pytest.approx(rv_ms, abs=5 * absolute_error_ms(found))


def test_light_without_lines_gives_no_velocity_and_no_exception(starlight):
    light = starlight("G2", snr=40.0, hits=0.0)
    rng = np.random.default_rng(1)
    smooth = (light.level * light.spectra.blaze[0])[None]
    flux = smooth + np.sqrt(smooth + 150.0) * rng.standard_normal(smooth.shape)
    found = measured(light, flux=flux, variance=smooth + 150.0)
    assert np.isnan(found.rv_ms)
    assert Quality.NO_VELOCITY in found.quality
    assert np.isnan(found.ccf).all()
    assert len(found.grid_ms) > 40


@pytest.mark.parametrize("what", ["dark", "flagged", "nan"])
def test_a_spectrum_without_a_usable_pixel_gives_no_velocity_and_no_exception(starlight, what):
    light = starlight("G2", hits=0.0)
    changes = {
        "dark": {"blaze": light.spectra.blaze * 0},
        "flagged": {"quality": light.spectra.quality | np.uint8(64)},
        "nan": {"flux": light.spectra.flux * np.nan, "variance": light.spectra.variance * np.nan},
    }[what]
    found = measured(light, **changes)
    assert np.isnan(found.rv_ms)
    assert Quality.NO_VELOCITY in found.quality
    assert np.isnan(found.ccf).all()
    assert len(found.grid_ms) > 40


@pytest.mark.slow
def test_an_order_without_wavelengths_is_left_out(starlight):
    light = starlight("K2", snr=80.0, hits=0.0)
    whole = measured(light)
    holes = light.wavelengths.vacuum_angstrom.copy()
    holes[0, 30] = np.nan
    light.wavelengths = replace(light.wavelengths, vacuum_angstrom=holes)
    found = measured(light)
    assert np.isnan(found.order_rv_ms[30])
    assert found.rv_ms == pytest.approx(whole.rv_ms, abs=2 * whole.photon_error_ms)


def test_a_wrong_type_in_the_catalog_does_no_harm(starlight):
    light = starlight("G2", snr=80.0)
    found = measured(light, star=replace(light.star, spectral_type="F5V"))
    assert found.mask == "G2"
    assert Quality.TYPE_GUESSED in found.quality
    assert abs(found.rv_ms - light.rv_ms) < 4 * absolute_error_ms(found)


def test_a_wavelength_scale_that_bends_is_found_inconsistent(starlight):
    light = starlight("K2", snr=150.0)
    bent = light.wavelengths.vacuum_angstrom * (1 + 5e-7 * np.sin(np.arange(67) / 3.0)[None, :, None])
    light.wavelengths = replace(light.wavelengths, vacuum_angstrom=bent)
    found = measured(light)
    assert Quality.VELOCITY_INCONSISTENT in found.quality


@pytest.mark.parametrize(
    ("spectral_type", "teff_k", "mask"),
    [("G5 V", None, "G2"), ("K9V", None, "M0"), ("M3.5 V", None, "M0"), ("dK3", None, "K2"), ("F0V", 4400.0, "K5")],
)
def test_the_mask_is_that_of_the_nearest_temperature(spectral_type, teff_k, mask):
    teff_k = temperature.of_star(Star("x", spectral_type=spectral_type, teff_k=teff_k))
    assert min(MASKS.values(), key=lambda m: abs(m.teff_k - teff_k)).name == mask
