"""Velocities from arrays alone: of other spectrographs, HARPS among them, and of the example in the manual."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from nrespipe import data
from nrespipe.engine.spectrum import ccf, continuum
from nrespipe.engine.spectrum.order_spectra import OrderSpectra
from nrespipe.engine.velocity import mask_fit, second_star, template, velocity_of_arrays
from nrespipe.frames.star import Star
from nrespipe.frames.velocity import LineMask

C_MS = 299792458.0
ROOT = Path(__file__).parents[3]
REALDATA = Path(os.environ.get("NRESPIPE_REALDATA", ROOT.parent / "shared" / "realdata"))
WAVELENGTH = np.linspace(5000.0, 5080.0, 2500) + 90.0 * np.arange(3)[:, None]
LINES = data.stellar_lines("G2")


def light(rv_ms, berv_ms=0.0, snr=100.0, seed=0, wavelength=WAVELENGTH):
    """Lines of a G2 dwarf with a Gaussian shape."""
    flux = np.ones(wavelength.shape)
    for center, depth in zip(LINES.vacuum_angstrom * (1 + rv_ms / C_MS) / (1 + berv_ms / C_MS), LINES.depth):
        near = np.abs(wavelength - center) < 0.4
        flux[near] *= 1 - depth * np.exp(-0.5 * ((wavelength[near] - center) / 0.06) ** 2)
    variance = snr**2 * flux
    return variance + np.sqrt(variance) * np.random.default_rng(seed).standard_normal(flux.shape), variance


def harps(name):
    """Find a file of HARPS."""
    path = REALDATA / name
    if not path.exists():
        pytest.skip(f"real data are not here: {path.name}")
    return path


def test_a_peak_of_harps_is_where_its_own_pipeline_found_it():
    with fits.open(harps("gl581_harps_ccf_M2.fits")) as hdus:
        header, function = hdus[0].header, hdus[0].data[-1].astype(float)
    grid_ms = 1e3 * (header["CRVAL1"] + header["CDELT1"] * np.arange(len(function)))
    found = ccf.measure_dip(grid_ms, function)
    assert found.center_ms == pytest.approx(1e3 * header["ESO DRS CCF RVC"], abs=0.05)
    assert found.fwhm_ms == pytest.approx(1e3 * header["ESO DRS CCF FWHM"], abs=1.0)
    assert 100 * found.contrast == pytest.approx(header["ESO DRS CCF CONTRAST"], abs=0.05)


def test_a_spectrum_of_harps_and_its_mask_give_the_velocity_and_the_shape_that_harps_gives():
    start, end, weight = np.loadtxt(harps("M2_ceres_harps.mas"), unpack=True)
    with fits.open(harps("gl581_harps_s1d.fits")) as hdus:
        header, flux = hdus[0].header, hdus[0].data.astype(float)
    # the spectrum is at rest in the barycenter already, in air like its mask
    wavelength = header["CRVAL1"] + header["CDELT1"] * np.arange(len(flux))
    mask = LineMask("M2", 3400.0, (start + end) / 2, weight)
    found = velocity_of_arrays.gaussian(wavelength, flux, np.where(flux > 0, flux, np.nan), mask, -9200.0)
    assert found.rv_ms == pytest.approx(-9198.84, abs=1.0)
    assert found.fwhm_ms == pytest.approx(3807.2, rel=0.01)
    assert 0.5 < found.error_ms < 2


def merged_factor(header):
    """Return the factor from the wavelengths of the spectrograph to those of a merged spectrum."""
    return (1 + 1e3 * header["ESO DRS BERV"] / C_MS) * (1 + 1.55e-8)


def as_extracted(header, wavelength, flux):
    """Return a merged spectrum of HARPS on its orders, as they were extracted: wavelengths, flux of pixels, and blaze.

    The dispersion changes by a quarter along an order, that of the merged spectrum not at all.
    """
    degree = header["ESO DRS CAL TH DEG LL"]
    n = (degree + 1) * 72
    terms = np.array([header[f"ESO DRS CAL TH COEFF LL{i}"] for i in range(n)]).reshape(72, degree + 1)
    orders_angstrom = np.polynomial.polynomial.polyval(np.arange(4096.0), terms.T)
    at_rest = orders_angstrom * merged_factor(header)
    step, edges = header["CDELT1"], ccf.pixel_edges(at_rest)
    ends = np.append(wavelength - step / 2, wavelength[-1] + step / 2)
    light = np.diff(np.interp(edges, ends, np.append(0, np.cumsum(flux * step))), axis=1)
    light[(edges[:, :-1] < ends[0]) | (edges[:, 1:] > ends[-1]) | (light <= 0)] = np.nan
    number = np.setdiff1d(np.arange(89, 162), [115])[::-1][:, None]
    center = np.median(number * orders_angstrom[:, 2048:2049])
    blaze = np.sinc(number * (number * orders_angstrom / center - 1)) ** 2
    return orders_angstrom, light * blaze, blaze


def test_the_orders_of_harps_give_the_velocity_of_harps_though_the_dispersion_changes_along_them():
    start, end, weight = np.loadtxt(harps("M2_ceres_harps.mas"), unpack=True)
    with fits.open(harps("gl581_harps_s1d.fits")) as hdus:
        header, flux = hdus[0].header, hdus[0].data.astype(float)
    merged = header["CRVAL1"] + header["CDELT1"] * np.arange(len(flux))
    mask = LineMask("M2", 3400.0, (start + end) / 2, weight)
    wavelength, light, blaze = as_extracted(header, merged, flux)
    found = velocity_of_arrays.gaussian(
        wavelength, light, light, mask, -9200.0, blaze=blaze, berv_ms=1e3 * header["ESO DRS BERV"], convention="harps"
    )
    assert found.rv_ms == pytest.approx(-9198.84, abs=1.0)
    # the same stretches with their constant step
    apart = []
    for row, shape, alone in zip(wavelength * merged_factor(header), blaze, found.by_order.rv_ms):
        here = np.flatnonzero((merged > row[0]) & (merged < row[-1]) & (flux > 0))
        if np.isfinite(alone) and len(here) and np.ptp(here) == len(here) - 1:
            part = flux[here] * np.interp(merged[here], row, shape)
            options = {"blaze": np.interp(merged[here], row, shape), "convention": "harps"}
            same = velocity_of_arrays.gaussian(merged[here], part, part, mask, -9200.0, **options)
            apart.append(alone - same.rv_ms)
    assert len(apart) > 40
    assert np.median(np.abs(apart)) < 1.5


def test_the_dispersion_may_double_along_an_order_and_the_plain_gaussian_stays_where_it_is():
    center = np.linspace(5010.0, 5095.0, 120)
    mask = LineMask("a hundred", 5000.0, center, np.full(120, 0.5))
    ends = 5000 + 70 * np.linspace(0, 1, 5001) + 35 * np.linspace(0, 1, 5001) ** 2
    for edges in (ends, (ends[0] + ends[-1] - ends)[::-1]):
        fine = np.linspace(edges[0], edges[-1], 200_001)
        shape = 1 - 0.5 * np.exp(-0.5 * ((fine[:, None] - center) / 0.03) ** 2).sum(axis=1)
        total = np.append(0, np.cumsum((shape[1:] + shape[:-1]) / 2 * np.diff(fine)))
        flux = np.diff(np.interp(edges, fine, total))
        found = velocity_of_arrays.gaussian((edges[1:] + edges[:-1]) / 2, flux, 1e-4 * flux, mask, 0.0)
        assert abs(found.rv_ms) < 0.3


def test_the_convention_of_harps_has_one_factor_and_one_box():
    flux, variance = light(-31e3, 21e3)
    given = WAVELENGTH, flux, variance, LINES, -31e3
    plain, by_harps = (velocity_of_arrays.gaussian(*given, berv_ms=21e3, convention=c) for c in (None, "harps"))
    assert by_harps.rv_ms - plain.rv_ms == pytest.approx(1.55e-8 * C_MS, abs=0.02)
    # a spectrum that its pipeline has put to rest includes the factor
    at_rest = [velocity_of_arrays.gaussian(*given[:4], -52e3, convention=c).rv_ms for c in (None, "harps")]
    assert at_rest[0] == at_rest[1]
    with pytest.raises(ValueError, match="the box of convention 'harps' is 820 m/s wide, not 500 m/s"):
        velocity_of_arrays.gaussian(*given, convention="harps", box_ms=500.0)
    with pytest.raises(ValueError, match="convention 'sophie' is unknown"):
        velocity_of_arrays.gaussian(*given, convention="sophie")


def test_weights_that_are_no_depths_are_refused_by_the_model_of_the_lines_alone():
    flux, variance = light(500.0)
    for weights in (7.7 * LINES.depth, -LINES.depth):
        mask = LineMask("contrasts", 5000.0, LINES.vacuum_angstrom, weights)
        with pytest.raises(ValueError, match=r"the weights of mask contrasts run from .* so they are no depths"):
            velocity_of_arrays.velocity(WAVELENGTH, flux, variance, mask)
    mask = LineMask("contrasts", 5000.0, LINES.vacuum_angstrom, 7.7 * LINES.depth)
    found = velocity_of_arrays.gaussian(WAVELENGTH, flux, variance, mask, 500.0)
    assert found.rv_ms == pytest.approx(velocity_of_arrays.gaussian(WAVELENGTH, flux, variance, LINES, 500.0).rv_ms)


def test_the_sun_is_at_rest_for_the_mask_of_harps_and_falls_out_of_its_own_gravity_for_laboratory_wavelengths():
    start, end, weight = np.loadtxt(harps("G2_ceres_harps.mas"), unpack=True)
    with fits.open(harps("sun_harps_s1d.fits")) as hdus:
        header, flux = hdus[0].header, hdus[0].data.astype(float)
    air = header["CRVAL1"] + header["CDELT1"] * np.arange(len(flux))
    noise = np.where(flux > 0, flux / 1e5, np.nan)
    by_harps = velocity_of_arrays.gaussian(air, flux, noise, LineMask("G2", 5770.0, (start + end) / 2, weight), 0.0)
    assert abs(by_harps.rv_ms) < 20
    # Ciddor 1996, Appl. Opt. 35, 1566, in the form of Morton
    s2 = (1e4 / air) ** 2
    index = (
        1 + 8.336624212083e-5 + 2.408926869968e-2 / (130.1065924522 - s2) + 1.599740894897e-4 / (38.92568793293 - s2)
    )
    found = velocity_of_arrays.velocity(air * index, flux, noise, LINES, tellurics=data.tellurics(), motion_ms=0.0)
    # 633 m/s of gravity less the rise of hot gas, 200 to 400 m/s
    assert 150 < found.rv_ms < 450


@pytest.mark.slow
def test_the_list_of_a_cool_star_that_was_measured_on_stars_gives_the_velocity_that_is_published():
    with fits.open(harps("gl581_harps_s1d.fits")) as hdus:
        header, flux = hdus[0].header, hdus[0].data.astype(float)
    air = header["CRVAL1"] + header["CDELT1"] * np.arange(len(flux))
    s2 = (1e4 / air) ** 2
    index = (
        1 + 8.336624212083e-5 + 2.408926869968e-2 / (130.1065924522 - s2) + 1.599740894897e-4 / (38.92568793293 - s2)
    )
    found, computed = (
        velocity_of_arrays.velocity(
            air * index, flux, np.where(flux > 0, flux, np.nan), data.stellar_lines(kind), velocity_ms=-9200.0,
            tellurics=data.tellurics(), motion_ms=0.0,
        )
        for kind in ("M3", "M0")
    )  # fmt: skip
    assert found.rv_ms == pytest.approx(-9198.84, abs=30.0)
    assert found.mask_error_ms < 0.3 * computed.mask_error_ms
    assert found.photon_error_ms < 0.5 * computed.photon_error_ms


@pytest.mark.parametrize(("name", "velocity_ms"), [("sun_harps_s1d.fits", 300.0), ("gl581_harps_s1d.fits", -9200.0)])
@pytest.mark.parametrize("kind", ["F5", "K2", "M0"])
@pytest.mark.slow
def test_single_stars_of_harps_have_no_second_dip_whatever_list_measures_them(name, velocity_ms, kind):
    with fits.open(harps(name)) as hdus:
        header, flux = hdus[0].header, hdus[0].data.astype(float)
    air = header["CRVAL1"] + header["CDELT1"] * np.arange(len(flux))
    # Ciddor 1996; to 1 m/s over the range of the lines
    vacuum = air * (1 + 8.336624212083e-5 + 2.408926869968e-2 / (130.1065924522 - (1e4 / air) ** 2))
    pieces = [a[: 75 * 4096].reshape(75, 4096) for a in (vacuum, flux)]
    good = pieces[1] > 0
    level = continuum.envelope(pieces[1], np.where(good, pieces[1], 1.0), good)
    spectrum = OrderSpectra(pieces[1], np.where(good, pieces[1], 1.0), good & (level > 0), pieces[0], level)
    found = mask_fit.fit(spectrum, data.stellar_lines(kind), velocity_ms, tellurics=data.tellurics(), motion_ms=0.0)
    assert second_star.search(found, 0.0, data.tellurics()) is None


@pytest.mark.parametrize("berv_ms", [0.0, 21e3])
def test_arrays_and_a_mask_give_the_velocity_within_its_error(berv_ms):
    flux, variance = light(-31e3, berv_ms)
    found = velocity_of_arrays.velocity(WAVELENGTH, flux, variance, LINES, berv_ms=berv_ms, tellurics=data.tellurics())
    assert found.rv_ms == pytest.approx(-31e3, abs=4 * np.hypot(found.error_ms, found.mask_error_ms))
    assert found.error_ms < 8
    assert found.by_order.weight.sum() == pytest.approx(1)
    plain = velocity_of_arrays.gaussian(WAVELENGTH, flux, variance, LINES, -31e3, berv_ms=berv_ms)
    assert plain.rv_ms == pytest.approx(-31e3, abs=100)


@pytest.mark.slow
def test_the_error_of_the_plain_gaussian_is_the_scatter_of_spectra():
    found = [
        velocity_of_arrays.gaussian(WAVELENGTH, *light(500.0, seed=seed, snr=50.0), LINES, 500.0) for seed in range(40)
    ]
    scatter = np.std([f.rv_ms for f in found], ddof=1)
    assert scatter / np.mean([f.error_ms for f in found]) == pytest.approx(1.0, abs=0.35)
    single = np.array([f.by_order.rv_ms for f in found])
    ratios = single.std(axis=0, ddof=1) / np.mean([f.by_order.error_ms for f in found], axis=0)
    np.testing.assert_allclose(ratios, 1.0, atol=0.45)


def test_a_template_serves_as_a_mask_does_and_pixels_that_are_no_numbers_are_left_out():
    exposures = []
    for seed, berv_ms in enumerate(np.linspace(-15e3, 15e3, 8)):
        flux, variance = light(2e3, berv_ms, seed=seed)
        order_spectra = OrderSpectra(flux, variance, np.ones(flux.shape, bool), WAVELENGTH, np.full(flux.shape, 1e4))
        exposures.append(template.Exposure(order_spectra, np.arange(3), 2e3, berv_ms))
    made = template.build(exposures, Star("x"), rounds=1)
    flux, variance = light(2040.0, 5e3, seed=77)
    flux[1, 700:720], variance[2, 300:310] = np.nan, 0.0
    found = velocity_of_arrays.velocity(WAVELENGTH, flux, variance, made, berv_ms=5e3)
    assert found.rv_ms == pytest.approx(2040.0, abs=4 * found.error_ms)
    assert np.isnan(found.fwhm_ms)


def test_a_merged_spectrum_is_one_long_row():
    wavelength = np.linspace(5000.0, 5300.0, 10000)
    flux, variance = light(1e3, wavelength=wavelength)
    found = velocity_of_arrays.velocity(wavelength, flux, variance, LINES)
    assert len(found.by_order.rv_ms) == 2
    assert found.rv_ms == pytest.approx(1e3, abs=4 * np.hypot(found.error_ms, found.mask_error_ms))


def test_an_error_of_the_zero_point_that_is_told_is_part_of_the_error():
    flux, variance = light(500.0)
    for measure in (velocity_of_arrays.velocity, velocity_of_arrays.gaussian):
        options = {"velocity_ms": 500.0}
        alone, both = (measure(WAVELENGTH, flux, variance, LINES, drift_scatter_ms=s, **options) for s in (0.0, 80.0))
        assert alone.error_ms == alone.photon_error_ms == both.photon_error_ms
        assert both.error_ms == pytest.approx(np.hypot(alone.photon_error_ms, 80.0))


def test_what_makes_no_sense_is_refused_in_words():
    flux, variance = light(0.0)
    with pytest.raises(ValueError, match="must match"):
        velocity_of_arrays.velocity(WAVELENGTH, flux[:2], variance, LINES)
    with pytest.raises(ValueError, match="increase along every order"):
        velocity_of_arrays.velocity(WAVELENGTH[:, ::-1], flux, variance, LINES)
    with pytest.raises(ValueError, match="finds no lines in the spectrum"):
        velocity_of_arrays.velocity(WAVELENGTH, variance * 0 + 1e4 + flux - variance, variance * 0 + 1e4, LINES)
    with pytest.raises(ValueError, match="no line of mask G2 falls on usable pixels"):
        velocity_of_arrays.gaussian(WAVELENGTH + 9000, flux, variance, LINES, 0.0)


@pytest.mark.slow
def test_the_example_of_the_manual_measures_what_it_put_in():
    script = ROOT / "docs/examples/velocity_from_arrays.py"
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=True)
    pairs = re.findall(r"(mask|template): ([\d.]+) \+- ([\d.]+) m/s", done.stdout)
    assert [name for name, *_ in pairs] == ["mask", "template"]
    for _, velocity, error in pairs:
        assert abs(float(velocity) - 12345.0) < 4 * float(error) < 16
