"""Velocities of spectra as other spectrographs and their pipelines hand them over, whole or broken."""

import warnings
from dataclasses import replace

import numpy as np
import pytest
from astropy import units as u

from nrespipe import data
from nrespipe.engine.spectrum.order_spectra import OrderSpectra
from nrespipe.engine.velocity import template, velocity_of_arrays
from nrespipe.frames.star import Star
from nrespipe.frames.velocity import LineMask

C_MS = 299792458.0
RV_MS, BERV_MS = 12345.0, 8000.0
#: A star with a list of lines of nobody's but its own.
_rng = np.random.default_rng(3)
MASK = LineMask("own", 5000.0, np.sort(_rng.uniform(4400, 6800, 4000)), np.clip(_rng.beta(0.8, 2.0, 4000), 0.02, 0.95))
#: Lines of a hot star, few and shallow.
HOT = data.stellar_lines("F5")


@pytest.fixture(autouse=True)
def _no_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def scale(n_orders=8, n_pixels=2048, resolution=60000, start=5000.0):
    """Wavelengths with 2.8 pixels to a width, orders that overlap by a tenth."""
    rows = []
    for _ in range(n_orders):
        rows.append(start * np.exp(np.arange(n_pixels) / (2.8 * resolution)))
        start = rows[-1][-1] - 0.1 * np.ptp(rows[-1])
    return np.array(rows)


def spectrum(wavelength, rv_ms=RV_MS, berv_ms=BERV_MS, mask=MASK, vsini_ms=0.0, resolution=60000):
    """Light of a star relative to its continuum: optical depths, rotation, instrument, on four samples a pixel."""
    rows = []
    for row in wavelength:
        step = np.median(np.diff(np.log(row))) / 4
        place = np.arange(np.log(row[0]) - 0.003, np.log(row[-1]) + 0.003, step)
        centers = np.log(mask.vacuum_angstrom * (1 + rv_ms / C_MS) / (1 + berv_ms / C_MS))
        tau, width = np.zeros(len(place)), 2500.0 / C_MS
        for center, depth in zip(centers, mask.depth):
            near = slice(*np.searchsorted(place, [center - 6 * width, center + 6 * width]))
            tau[near] -= np.log(1 - depth) * np.exp(-0.5 * ((place[near] - center) / width) ** 2)
        light, reach = np.exp(-tau), int(5 / resolution / step)
        kernels = [np.exp(-0.5 * (np.arange(-reach, reach + 1) * step * resolution * 2.3548) ** 2)]
        if vsini_ms:
            x = np.arange(-int(vsini_ms / C_MS / step), int(vsini_ms / C_MS / step) + 1) * step * C_MS / vsini_ms
            kernels.append(0.8 * np.sqrt(1 - x**2) + 0.3 * np.pi * (1 - x**2))
        for kernel in kernels:
            light = np.convolve(light, kernel / kernel.sum(), "same")
        rows.append(np.interp(np.log(row), place, np.convolve(light, np.full(4, 0.25), "same")))
    return np.array(rows)


def seen(light, snr=100.0, seed=1):
    """Flux and variance with noise of photons and of a detector."""
    variance = snr**2 * light + 9.0
    return snr**2 * light + np.sqrt(variance) * np.random.default_rng(seed).standard_normal(light.shape), variance


WAVELENGTH = scale()
LIGHT = spectrum(WAVELENGTH)
FLUX, VARIANCE = seen(LIGHT)


def velocity(wavelength=WAVELENGTH, flux=FLUX, variance=VARIANCE, reference=MASK, **options):
    return velocity_of_arrays.velocity(wavelength, flux, variance, reference, **{"berv_ms": BERV_MS, **options})


def gaussian(wavelength=WAVELENGTH, flux=FLUX, variance=VARIANCE, mask=MASK, velocity_ms=RV_MS, **options):
    return velocity_of_arrays.gaussian(wavelength, flux, variance, mask, velocity_ms, **{"berv_ms": BERV_MS, **options})


def assert_true(found, rv_ms=RV_MS, errors=4.0):
    assert abs(found.rv_ms - rv_ms) < errors * np.hypot(found.error_ms, np.nan_to_num(found.mask_error_ms)), found.rv_ms


