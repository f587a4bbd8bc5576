"""Velocities of stars whose velocity is known."""

from dataclasses import replace

import numpy as np
import pytest

from nrespipe import data
from nrespipe.engine.star import stellar_type
from nrespipe.engine.velocity import measurement, template
from nrespipe.frames.quality import Quality
from nrespipe.frames.star import Star
from nrespipe.frames.velocity import Barycentric
from nrespipe.simulator import extracted_stars, stars

MASKS = {name: data.stellar_lines(name) for name in data.stellar_types()}
SPARE = (data.stellar_lines("F2"),)


def absolute_error_ms(found):
    """Error of an absolute velocity: what the list of lines may do is no error of a series."""
    return np.hypot(found.error_ms, found.mask_error_ms)


def measured(light, star=None, **changes):
    spectra = replace(light.spectra, **changes) if changes else light.spectra
    return measurement.measure(
        spectra, light.wavelengths, 0, star or light.star, MASKS, data.tellurics(), light.barycentric, spare_masks=SPARE
    )  # fmt: skip


@pytest.mark.parametrize("kind", ["F5", "G2", "K5", "M0"])
@pytest.mark.slow
def test_an_absolute_velocity_is_right_within_its_error_and_ten_meters_per_second(starlight, kind):
    light = starlight(kind, rv_ms=-23456.0, snr=150.0, vsini_ms=2000.0)
    found = measured(light)
    assert found.mask == kind
    assert abs(found.rv_ms - light.rv_ms) < min(3 * absolute_error_ms(found), 15.0)
    assert absolute_error_ms(found) < 10.0


@pytest.mark.slow
def test_the_parts_of_the_error_add_up(starlight):
    found = measured(starlight())
    parts = (found.photon_error_ms, found.wavelength_error_ms, found.drift_error_ms, found.transfer_error_ms)
    assert found.error_ms == pytest.approx(np.sqrt(np.sum(np.square(parts))))
    assert found.by_order.weight.sum() == pytest.approx(1.0)
    kept = found.by_order.weight > 0
    assert np.sum(found.by_order.weight[kept] * found.by_order.rv_ms[kept]) == pytest.approx(found.rv_ms, abs=0.1)
    by_order = found.by_order.weight[kept] * found.by_order.error_ms[kept]
    assert found.photon_error_ms == pytest.approx(np.sqrt(np.sum(by_order**2)))


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


@pytest.mark.slow
def test_hits_that_are_flagged_leave_the_velocity_where_it_was(starlight):
    clean, hit = (measured(starlight("G2", snr=80.0, hits=hits)) for hits in (0.0, 0.03))
    assert abs(hit.rv_ms - clean.rv_ms) < 3 * clean.photon_error_ms * np.sqrt(0.03 * 4) + 1.0
    assert hit.photon_error_ms > clean.photon_error_ms


@pytest.mark.parametrize("kind", ["F5", "K2", "M0"])
@pytest.mark.slow
def test_a_star_of_unknown_type_gets_a_neighboring_mask_and_says_so(starlight, kind):
    light = starlight(kind, snr=60.0)
    found = measured(light, star=Star("unknown", 10.0, 10.0))
    assert abs(list(MASKS).index(found.mask) - list(MASKS).index(kind)) <= 1
    assert Quality.TYPE_GUESSED in found.quality
    assert abs(found.rv_ms - light.rv_ms) < 5 * absolute_error_ms(found)


@pytest.mark.parametrize("rv_ms", [-285e3, 240e3])
@pytest.mark.slow
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
    assert np.isnan(found.by_order.rv_ms[30])
    assert found.rv_ms == pytest.approx(whole.rv_ms, abs=2 * whole.photon_error_ms)


@pytest.mark.slow
def test_an_order_far_from_all_others_does_not_move_the_velocity(starlight):
    light = starlight("G2", snr=100.0, hits=0.0)
    whole = measured(light)
    wrong = light.wavelengths.vacuum_angstrom.copy()
    order = int(np.argmax(whole.by_order.weight))
    wrong[0, order] *= 1 + 600.0 / 299792458.0
    light.wavelengths = replace(light.wavelengths, vacuum_angstrom=wrong)
    found = measured(light)
    assert found.by_order.rv_ms[order] == pytest.approx(whole.by_order.rv_ms[order] + 600.0, abs=30.0)
    # with all of its weight it would move the mean by more than ten errors
    assert whole.by_order.weight[order] * 600.0 > 10 * whole.photon_error_ms
    assert found.rv_ms == pytest.approx(whole.rv_ms, abs=whole.photon_error_ms)


