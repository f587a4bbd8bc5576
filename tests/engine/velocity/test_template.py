"""Templates of a small spectrograph whose star is a closed form."""

from dataclasses import replace

import numpy as np
import pytest

from nrespipe.engine.spectrum.order_spectra import OrderSpectra
from nrespipe.engine.velocity import template, template_fit
from nrespipe.engine.velocity.template import Exposure
from nrespipe.frames.star import Star
from nrespipe.frames.template import Template
from nrespipe.frames.velocity import Tellurics

C_MS = 299792458.0
STAR = Star("HD1", teff_k=5700.0, aliases=("Alpha One",))
NUMBERS = np.arange(90, 96)
X = np.arange(1200.0)
#: pixels of 1.5 km/s that grow by a quarter along the order
LN_WAVELENGTH = np.log(5e5 / NUMBERS)[:, None] + 5e-6 * X * (1 + 1e-4 * X)
RNG = np.random.default_rng(1)
LINES = np.sort(RNG.uniform(LN_WAVELENGTH.min() - 1e-3, LN_WAVELENGTH.max() + 1e-3, 900))
DEPTHS = RNG.uniform(0.02, 0.7, len(LINES))
WIDTH = 1.2e-5


def spectrum(ln_rest):
    """Light of the star at rest."""
    flux = np.ones(ln_rest.shape)
    for line, depth in zip(LINES, DEPTHS):
        near = np.abs(ln_rest - line) < 6 * WIDTH
        flux[near] *= 1 - depth * np.exp(-0.5 * ((ln_rest[near] - line) / WIDTH) ** 2)
    return flux


def exposure(rv_ms=0.0, berv_ms=0.0, snr=None, seed=0, guess_ms=None):
    """Expose the star; without noise unless told, at a color that differs from exposure to exposure."""
    ln_rest = LN_WAVELENGTH + np.log1p(berv_ms / C_MS) - np.log1p(rv_ms / C_MS)
    rng, signal = np.random.default_rng([seed, 7]), 1.0 if snr is None else snr**2
    level = signal * (1 + 0.2 * np.sin(seed) * (X / 1200 - 0.5) * np.ones((len(NUMBERS), 1)))
    flux = level * spectrum(ln_rest)
    variance = flux.copy() if snr is not None else np.full(flux.shape, 1e-4)
    if snr is not None:
        flux = flux + np.sqrt(variance) * rng.standard_normal(flux.shape)
    order_spectra = OrderSpectra(flux, variance, np.ones(flux.shape, bool), np.exp(LN_WAVELENGTH), level * 1.02)
    return Exposure(
        order_spectra, NUMBERS, rv_ms if guess_ms is None else guess_ms, berv_ms, f"frame{seed}", 58000.0 + seed
    )


def series(n, snr, seed=0, error_ms=8.0):
    """Expose the star while the Earth moves and the star swings; first velocities are off by `error_ms`."""
    rng = np.random.default_rng([seed, 9])
    truth = 20.0 * np.sin(np.arange(n)) + 3000.0
    bervs = rng.uniform(-25e3, 25e3, n)
    guesses = truth + error_ms * rng.standard_normal(n)
    return truth, [exposure(v, b, snr, seed * 100 + i, g) for i, (v, b, g) in enumerate(zip(truth, bervs, guesses))]


@pytest.fixture(scope="module")
def quiet():
    """A template of sixteen exposures without noise."""
    bervs = np.linspace(-28e3, 28e3, 16)
    return template.build([exposure(0.0, b, seed=i) for i, b in enumerate(bervs)], STAR)


def test_one_spectrum_makes_no_template_and_the_message_says_how_many_it_takes():
    with pytest.raises(ValueError, match="at least two spectra of its star, there are 1"):
        template.build([exposure()], STAR)


def test_two_spectra_make_a_template_that_is_not_trusted_and_eight_at_one_place_neither():
    assert not template.build([exposure(seed=i, snr=80.0) for i in range(2)], STAR, rounds=1).trusted
    assert not template.build([exposure(seed=i, snr=80.0) for i in range(8)], STAR, rounds=1).trusted
    assert template.build(series(8, 80.0)[1], STAR, rounds=1).trusted


