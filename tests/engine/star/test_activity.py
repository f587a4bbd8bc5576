"""Activity indices of stars into which a known emission was put."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nrespipe import data
from nrespipe.engine.spectrum import ccf
from nrespipe.engine.star import activity
from nrespipe.engine.velocity import measurement
from nrespipe.frames.quality import Pixel
from nrespipe.frames.velocity import OrderVelocities, TemplateVelocity

LIGHT_MS = 299792458.0
PLACES = {"s_index_r": (3934.777, 3969.591), "h_alpha": (6564.614,), "na_d": (5891.583, 5897.558)}


@pytest.fixture(scope="module")
def bright(starlight):
    """Return a function that makes light of a star without noise, at any signal-to-noise ratio."""
    light = starlight("G2", snr=20000.0, hits=0.0)

    def make(snr=100.0, emission=0.0, seed=None, hits=0.0):
        scale = (snr / 20000.0) ** 2
        wavelength, blaze = light.wavelengths.vacuum_angstrom, light.spectra.blaze
        flux = light.spectra.flux * scale
        for center in sum(PLACES.values(), ()):
            seen = center * (1 + light.rv_ms / LIGHT_MS) / (1 + light.barycentric.berv_ms / LIGHT_MS)
            shape = np.exp(-0.5 * ((wavelength / seen - 1) * LIGHT_MS / 13000.0) ** 2)
            flux = flux + emission * shape * blaze * light.level * scale
        variance = np.clip(flux, 0, None) + 150.0
        quality = light.spectra.quality
        if seed is not None:
            rng = np.random.default_rng(seed)
            flux = flux + np.sqrt(variance) * rng.standard_normal(flux.shape)
            hit = rng.random(flux.shape) < hits
            flux, quality = np.where(hit, flux + 1e6, flux), quality | np.where(hit, 8, 0).astype(np.uint8)
        return replace(light.spectra, flux=flux, variance=variance, quality=quality)

    def measured(**what):
        found = activity.measure_bands(make(**what), light.wavelengths, 0, light.rv_ms, light.barycentric.berv_ms)
        return {index.name: index for index in found}

    measured.light, measured.make = light, make
    return measured


def mean_relative_to_lamp(bright, center, width, triangular, emission):
    """Mean light of a band over that of a lamp of 2900 K, from the one order that shows it best."""
    light = bright.light
    doppler = (1 + light.rv_ms / LIGHT_MS) / (1 + light.barycentric.berv_ms / LIGHT_MS)
    wavelength = light.wavelengths.vacuum_angstrom[0] / doppler
    order = int(np.argmin(np.abs(wavelength[:, 2048] - center)))
    spectra = bright.make(snr=20000.0, emission=emission)
    with np.errstate(divide="ignore", invalid="ignore"):
        normalised = spectra.flux[0, order] / spectra.blaze[0, order] / light.level[order]
    planck = lambda t: 1 / np.expm1(1.4388e8 / wavelength[order] / t)  # noqa: E731
    relative = normalised * planck(data.stellar_lines("G2").teff_k) / planck(2900.0)
    offset = np.abs(wavelength[order] - center) / width
    weight = np.clip(1 - offset, 0, None) if triangular else (offset < 0.5).astype(float)
    near = weight > 0
    return np.average(relative[near], weights=(weight * np.gradient(wavelength[order]))[near])


@pytest.mark.parametrize("name", PLACES)
@pytest.mark.parametrize("emission", [0.0, 0.1, 0.4])
@pytest.mark.slow
def test_an_index_is_what_the_bands_hold_whatever_order_they_lie_on(bright, name, emission):
    _, lines, references, factor = next(d for d in activity.INDICES if d[0] == name)
    expected = [
        sum(mean_relative_to_lamp(bright, b.center_angstrom, b.width_angstrom, b.triangular, emission) for b in bands)
        for bands in (lines, references)
    ]
    found = bright(snr=20000.0, emission=emission)[name]
    assert found.value == pytest.approx(factor * expected[0] / expected[1], rel=0.015)


@pytest.mark.parametrize("snr", [20.0, 120.0])
@pytest.mark.slow
def test_errors_are_the_scatter_of_repeated_exposures_with_hits(bright, snr):
    truth = bright(snr=snr, emission=0.2)
    pulls = {name: [] for name in PLACES}
    for seed in range(40):
        for name, index in bright(snr=snr, emission=0.2, seed=seed, hits=0.002).items():
            if name in PLACES:
                pulls[name].append((index.value - truth[name].value) / index.error)
    for name, some in pulls.items():
        # 40 draws know a standard deviation to 11 percent and a mean to 16
        assert np.std(some) == pytest.approx(1.0, abs=0.3), name
        assert abs(np.mean(some)) < 0.55, name


@pytest.mark.slow
def test_the_s_index_does_not_move_with_the_earth(starlight):
    values = []
    for berv_ms in (-28e3, -5e3, 12e3, 29e3):
        light = starlight("K5", snr=20000.0, berv_ms=berv_ms, hits=0.0)
        found = activity.measure_bands(light.spectra, light.wavelengths, 0, light.rv_ms, berv_ms)
        values.append(found[1].value)
    assert np.ptp(values) < 0.005 * np.mean(values)


def test_a_band_that_no_order_shows_is_named(bright):
    index = bright()["s_index"]
    assert np.isnan(index.value)
    assert np.isinf(index.error)
    assert index.reason == "no order shows all of the band at 3902.2 angstrom"


def test_a_band_where_the_lamp_is_too_faint_is_named(bright):
    light, spectra = bright.light, bright.make()
    blaze = np.where(light.wavelengths.vacuum_angstrom < 4100, 0.0, spectra.blaze)
    found = activity.measure_bands(
        replace(spectra, blaze=blaze), light.wavelengths, 0, light.rv_ms, light.barycentric.berv_ms
    )
    assert found[1].reason == "the lamp is too faint at 3934.8 angstrom"


def test_a_faint_star_has_a_reason_and_no_number(bright):
    found = bright(snr=0.5, seed=1)
    assert found["h_alpha"].reason == "too faint"
    assert np.isnan(found["h_alpha"].value)
    assert found["s_index_r"].reason in ("too faint", "the orders of its bands share too little light")


def test_a_star_without_a_velocity_has_no_index(bright):
    light = bright.light
    found = activity.measure_bands(light.spectra, light.wavelengths, 0, np.nan, 0.0)
    assert {index.reason for index in found} == {"the star has no velocity"}


def test_a_core_that_is_saturated_has_a_reason(bright):
    light, spectra = bright.light, bright.make()
    quality = spectra.quality.copy()
    quality[np.abs(light.wavelengths.vacuum_angstrom - 6565.06) < 0.4] |= 2
    found = activity.measure_bands(
        replace(spectra, quality=quality), light.wavelengths, 0, light.rv_ms, light.barycentric.berv_ms
    )
    assert found[2].reason == "too many pixels are missing at 6564.6 angstrom"


def test_light_that_is_left_of_a_pixel_beside_a_hit_is_not_bridged(bright):
    light, spectra = bright.light, bright.make(emission=0.2)
    core = np.abs(light.wavelengths.vacuum_angstrom - 6565.06) < 0.08
    assert 2 < core.sum() < 8
    hit = np.where(core, spectra.quality | np.uint8(Pixel.COSMIC), spectra.quality)
    spoiled = np.where(core, spectra.flux * 3, spectra.flux)
    values = []
    for changes in ({}, {"quality": hit}, {"quality": hit, "flux": spoiled}):
        some = replace(spectra, **changes)
        found = activity.measure_bands(some, light.wavelengths, 0, light.rv_ms, light.barycentric.berv_ms)
        values.append(found[2].value)
    assert values[1] == values[0]
    # what the hit has left is not believed where it lies far from the light around it
    assert values[2] == pytest.approx(values[0], rel=0.05)


@pytest.mark.parametrize("lost", [(-1, 1), (0, 2), (2, 4), (4, 6), (-5, -2)])
def test_the_error_tells_what_is_lost_with_the_core_of_a_line(bright, lost):
    light, spectra = bright.light, bright.make(snr=2000.0, emission=-0.3)
    order = int(np.argmin(np.abs(light.wavelengths.vacuum_angstrom[0, :, 2048] - 5891.6)))
    seen = 5891.583 * (1 + light.rv_ms / LIGHT_MS) / (1 + light.barycentric.berv_ms / LIGHT_MS)
    core = int(np.argmin(np.abs(light.wavelengths.vacuum_angstrom[0, order] - seen)))
    quality = spectra.quality.copy()
    quality[0, order, core + lost[0] : core + lost[1]] |= np.uint8(Pixel.SATURATED)
    whole, holed = (
        activity.measure_bands(
            replace(spectra, quality=q), light.wavelengths, 0, light.rv_ms, light.barycentric.berv_ms
        )[3]
        for q in (spectra.quality, quality)
    )  # fmt: skip
    assert abs(holed.value - whole.value) < 2.5 * holed.error
    assert holed.error < 0.1 * whole.value


@given(
    center=st.floats(5.0, 15.0), width=st.floats(0.3, 4.0), triangular=st.booleans(), missing=st.integers(30, 170),
    slope=st.floats(-1, 1),
)  # fmt: skip
def test_the_mean_of_a_band_of_light_that_rises_evenly_is_that_of_its_center(center, width, triangular, missing, slope):
    wavelength = np.linspace(0.0, 20.0, 201)[None]
    good = np.arange(201) != missing
    weights = activity.band_weights(ccf.pixel_edges(wavelength)[0], good, center, width, triangular)
    assert weights.sum() == pytest.approx(1.0)
    assert weights[missing] == 0.0
    # a pixel is a tenth: its light stands at its middle, the weight of a cut pixel does not
    assert weights @ (1 + slope * wavelength[0]) == pytest.approx(1 + slope * center, abs=0.03 * abs(slope) + 1e-9)


def test_a_band_beyond_the_order_has_no_weights():
    edges = ccf.pixel_edges(np.linspace(0.0, 20.0, 201)[None])[0]
    assert activity.band_weights(edges, np.ones(201, bool), 19.9, 1.0) is None


def test_the_ratio_of_two_orders_is_that_of_their_lamps_within_its_error():
    rng = np.random.default_rng(4)
    wavelength = np.linspace([5000.0, 5030.0], [5060.0, 5090.0], 2000, axis=1)
    blaze = np.sinc((np.arange(2000) - 1000) / 1400)[None] ** 2
    star, pulls = 1 - 0.5 * np.exp(-0.5 * ((wavelength - 5045) / 0.2) ** 2), []
    for _ in range(60):
        level = np.array([[900.0], [300.0]])
        variance = level * star / blaze + 50 / blaze**2
        flux = level * star + np.sqrt(variance) * rng.standard_normal(star.shape)
        good = np.broadcast_to(blaze > 0.05, star.shape)
        orders = [(flux[i], variance[i], good[i], wavelength[i], blaze[0]) for i in range(2)]
        ln_ratio, error = activity.brightness_ratio(*orders)
        pulls.append((ln_ratio - np.log(3.0)) / error)
    assert np.std(pulls) == pytest.approx(1.0, abs=0.3)
    assert abs(np.mean(pulls)) < 0.4


def test_the_chromatic_index_is_the_slope_with_its_error():
    rng = np.random.default_rng(5)
    wavelength = np.linspace(4000.0, 8000.0, 60)
    error_ms = rng.uniform(5.0, 30.0, 60)
    pulls = []
    for _ in range(100):
        rv_ms = 1000.0 - 40.0 * np.log(wavelength / 5500.0) + error_ms * rng.standard_normal(60)
        rv_ms[7] = np.nan
        index = activity.chromatic(rv_ms, error_ms, wavelength)
        pulls.append((index.value + 40.0) / index.error)
    assert np.std(pulls) == pytest.approx(1.0, abs=0.2)
    assert abs(np.mean(pulls)) < 0.3
    assert activity.chromatic(rv_ms[:9], error_ms[:9], wavelength[:9]).reason == "too few orders have a velocity"


@pytest.mark.slow
def test_velocities_that_change_with_color_are_found_in_the_orders_of_a_spectrum(starlight):
    masks, light = {"K2": data.stellar_lines("K2")}, starlight("K2", snr=100.0)
    found = []
    for slope_ms in (0.0, 80.0):
        wavelength = light.wavelengths.vacuum_angstrom
        colored = wavelength * (1 + slope_ms * np.log(wavelength / 5500.0) / LIGHT_MS)
        scale = replace(light.wavelengths, vacuum_angstrom=colored)
        one = measurement.measure(light.spectra, scale, 0, light.star, masks, data.tellurics(), light.barycentric)
        found.append(
            next(index for index in activity.measure_all(one, light.spectra, scale) if index.name == "chromatic")
        )
    assert found[1].value - found[0].value == pytest.approx(80.0, abs=5.0)
    assert found[1].error < 80.0


@pytest.mark.slow
def test_the_width_of_the_lines_stands_beside_the_other_indices_where_there_is_a_template(starlight):
    light, masks = starlight("K2", snr=60.0), {"K2": data.stellar_lines("K2")}
    one = measurement.measure(light.spectra, light.wavelengths, 0, light.star, masks, None, light.barycentric)
    without = activity.measure_all(one, light.spectra, light.wavelengths)[-1]
    assert (without.name, without.reason, without.unit) == ("dlw", "no template", "m2/s2")
    nothing = np.zeros(len(one.orders))
    second = TemplateVelocity(
        "HD1", "", True, 9, one.rv_ms, 1.0, 1.0, 0.0, 1.0, OrderVelocities(nothing, nothing, nothing),
        width_change_m2_s2=4e4, width_change_error_m2_s2=5e3,
    )  # fmt: skip
    wide = activity.measure_all(replace(one, template=second), light.spectra, light.wavelengths)[-1]
    assert (wide.value, wide.error, wide.reason) == (4e4, 5e3, "")