@pytest.mark.parametrize(("said", "guessed"), [("F5V", False), ("F2V", True)])
@pytest.mark.slow
def test_a_wrong_type_in_the_catalog_does_no_harm(starlight, said, guessed):
    light = starlight("G2", snr=80.0)
    found = measured(light, star=replace(light.star, spectral_type=said))
    assert found.mask in ("F5", "G2")
    assert (Quality.TYPE_GUESSED in found.quality) == guessed
    assert abs(found.rv_ms - light.rv_ms) < 4 * absolute_error_ms(found) < 60


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["G2", "M0"])
def test_a_star_that_rotates_fast_is_where_it_is(starlight, kind):
    light = starlight(kind, snr=400.0, vsini_ms=12000.0, hits=0.0, scatter=0.0, faint=0)
    found = measured(light)
    assert found.mask == kind
    # blends that were too shallow or too deep made it 20 m/s for the M0 dwarf
    assert abs(found.rv_ms - light.rv_ms) < 5
    assert found.mask_error_ms < 5


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
    teff_k = stellar_type.catalog_temperature(Star("x", spectral_type=spectral_type, teff_k=teff_k))
    assert min(MASKS.values(), key=lambda m: abs(m.teff_k - teff_k)).name == mask


def seen(bench, target, berv_ms, seed=0, spectra=None, **options):
    """Measure an extracted star of the bench."""
    spectra = spectra or extracted_stars.expose(bench, target, berv_ms, seed=seed)
    motion = Barycentric(58000.0, 2458000.5, berv_ms, True)
    return measurement.measure(
        spectra, extracted_stars.wavelengths(bench), 0, target.star, MASKS, data.tellurics(), motion,
        spare_masks=SPARE, **options,
    )  # fmt: skip


@pytest.mark.slow
def test_the_velocity_does_not_depend_on_how_bright_the_star_was(bench):
    target, means = stars.target("HD201091"), []
    for snr in (20.0, 150.0):
        noisy = extracted_stars.expose(bench, replace(target, snr=snr), 5e3, seed=3, cosmic_share=0.0)
        light = snr**2 * extracted_stars.spectrum(bench, target, 5e3)
        # noise and its opposite: what is linear in it cancels, and what it biases stays
        pair = [replace(noisy, flux=flux) for flux in (noisy.flux, 2 * light - noisy.flux)]
        means.append(np.mean([seen(bench, target, 5e3, spectra=one).rv_ms for one in pair]))
    assert abs(means[0] - means[1]) < 0.5


@pytest.fixture(scope="module")
def made(bench):
    """A template of nine exposures of one star."""
    target, exposures = stars.target("HD102365"), []
    wavelengths = extracted_stars.wavelengths(bench)
    for seed, berv_ms in enumerate(np.linspace(-24e3, 24e3, 9)):
        spectrum, numbers = measurement.prepared(
            extracted_stars.expose(bench, target, berv_ms, seed=seed), wavelengths, 0
        )
        exposures.append(template.Exposure(spectrum, numbers, target.rv_ms, berv_ms, str(seed)))
    return template.build(exposures, target.star, rounds=1, tellurics=data.tellurics())


@pytest.mark.slow
def test_where_there_is_a_template_both_velocities_are_measured_and_agree(bench, made):
    target = stars.target("HD102365")
    found = seen(bench, target, 7e3, seed=50, template=made, transfer_noise_ms=0.4)
    second = found.template
    assert abs(second.rv_ms - target.rv_ms) < 4 * second.photon_error_ms
    assert abs(found.rv_ms - target.rv_ms) < 4 * absolute_error_ms(found)
    assert 0.8 < second.photon_error_ms / found.photon_error_ms < 1.2
    assert (second.own, second.n_spectra, second.fingerprint) == (True, 9, made.fingerprint)
    doubts = Quality.ENGINES_DISAGREE | Quality.YOUNG_TEMPLATE | Quality.VELOCITY_INCONSISTENT
    assert not found.quality & doubts
    assert second.by_order.rv_ms.shape == found.by_order.rv_ms.shape
    assert second.mismatch_error_ms < second.photon_error_ms


@pytest.mark.slow
def test_a_template_of_another_star_has_an_error_of_its_own_and_casts_no_doubt_on_the_frame(bench, made):
    target = stars.target("HD126053")
    found = seen(bench, target, 7e3, seed=51, template=made, transfer_noise_ms=0.4)
    second = found.template
    assert not second.own
    assert second.mismatch_error_ms > second.photon_error_ms
    assert abs(second.rv_ms - target.rv_ms) < 4 * second.error_ms
    assert not found.quality & (Quality.ENGINES_DISAGREE | Quality.VELOCITY_INCONSISTENT)
    names = ("photon", "wavelength", "drift", "transfer", "mismatch")
    parts = [getattr(second, f"{name}_error_ms") for name in names]
    assert second.error_ms == pytest.approx(np.linalg.norm(parts))


@pytest.mark.slow
def test_velocities_that_disagree_and_templates_of_few_exposures_are_told(bench, made):
    moved = replace(made, vacuum_angstrom=made.vacuum_angstrom * (1 + 60.0 / 299792458.0))
    found = seen(bench, stars.target("HD102365"), 7e3, seed=50, template=moved)
    assert Quality.ENGINES_DISAGREE in found.quality
    young = seen(bench, stars.target("HD102365"), 7e3, seed=50, template=replace(made, inputs=made.inputs[:3]))
    assert Quality.YOUNG_TEMPLATE in young.quality
    assert Quality.ENGINES_DISAGREE not in young.quality