def test_the_template_is_the_star_at_rest(quiet):
    known = np.isfinite(quiet.flux)
    truth = spectrum(np.log(np.where(known, quiet.vacuum_angstrom, 5000.0)))
    for row, flux, inside in zip(truth, quiet.flux, known):
        ratio = flux[inside][10:-10] / row[inside][10:-10]
        # the level is that of the exposures, 2 percent off, and bends with their color
        assert np.std(ratio) < 0.02
    assert quiet.berv_range_ms == pytest.approx(56e3)
    assert quiet.inputs == tuple(sorted(f"frame{i}" for i in range(16)))


def test_a_star_does_not_move_with_the_earth(quiet):
    found = [
        template_fit.fit(exposure(100.0, b, seed=3).spectrum, NUMBERS, quiet, 60.0, b).rv_ms
        for b in (-29e3, -17.3e3, -4e3, 77.0, 9.9e3, 23.1e3)
    ]
    np.testing.assert_allclose(found, 100.0, atol=0.6)


def test_the_variance_of_a_template_is_that_of_its_noise():
    truth, exposures = series(9, 25.0)
    noisy = template.build([replace(e, rv_ms=t) for e, t in zip(exposures, truth)], STAR)
    pulls = []
    for number in NUMBERS:
        row = np.flatnonzero(noisy.orders == number)[0]
        inside = slice(70, int(np.isfinite(noisy.flux[row]).sum()) - 70)
        light = spectrum(np.log(noisy.vacuum_angstrom[row, inside]))
        ratio = noisy.flux[row, inside] / light
        smooth = np.polynomial.Polynomial.fit(np.arange(len(ratio)), ratio, 5)(np.arange(len(ratio)))
        pulls.append((ratio / smooth - 1) * light / np.sqrt(noisy.variance[row, inside]))
    assert np.std(np.concatenate(pulls)) == pytest.approx(1.0, abs=0.12)


@pytest.mark.slow
def test_errors_of_velocities_without_their_own_noise_are_their_scatter():
    pulls = []
    for seed in range(3):
        truth, exposures = series(10, 60.0, seed)
        found = template.leave_one_out(exposures, STAR)
        off = np.array([f.rv_ms for f in found]) - truth
        pulls.append((off - off.mean()) / [f.photon_error_ms for f in found] / np.sqrt(0.9))
        assert np.mean([f.order_chi2 for f in found]) == pytest.approx(1.0, abs=0.5)
    # 27 degrees of freedom know a standard deviation to 14 percent
    assert np.std(np.concatenate(pulls)) == pytest.approx(1.0, abs=0.35)


def test_a_template_tells_the_velocity_of_each_exposure_by_all_the_others():
    truth, exposures = series(5, 60.0, 4)
    made = template.build(exposures[::-1], STAR, leave_out=True)
    assert [one.name for one in made.left_out] == list(made.inputs)
    fits = template.leave_one_out(exposures, STAR)
    # the first exposure lays the knots
    np.testing.assert_allclose([one.rv_ms for one in made.left_out], [fit.rv_ms for fit in fits], atol=1.5)
    off = np.array([one.rv_ms for one in made.left_out]) - truth
    assert np.all(np.abs(off - off.mean()) < 4 * np.array([one.error_ms for one in made.left_out]))
    assert template.build(exposures[:2], STAR, leave_out=True).left_out == ()


def test_the_error_is_the_photon_limit_and_what_the_template_adds(quiet):
    light = exposure(0.0, 5e3, snr=100.0)
    found = template_fit.fit(light.spectrum, NUMBERS, quiet, 0.0, 5e3)
    _, slope, _ = template_fit.expected(light.spectrum, NUMBERS, quiet, 0.0, 5e3)
    level = light.spectrum.continuum
    limit = np.sum((level * slope)[found.used] ** 2 / light.spectrum.variance[found.used]) ** -0.5
    assert found.photon_error_ms == pytest.approx(limit, rel=0.06)
    assert found.error_ms == pytest.approx(np.hypot(found.photon_error_ms, found.mismatch_ms))


def test_hits_in_the_exposures_leave_no_mark_on_the_template():
    _, exposures = series(8, 100.0, error_ms=0.0)
    flux = exposures[3].spectrum.flux.copy()
    flux[2, 500:503] += 1e4
    hit = [*exposures[:3], replace(exposures[3], spectrum=replace(exposures[3].spectrum, flux=flux)), *exposures[4:]]
    clean, marked = (template.build(e, STAR) for e in (exposures, hit))
    known = np.isfinite(clean.flux) & np.isfinite(marked.flux)
    assert np.max(np.abs(clean.flux - marked.flux)[known] / np.sqrt(clean.variance[known])) < 3