@pytest.mark.parametrize(("vsini_ms", "snr"), [(45e3, 20.0), (60e3, 20.0), (100e3, 100.0), (150e3, 100.0)])
@pytest.mark.slow
def test_a_star_that_rotates_with_a_hundred_km_s_is_where_it_is(vsini_ms, snr):
    wavelength = scale(20, start=4400.0)
    flux, variance = seen(spectrum(wavelength, mask=HOT, vsini_ms=vsini_ms), snr, seed=7)
    found = velocity_of_arrays.velocity(wavelength, flux, variance, HOT, berv_ms=BERV_MS, velocity_ms=14e3)
    assert_true(found)
    assert 1.2 * vsini_ms < found.fwhm_ms < 1.8 * vsini_ms


@pytest.mark.parametrize("guess_ms", [212e3, -90e3])
@pytest.mark.slow
def test_a_first_guess_where_no_lines_are_is_refused(guess_ms):
    with pytest.raises(ValueError, match="mask own does not resemble the spectrum near"):
        velocity(velocity_ms=guess_ms)


@pytest.mark.slow
def test_a_spectrum_without_lines_or_with_lines_in_emission_is_refused():
    for light in (np.ones(LIGHT.shape), 2 - LIGHT):
        flux, variance = seen(light)
        with pytest.raises(ValueError, match="finds no lines in the spectrum"):
            velocity(flux=flux, variance=variance)
        with pytest.raises(ValueError, match=r"does not resemble the spectrum near 12\.0 km/s"):
            velocity(flux=flux, variance=variance, velocity_ms=12e3)


def test_pixels_that_a_masked_array_hides_are_left_out():
    broken, hidden = FLUX.copy(), np.zeros(FLUX.shape, bool)
    hidden[:, 900:1000] = True
    broken[hidden] = 1e9
    for measure in (velocity, gaussian):
        clean = measure(flux=np.where(hidden, np.nan, FLUX))
        assert measure(flux=np.ma.masked_array(broken, hidden)).rv_ms == clean.rv_ms
        assert measure(variance=np.ma.masked_array(VARIANCE, hidden)).rv_ms == clean.rv_ms


def test_a_quantity_counts_with_its_unit():
    expected, guess = velocity(velocity_ms=12e3), 12 * u.km / u.s
    found = velocity(WAVELENGTH / 10 * u.nm, FLUX * u.electron, berv_ms=8 * u.km / u.s, velocity_ms=guess)
    assert found.rv_ms == pytest.approx(expected.rv_ms, abs=0.1)
    found = gaussian(WAVELENGTH / 10 * u.nm, velocity_ms=12.345 * u.km / u.s)
    assert found.rv_ms == pytest.approx(gaussian().rv_ms, abs=0.1)
    with pytest.raises(ValueError, match="not convertible"):
        velocity(WAVELENGTH * u.s)


@pytest.mark.parametrize("share", [0.002, 0.01])
def test_bad_pixels_cost_the_plain_gaussian_lines_and_no_accuracy(share):
    whole = gaussian().rv_ms
    for seed in range(3):
        bad = np.random.default_rng(seed).random(FLUX.shape) < share
        for broken in (
            gaussian(flux=np.where(bad, np.nan, FLUX)),
            gaussian(variance=np.where(bad, 0.0, VARIANCE)),
            gaussian(variance=np.where(bad, np.inf, VARIANCE)),
        ):
            assert abs(broken.rv_ms - whole) < 4 * broken.error_ms
            assert broken.error_ms < 8


def test_a_peak_beyond_the_range_that_is_fitted_is_refused():
    with pytest.raises(ValueError, match=r"no dip within 14\.3 to 26\.3 km/s"):
        gaussian(velocity_ms=20345.0)


