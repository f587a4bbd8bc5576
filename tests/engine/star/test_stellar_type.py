"""Types and rotations of stars whose type and rotation are known, and of two real ones."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from nrespipe import data
from nrespipe.engine.spectrum import ccf, synthetic
from nrespipe.engine.star import stellar_type
from nrespipe.engine.velocity import mask_fit, measurement, velocity_of_arrays

MASKS = {name: data.stellar_lines(name) for name in data.stellar_types()}
REALDATA = Path(os.environ.get("NRESPIPE_REALDATA", Path(__file__).parents[3].parent / "shared" / "realdata"))


def fitted(light, kind):
    spectrum, numbers = measurement.prepared(light.spectra, light.wavelengths, 0)
    sampling = measurement.line_sampling(light.wavelengths.line_shape, 0, numbers)
    found = mask_fit.fit(
        spectrum, MASKS[kind], light.rv_ms + 200, light.barycentric.berv_ms, sampling=sampling,
        tellurics=data.tellurics(),
    )  # fmt: skip
    return found, sampling


def estimated(light, kind):
    found, sampling = fitted(light, kind)
    return stellar_type.estimate(found, MASKS, light.barycentric.berv_ms, sampling, data.tellurics())


def between(starlight, kind, other, share, snr):
    """Light of a star between two types."""
    first, second = starlight(kind, snr=2000.0, hits=0.0), starlight(other, snr=2000.0, hits=0.0)
    mean = (1 - share) * first.spectra.flux[0] / first.level + share * second.spectra.flux[0] / second.level
    flux = mean * first.level * (snr / 2000.0) ** 2
    variance = np.clip(flux, 0, None) + 150.0
    flux = flux + np.sqrt(variance) * np.random.default_rng(2).standard_normal(flux.shape)
    first.spectra = replace(first.spectra, flux=flux[None], variance=variance[None])
    return first


@pytest.mark.parametrize(("kind", "snr", "vsini_ms"), [("G2", 100.0, 0.0), ("K2", 30.0, 6000.0), ("K5", 60.0, 0.0)])
@pytest.mark.slow
def test_the_temperature_of_a_star_of_a_list_is_right_within_its_error(starlight, kind, snr, vsini_ms):
    found = estimated(starlight(kind, snr=snr, vsini_ms=vsini_ms), kind)
    assert found.reason == ""
    assert abs(found.teff_k - MASKS[kind].teff_k) < 1.5 * found.teff_error_k
    assert 85 < found.teff_error_k < 130
    assert found.spectral_type[0] == kind[0]


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "other"), [("F5", "G2"), ("G2", "K2"), ("K2", "K5"), ("K5", "M0")])
@pytest.mark.parametrize("share", [0.3, 0.7])
def test_a_star_between_two_lists_gets_a_temperature_in_between_to_a_subtype(starlight, kind, other, share):
    found = estimated(between(starlight, kind, other, share, 50.0), kind if share < 0.5 else other)
    expected = (1 - share) * MASKS[kind].teff_k + share * MASKS[other].teff_k
    # a subtype is 120 K there, and the list of F5 is made of those of G2 and K2
    assert abs(found.teff_k - expected) < (100 if kind == "F5" else 60)


@pytest.mark.slow
def test_the_neighboring_list_gives_the_same_temperature(starlight):
    light = starlight("K2", snr=80.0)
    one, other = estimated(light, "K2"), estimated(light, "K5")
    assert abs(one.teff_k - other.teff_k) < 1.5 * one.teff_error_k


def test_a_star_at_the_end_of_the_lists_says_so(starlight):
    hottest = max(MASKS, key=lambda name: MASKS[name].teff_k)
    found = estimated(starlight(hottest, snr=60.0), hottest)
    assert found.reason == "at the hot end of the lists of lines"
    assert found.teff_error_k >= 250


@pytest.mark.parametrize(("strength", "reason"), [(0.3, "its lines are unlike those of any list"), (0.9, "")])
@pytest.mark.slow
def test_a_star_whose_lines_are_as_weak_as_a_model_can_be_says_so(starlight, strength, reason):
    light = starlight("K5", snr=60.0)
    found, sampling = fitted(light, "K5")
    weak = replace(found, strength=strength)
    result = stellar_type.estimate(weak, MASKS, light.barycentric.berv_ms, sampling, data.tellurics())
    assert result.reason == reason
    assert (result.teff_error_k >= 500) == bool(reason)


@pytest.mark.parametrize("vsini_ms", [0.0, 3000.0, 8000.0, 20000.0])
@pytest.mark.slow
def test_rotation_is_right_within_its_error(starlight, vsini_ms):
    found = estimated(starlight("G2", snr=60.0, vsini_ms=vsini_ms), "G2")
    assert abs(found.vsini_ms - vsini_ms) < 1.5 * found.vsini_error_ms
    assert found.vsini_error_ms < (4000.0 if vsini_ms < 5000 else 1200.0)


def test_without_a_line_spread_function_there_is_no_rotation(starlight):
    light = starlight("G2", snr=60.0)
    found, _ = fitted(light, "G2")
    result = stellar_type.estimate(found, MASKS, light.barycentric.berv_ms, None, data.tellurics())
    assert np.isnan(result.vsini_ms)
    assert np.isfinite(result.teff_k)


def test_without_the_orders_that_tell_there_is_a_reason(starlight):
    light = starlight("G2", snr=60.0)
    found, sampling = fitted(light, "G2")
    red = replace(found.spectrum, good=found.spectrum.good & (found.spectrum.wavelength > 6000))
    result = stellar_type.estimate(replace(found, spectrum=red), MASKS, light.barycentric.berv_ms, sampling)
    assert result.reason == "too few orders between 415 and 590 nm"
    assert np.isnan(result.teff_k)


@pytest.mark.parametrize(("teff_k", "name"), [(5770, "G2"), (5040, "K2"), (3870, "M0"), (6550, "F5"), (9000, "F0")])
def test_a_subtype_is_the_nearest_one(teff_k, name):
    assert stellar_type.subtype(teff_k) == name


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "mask", "rv_ms", "teff_k", "reason", "vsini_ms"),
    [
        ("sun", "G2", 100.0, 5772.0, "", 1900.0),
        # cooler than all lists: the number is that of their end, its error covers the truth, and the reason says why
        ("gl581", "M0", -9300.0, 3500.0, "its lines are unlike those of any list", 0.0),
    ],
)
def test_the_sun_and_a_dwarf_of_type_m3_as_harps_saw_them(name, mask, rv_ms, teff_k, reason, vsini_ms):
    path = REALDATA / f"{name}_harps_s1d.fits"
    if not path.exists():
        pytest.skip(f"real data are not here: {path.name}")
    with fits.open(path) as hdus:
        header, flux = hdus[0].header, hdus[0].data.astype(float)
    air = header["CRVAL1"] + header["CDELT1"] * np.arange(len(flux))
    s2 = (1e4 / air) ** 2
    # Ciddor 1996, Appl. Opt. 35, 1566, in the form of Morton
    index = 1 + 8.336624e-5 + 2.4089269e-2 / (130.10659 - s2) + 1.5997409e-4 / (38.925688 - s2)
    spectrum = velocity_of_arrays._spectrum(
        *velocity_of_arrays._arrays(air * index, flux, np.where(flux > 0, flux, np.nan), None)
    )
    offsets = np.linspace(-2.5, 2.5, 41)
    # resolving power 115,000
    fwhm = spectrum.wavelength / 115e3 / header["CDELT1"]
    kernel = np.exp(-4 * np.log(2) * offsets**2)[None]
    sampling = synthetic.Sampling(fwhm, offsets, kernel, np.zeros(1))
    found = mask_fit.fit(spectrum, MASKS[mask], rv_ms, sampling=sampling, tellurics=data.tellurics(), motion_ms=0.0)
    result = stellar_type.estimate(found, MASKS, 0.0, sampling, data.tellurics())
    assert result.teff_k == pytest.approx(teff_k, abs=1.3 * result.teff_error_k)
    assert result.reason == reason
    assert result.teff_error_k < 600
    assert result.vsini_ms == pytest.approx(vsini_ms, abs=result.vsini_error_ms)


def shape_errors(found, berv_ms):
    """Return the errors of width, contrast and bisector span of a fit."""
    return ccf.shape_errors(found.spectrum, found.lines, found.model, found.rv_ms, found.fwhm_ms, berv_ms)


@pytest.mark.slow
def test_errors_of_the_shape_are_the_scatter_of_repeated_exposures(starlight):
    shapes, errors = [], []
    for seed in range(16):
        light = starlight("G2", snr=60.0, seed=seed)
        found, _ = fitted(light, "G2")
        shapes.append((found.fwhm_ms, found.contrast, found.bisector_ms))
        errors.append(shape_errors(found, light.barycentric.berv_ms))
    # 16 draws know a standard deviation to 18 percent
    np.testing.assert_allclose(np.std(shapes, axis=0, ddof=1) / np.mean(errors, axis=0), 1.0, atol=0.4)


def test_a_function_without_a_dip_has_no_shape(starlight):
    light = starlight("G2", snr=60.0)
    found, _ = fitted(light, "G2")
    flat = replace(found, spectrum=replace(found.spectrum, flux=found.spectrum.continuum + 0.0))
    assert shape_errors(flat, light.barycentric.berv_ms)[0] > 1e3