def moved(light, by_order_ms):
    """Give the orders of a spectrum velocities of their own."""
    factors = 1 + np.asarray(by_order_ms)[:, None] / C_MS
    return replace(light, wavelength=light.wavelength * factors)


def test_an_order_that_has_moved_does_not_move_the_velocity(quiet):
    changes, weights = [], []
    for seed in range(5):
        light = exposure(0.0, 5e3, snr=200.0, seed=seed).spectrum
        good = template_fit.fit(light, NUMBERS, quiet, 0.0, 5e3)
        bad = template_fit.fit(moved(light, [0, 0, 0, 100.0, 0, 0]), NUMBERS, quiet, 0.0, 5e3)
        assert bad.by_order.rv_ms[3] > bad.rv_ms + 10 * bad.by_order.error_ms[3]
        assert abs(bad.rv_ms) < 3 * bad.error_ms
        changes.append(abs(bad.rv_ms - good.rv_ms) / good.photon_error_ms)
        weights.append(bad.by_order.weight[3] / good.by_order.weight[3])
    # its full weight would move the mean by a sixth of its distance, eleven errors
    assert np.median(changes) < 1
    assert np.median(weights) < 0.1


def test_a_trail_over_half_an_order_does_not_move_the_velocity(quiet):
    light = exposure(0.0, 5e3, snr=100.0).spectrum
    good = template_fit.fit(light, NUMBERS, quiet, 0.0, 5e3)
    flux = light.flux.copy()
    flux[2, 300:900] *= 1 + 0.02 * np.sin(np.arange(600) / 4.0)
    trailed = template_fit.fit(replace(light, flux=flux), NUMBERS, quiet, 0.0, 5e3)
    assert abs(trailed.rv_ms - good.rv_ms) < good.photon_error_ms


def test_orders_that_all_disagree_are_told_and_their_scatter_is_the_error(quiet):
    light = exposure(0.0, 5e3, snr=200.0).spectrum
    rng, pulls, told = np.random.default_rng(8), [], []
    for _ in range(30):
        bad = template_fit.fit(moved(light, 40.0 * rng.standard_normal(6)), NUMBERS, quiet, 0.0, 5e3)
        told.append(bad.order_chi2)
        pulls.append(bad.rv_ms / bad.error_ms)
        assert bad.error_ms > 2 * bad.photon_error_ms
    assert np.min(told) > 5
    # the scatter of six orders is known to a third, so that pulls have the wings of Student's distribution: 1.3 rms
    assert np.sqrt(np.mean(np.square(pulls))) == pytest.approx(1.3, abs=0.4)


def other_star(seed, berv_ms, snr=200.0):
    """Expose a star of the same type: depths that differ by a seventh, faint lines that the first one has not."""
    rng = np.random.default_rng([seed, 31])
    ln_rest = LN_WAVELENGTH + np.log1p(berv_ms / C_MS)
    flux = np.ones(ln_rest.shape)
    lines = np.append(LINES, rng.uniform(LINES.min(), LINES.max(), 600))
    depths = np.append(DEPTHS * (1 + 0.15 * rng.standard_normal(len(DEPTHS))), rng.exponential(0.02, 600))
    for line, depth in zip(lines, np.clip(depths, 0, 0.95)):
        near = np.abs(ln_rest - line) < 6 * WIDTH
        flux[near] *= 1 - depth * np.exp(-0.5 * ((ln_rest[near] - line) / WIDTH) ** 2)
    variance = snr**2 * flux
    flux = variance + np.sqrt(variance) * rng.standard_normal(flux.shape)
    return OrderSpectra(flux, variance, np.ones(flux.shape, bool), np.exp(LN_WAVELENGTH), np.full(flux.shape, snr**2))