NOWHERE = np.where(np.arange(2048) < 300, np.nan, WAVELENGTH)
TWISTED = np.where(np.arange(8)[:, None] == 5, WAVELENGTH[:, ::-1], WAVELENGTH)
BACKWARDS = LineMask("back", 5000.0, MASK.vacuum_angstrom[::-1], MASK.depth[::-1])


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"berv_ms": np.nan}, "berv_ms is nan, a number in m/s is needed"),
        ({"berv_ms": None}, "berv_ms is None, a number in m/s is needed"),
        ({"velocity_ms": np.inf}, "velocity_ms is inf, a number in m/s is needed"),
        ({"wavelength": NOWHERE}, "order 0: pixel 0 has no wavelength"),
        ({"wavelength": TWISTED}, "wavelengths must increase along every order: those of order 5 fall at pixel 1"),
        ({"wavelength": [], "flux": [], "variance": []}, "there are no pixels"),
        ({"reference": "G2"}, "'G2' is no LineMask: take one, as"),
        ({"reference": BACKWARDS}, "the lines of mask back must increase"),
    ],
)
def test_what_cannot_be_used_is_named(changes, words):
    with pytest.raises(ValueError, match=words):
        velocity(**changes)
    if "reference" in changes:
        changes, words = {"mask": changes["reference"]}, words.split(":")[0]
    with pytest.raises(ValueError, match=words):
        gaussian(**changes)


@pytest.mark.parametrize(
    "changes", [{"flux": FLUX * np.nan}, {"variance": VARIANCE * 0}, {"blaze": -np.ones((8, 2048))}]
)
def test_a_spectrum_without_a_pixel_that_can_be_used_is_told_so(changes):
    with pytest.raises(ValueError, match="no order has 200 pixels that can be used"):
        velocity(**changes)


def exposures(**changes):
    """Six exposures of the star in two orders, one of them with `changes`."""
    made = []
    for seed, berv_ms in enumerate(np.linspace(-2e4, 2e4, 6)):
        flux, variance = seen(spectrum(WAVELENGTH[:2, :1500], berv_ms=berv_ms), seed=seed)
        order_spectra = OrderSpectra(
            flux, variance, np.ones(flux.shape, bool), WAVELENGTH[:2, :1500], np.full(flux.shape, 1e4)
        )
        made.append(template.Exposure(order_spectra, np.arange(2), RV_MS, berv_ms, name=f"e{seed}"))
    shape = {
        name: changes.pop(name)(getattr(made[2].spectrum, name)) for name in [*changes] if hasattr(order_spectra, name)
    }
    made[2] = replace(made[2], spectrum=replace(made[2].spectrum, **shape), **changes)
    return made


@pytest.fixture(scope="module")
def made():
    """A template of the star."""
    return template.build(exposures(), Star("star"))


def with_template(made, light=None, **options):
    light = spectrum(WAVELENGTH[:2, :1500]) if light is None else light
    return velocity_of_arrays.velocity(WAVELENGTH[:2, :1500], *seen(light, seed=9), made, berv_ms=BERV_MS, **options)


def test_lines_that_are_not_those_of_the_template_are_refused(made):
    assert_true(with_template(made))
    none = np.ones((2, 1500))
    elsewhere = spectrum(WAVELENGTH[:2, :1500], rv_ms=RV_MS + 30e3)
    assert_true(with_template(made, elsewhere, velocity_ms=42e3), RV_MS + 30e3)
    for light in (none, 2 - spectrum(WAVELENGTH[:2, :1500]), elsewhere):
        with pytest.raises(ValueError, match=r"the template of star does not resemble the spectrum near 12\.3 km/s"):
            with_template(made, light)


def test_as_many_numbers_as_orders_are_asked_for(made):
    with pytest.raises(ValueError, match="numbers must name each of the 2 orders, not 1"):
        with_template(made, numbers=[1])


@pytest.mark.parametrize("name", ["flux", "variance"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.slow
def test_a_pixel_that_is_no_number_is_no_part_of_a_template(name, value):
    broken = template.build(
        exposures(**{name: lambda array: np.where(np.arange(1500) % 50 == 0, value, array)}), Star("")
    )
    assert_true(with_template(broken))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"rv_ms": np.nan}, "exposure e2: rv_ms is nan"),
        ({"berv_ms": np.nan}, "exposure e2: berv_ms is nan"),
        ({"wavelength": lambda a: a[:, ::-1]}, "exposure e2: wavelengths must increase along every order"),
        ({"wavelength": lambda a: a * np.nan}, "exposure e2: order 0: pixel 0 has no wavelength"),
        ({"good": np.zeros_like}, "exposure e2: none of its pixels can be used"),
    ],
)
@pytest.mark.slow
def test_an_exposure_of_a_template_that_cannot_be_used_is_named(changes, words):
    with pytest.raises(ValueError, match=words):
        template.build(exposures(**changes), Star("star"))