@pytest.mark.parametrize("snr", [40.0, 200.0])
@pytest.mark.slow
def test_the_error_by_a_borrowed_template_covers_what_the_other_star_does_differently(quiet, snr):
    fits = [template_fit.fit(other_star(seed, 5e3, snr), NUMBERS, quiet, 0.0, 5e3) for seed in range(24)]
    off_ms = np.array([fit.rv_ms for fit in fits])
    if snr > 100:
        assert np.std(off_ms) > 2 * np.mean([fit.photon_error_ms for fit in fits])
    # 24 draws know a standard deviation to 15 percent
    assert np.std(off_ms / [fit.error_ms for fit in fits]) == pytest.approx(1.0, abs=0.35)


def test_the_atmosphere_is_left_out_of_the_same_pixels_the_whole_year(quiet):
    band = Tellurics(np.array([5378.0]), np.array([5378.5]))
    rest = []
    for berv_ms in (-20e3, 20e3):
        light = exposure(0.0, berv_ms).spectrum
        used = template_fit.fit(light, NUMBERS, quiet, 0.0, berv_ms, tellurics=band).used
        rest.append(np.sort((light.wavelength * (1 + berv_ms / C_MS))[used]))
    for side in (5376, 5380):
        gap = [np.min(r[r > 5378.2]) if side > 5378 else np.max(r[r < 5378.2]) for r in rest]
        assert gap[0] == pytest.approx(gap[1], abs=0.03)
        assert abs(gap[0] - 5378.25) > 0.5


def test_a_spectrum_beside_the_template_is_refused(quiet):
    light = exposure()
    with pytest.raises(ValueError, match="no usable pixel falls on the template of HD1"):
        template_fit.fit(light.spectrum, NUMBERS + 20, quiet, 0.0)


def made(name, n=9, teff_k=None, site="lsc", berv_range_ms=2e4, logg=None):
    angstrom, one = np.full((1, 2), 5000.0) + np.arange(2), np.ones((1, 2))
    star = Star(name, teff_k=teff_k, logg=logg)
    inputs = tuple(f"{name}{i}" for i in range(n))
    return Template(
        star, np.array([90]), angstrom, one, one, 0.0, site, "nres01", (0,), 1.0, 2.0, berv_range_ms, inputs
    )


def test_a_template_of_the_star_itself_comes_first_even_a_young_one():
    own, other = made("alpha one", n=3), made("HD2", teff_k=5700.0)
    assert template.choose([other, own], STAR) is own


@pytest.mark.parametrize("name", ["HD 010700", "hd-10700", "HD10700_templ", "tau. Cet", "* tau Cet"])
def test_a_template_of_the_star_itself_is_known_however_its_name_is_spelled(name):
    star, one = Star("HD10700", aliases=("TAU CET",)), made(name)
    assert template.choose([made("HD1070", teff_k=5300.0), one], star) is one


def test_the_catalog_may_name_the_star_of_a_template_in_any_spelling():
    one = made("HD 010700")
    assert template.choose([made("HD2"), one], Star("HD3", template="hd10700")) is one


def test_of_several_of_the_star_a_trusted_one_of_the_site_is_chosen():
    young, far, near = made("HD1", n=3), made("HD1", site="elp"), made("HD1")
    assert template.choose([young, far, near], STAR, site="lsc") is near
    assert template.choose([young, far], STAR, site="lsc") is far


def test_else_the_nearest_type_serves_if_it_is_trusted_and_near():
    cool, warm, young = made("HD3", teff_k=5500.0), made("HD2", teff_k=5790.0), made("HD4", n=7, teff_k=5700.0)
    assert template.choose([cool, warm, young], STAR) is warm
    assert template.choose([made("HD5", teff_k=4900.0), young], STAR) is None
    giant = made("HD6", teff_k=5700.0, logg=2.5)
    assert template.choose([giant], replace(STAR, logg=4.4)) is None
    assert template.choose([warm], Star("unknown")) is None


def test_the_catalog_may_name_the_star_whose_template_serves():
    named, nearest = made("HD7", teff_k=6200.0), made("HD2", teff_k=5700.0)
    assert template.choose([named, nearest], replace(STAR, template="hd 7")) is named
    assert template.choose([nearest], replace(STAR, template="hd 7")) is nearest


def test_the_fingerprint_tells_two_templates_apart():
    one, same, other = made("HD1"), made("HD1"), made("HD1")
    other = replace(other, flux=other.flux * 1.0001)
    assert one.fingerprint == same.fingerprint != other.fingerprint
    assert len(one.fingerprint) == 12
