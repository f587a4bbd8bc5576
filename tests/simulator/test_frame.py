"""Rendered images: where the light falls, how much of it, and what real frames look like."""

import numpy as np
import pytest
from scipy.signal import find_peaks

from nrespipe import instruments
from nrespipe.doppler import C_MS
from nrespipe.frames.raw import Kind
from nrespipe.simulator import bench as benches
from nrespipe.simulator import detector, frame, lamps, lineshape, pixel_kernels, starlight, stars
from nrespipe.simulator.bench import State
from nrespipe.simulator.frame import Scene, Switches

CLEAN = Switches(
    photon_noise=False, read_noise=False, cosmics=False, scatter=False, fixed_pattern=False, response=False
)
ARC = Scene(Kind.ARC, ("none", "thar", "thar"), 600.0)


@pytest.fixture(scope="module")
def bench():
    return benches.build(instruments.load("nres03"))


def _star(name="HD102365", *, snr=100.0, rv_ms=0.0):
    target = stars.target(name)
    return stars.Target(target.star, target.spectral_type, rv_ms, 2.0, snr)


def _science(target, berv_ms=0.0):
    return Scene(Kind.SCIENCE, ("star", "thar", "none"), 600.0, {0: target}, {0: berv_ms})


@pytest.mark.slow
def test_the_centroid_of_an_isolated_line_on_the_detector_is_its_true_position_to_a_third_of_a_metre_per_second(
    bench, monkeypatch
):
    state = State(velocity_ms=120.0, shift_px=0.07, stretch_px=0.02, fiber_ms=(0.6, 0.0, -0.3), rise_px=0.04)
    wavelength = benches.wavelength(bench, 1, np.arange(100.3, 4000, 97.7), state)[30]
    monkeypatch.setattr(lamps, "thorium_argon", lambda *_: (wavelength, np.full(len(wavelength), 1e5), None))
    x = np.arange(4096)
    for fiber, sources in ((1, ("none", "thar", "none")), (2, ("none", "none", "thar"))):
        scene = Scene(Kind.ARC, sources, 600.0)
        image = frame.render(bench, scene, state, orders=[82], switches=CLEAN).electrons
        light_ = image.sum(axis=0, dtype=float)
        step_ms = C_MS * np.gradient(np.log(benches.wavelength(bench, fiber, x, state)[30]))
        for true in benches.position(bench, fiber, 82, wavelength, state):
            columns = slice(max(0, int(true) - 24), int(true) + 25)
            centroid = np.sum(light_[columns] * x[columns]) / np.sum(light_[columns])
            assert abs(centroid - true) * step_ms[int(true)] < 0.3


def test_the_light_of_a_star_agrees_with_a_plain_integral_and_moves_with_its_velocity(bench):
    order, x = 90, np.arange(1500, 1560)
    fine = np.arange(1470, 1590, 0.02)
    terms = benches.wavelength(bench, 0, fine)[order - 52]
    got, expected = [], []
    for velocity in (0.0, 100.0):
        target = _star(rv_ms=velocity)
        scene = _science(target)
        samples = frame.spectra(bench, scene, orders=[order])[0][0]
        got.append(samples[(x + pixel_kernels.PADDING) * pixel_kernels.OVERSAMPLING])
        width = np.interp(
            fine, pixel_kernels.grid(4096), lineshape.widths(bench, 0, pixel_kernels.grid(4096))[order - 52]
        )
        softness = lineshape.softness(bench, 0, fine)
        shape = pixel_kernels.pixel_shape(x[:, None] - fine, width, softness)
        source = starlight.seen(target, terms, 0.0) * starlight.transmission(terms, scene.airmass)
        source = source * lamps.planck(terms, starlight.temperature_k(target)) * np.gradient(terms)
        source = source * frame._throughput(bench, np.array([order - 52]), terms[None])[0]
        expected.append(shape @ source)
    # the plain integral leaves out the scale that sets the signal-to-noise ratio
    shift_ms = []
    for one, plain in zip(got, expected):
        scale = np.median(one / plain)
        np.testing.assert_allclose(one, scale * plain, rtol=1e-4)
        basis = np.stack([np.gradient(plain), plain], axis=1)
        columns, *_ = np.linalg.lstsq(basis, one / scale)
        shift_ms.append(columns[0] / columns[1] * 1500)
    assert np.abs(shift_ms).max() < 0.1
    # and the two differ as two velocities should
    basis = np.stack([np.gradient(got[0]), got[0], got[0] * (x - x.mean())], axis=1)
    columns, *_ = np.linalg.lstsq(basis, got[1])
    step_ms = C_MS * np.median(np.gradient(np.log(benches.wavelength(bench, 0, x)[order - 52])))
    assert -columns[0] / columns[1] * step_ms == pytest.approx(100, rel=0.05)


def test_the_signal_to_noise_ratio_is_the_one_that_was_asked_for(bench):
    for snr in (10.0, 120.0):
        truth = frame.render(bench, _science(_star(snr=snr)), orders=range(85, 96), switches=CLEAN).truth
        flux = truth.flux[0]
        reached = np.median(flux / np.sqrt(flux + 11 * bench.read_noise_e**2))
        assert reached == pytest.approx(snr, rel=0.03)


def test_the_flat_lamp_is_bright_in_the_red_and_faint_in_the_blue_but_not_dark(bench):
    flux = frame.spectra(bench, Scene(Kind.FLAT, ("tung", "tung", "none"), 60.0), orders=[60, 118])[0].max(axis=1)
    assert 150e3 < flux[0] < 400e3
    assert 100 < flux[1] < 0.02 * flux[0]


def test_peaks_of_an_arc_are_as_many_and_as_high_as_on_a_real_one(bench):
    orders = np.arange(78, 95, 2)
    noise = bench.read_noise_e * np.sqrt(17)
    rng = np.random.default_rng(1)
    first = pixel_kernels.PADDING * pixel_kernels.OVERSAMPLING
    flux = frame.spectra(bench, ARC, orders=orders)[1][:, first : first + 4096 * pixel_kernels.OVERSAMPLING : 4]
    counts, percentiles = [], []
    for one in flux:
        seen = one + rng.standard_normal(4096) * np.sqrt(one + noise**2)
        seen -= np.median(seen)
        height = seen[find_peaks(seen, height=5 * noise, distance=4)[0]]
        counts.append([np.sum(height > limit * noise) for limit in (5, 10, 50)])
        percentiles.append(np.percentile(height, (5, 25, 50, 75, 95, 100)))
    # real, three orders: 70-76, 40-52, 19-24
    np.testing.assert_allclose(np.median(counts, axis=0), (73, 46, 21.5), rtol=0.2)
    # real: 150-260, 260-470, 780-1320, 2200-3100, 18-20 thousand, 60-90 thousand
    real = np.array([200, 350, 1000, 2600, 19e3, 75e3])
    assert np.all(np.abs(np.log(np.median(percentiles, axis=0) / real)) < np.log(1.7))


def test_lines_double_in_width_along_the_order_as_on_a_real_arc(bench):
    from scipy.optimize import curve_fit
    from scipy.special import ndtr

    def gaussian(x, area, center, sigma):
        return area * (ndtr((x + 0.5 - center) / sigma) - ndtr((x - 0.5 - center) / sigma))

    offsets, found, chi2 = np.arange(-13, 14), [], []
    for place, real in zip((0.1, 0.3, 0.5, 0.7, 0.9), (2.85, 3.2, 3.6, 4.4, 5.8)):
        x = np.array([place * 4096])
        width, softness = np.median(lineshape.widths(bench, 1, x)), lineshape.softness(bench, 1, x)
        share = pixel_kernels.pixel_shape(offsets - 0.2, width, softness)
        electrons = share / share.max() * 2e4
        error = np.sqrt(electrons + 29**2)
        fit, _ = curve_fit(gaussian, offsets, electrons, (electrons.sum(), 0.2, real / 2.35), error)
        found.append(2.3548 * fit[2] / real)
        chi2.append(1 + np.sum(((electrons - gaussian(offsets, *fit)) / error) ** 2) / (len(offsets) - 3))
    np.testing.assert_allclose(found, 1, atol=0.04)
    # of a Gaussian on real bright lines: 9-40
    assert np.all((np.array(chi2) > 4) & (np.array(chi2) < 60))


@pytest.mark.slow
def test_red_argon_saturates_and_the_sodium_of_the_lamp_is_among_the_brightest_lines(bench):
    image = frame.render(bench, ARC, seed=3, switches=Switches(cosmics=False)).adu
    assert np.sum(image[:1000] > 47500) > 200
    assert np.sum(image[1600:] > 47500) < 20
    sodium = benches.position(bench, 1, 79, np.array([5891.583, 5897.558]))
    flux = frame.spectra(bench, ARC, orders=[79])[1][0]
    near = [
        flux[int((x + pixel_kernels.PADDING) * 4) - 40 : int((x + pixel_kernels.PADDING) * 4) + 40].max()
        for x in sodium
    ]
    assert min(near) > np.percentile(flux, 99.5)


def test_cosmic_rays_are_where_the_truth_says_and_nowhere_else(bench):
    dark = Scene(Kind.DARK, exposure_s=300.0)
    switches = Switches(
        photon_noise=False, read_noise=False, cosmics=True, scatter=False, fixed_pattern=False, response=False
    )
    rendered = frame.render(bench, dark, seed=8, switches=switches)
    row, column, charge = rendered.truth.cosmics.T
    row, column = row.astype(int), column.astype(int)
    assert 1000 < len(row) < 20000
    image = rendered.adu[:4096, :4095].astype(float) - np.median(rendered.adu)
    untouched = np.ones(image.shape, bool)
    untouched[row[column < 4095], column[column < 4095]] = False
    assert np.all(image[untouched] == 0)
    inside = (column < 4095) & (charge < 1e5)
    seen = image[row[inside], column[inside]] * bench.gain_e_per_adu
    np.testing.assert_allclose(seen, charge[inside], atol=bench.gain_e_per_adu)


def test_scattered_light_is_smooth_and_a_percent_or_so_of_all_light(bench):
    bright = Scene(Kind.FLAT, ("tung", "tung", "none"), 60.0)
    scattered = Switches(
        photon_noise=False, read_noise=False, cosmics=False, scatter=True, fixed_pattern=False, response=False
    )
    clean, dirty = (frame.render(bench, bright, orders=range(52, 70), switches=s) for s in (CLEAN, scattered))
    difference = dirty.electrons - clean.electrons
    assert 0.005 < difference.sum(dtype=float) / clean.electrons.sum(dtype=float) < 0.04
    assert difference.min() >= 0
    assert np.abs(np.diff(difference, axis=0)).max() < 0.02 * difference.max()
    cells = difference.reshape(64, 64, 64, 64).mean(axis=(1, 3))
    np.testing.assert_allclose(cells, dirty.truth.background, rtol=0.05, atol=0.02 * cells.max())


def test_all_light_of_a_trace_lands_on_the_detector(bench):
    rendered = frame.render(bench, _science(_star()), orders=[85], switches=CLEAN)
    sums = rendered.electrons.sum(axis=0, dtype=float)
    np.testing.assert_allclose(sums[50:-50], rendered.truth.flux[:, 0].sum(axis=0)[50:-50], rtol=2e-3, atol=3)


@pytest.mark.slow
def test_the_same_seed_makes_the_same_frame_and_another_seed_another(bench):
    scene = _science(_star())
    one, two, other = (frame.render(bench, scene, seed=seed, orders=[90]).adu for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, two)
    assert np.mean(one != other) > 0.5


def test_photons_have_the_mean_the_variance_and_the_skew_of_poisson():
    rng = np.random.default_rng(4)
    for mean in (0.3, 4.0, 24.0, 26.0, 150.0, 2e4):
        counts = detector.photons(rng, np.full((300, 1000), mean, np.float32)).astype(float)
        n = counts.size
        assert counts.mean() == pytest.approx(mean, abs=5 * np.sqrt(mean / n))
        assert counts.var() == pytest.approx(mean, rel=5 * np.sqrt((2 + 1 / mean) / n))
        skew = np.mean((counts - counts.mean()) ** 3) / counts.std() ** 3
        assert skew == pytest.approx(mean**-0.5, abs=0.05)
        assert np.all(counts == np.round(counts))


def test_blooming_keeps_the_charge_and_leaves_no_pixel_above_the_well():
    image = np.zeros((400, 3), np.float32)
    image[200, 1], image[201, 1], image[10, 2] = 10_000.0, 5000.0, 90.0
    detector.bloom(image, 100.0)
    assert image.max() <= 100.0
    assert image.sum() == pytest.approx(15_090.0)
    assert image[10, 2] == 90.0
    assert not image[:, 0].any()


def test_charge_that_blooms_is_flat_near_its_line_and_falls_off_to_both_ends():
    image = np.zeros((800, 1), np.float32)
    image[400] = 4e6
    detector.bloom(image, 185_000.0)
    for side in (image[400:, 0], image[400::-1, 0]):
        assert np.all(np.diff(side) <= 0)
        assert np.count_nonzero(side == 185_000.0) > 2
        # below a hundredth of the well only after more than the distance of two orders of the red
        assert np.count_nonzero(side > 1850) > 36
        assert side[-1] == 0


@pytest.mark.slow
@pytest.mark.parametrize(("asked", "few", "most"), [(20, 15, 23), (200, 150, 210)])
def test_as_many_lines_saturate_as_are_asked_for(bench, asked, few, most):
    scene = Scene(Kind.ARC, ("none", "thar", "none"), 600.0, saturated_lines=asked)
    image = frame.render(bench, scene, switches=Switches(cosmics=False)).adu
    wavelength, flux, _ = lamps.thorium_argon(saturated=asked)
    brightest = wavelength[np.argsort(flux)[-asked:]]
    seen = set()
    for order in bench.spectrograph.orders:
        x = benches.position(bench, 1, order, brightest)
        y = benches.row(bench, 1, np.nan_to_num(x))[order - bench.spectrograph.first_order]
        for line in np.flatnonzero((x > 5) & (x < 4090) & (y > 5) & (y < 4090)):
            r, c = round(y[line]), round(x[line])
            if image[r - 4 : r + 5, c - 2 : c + 3].max() > 47500:
                seen.add(line)
    assert few <= len(seen) <= most


def test_fewer_or_more_lines_than_can_saturate_are_refused():
    for count in (17, 401):
        with pytest.raises(ValueError, match="from 18 to 400 lines can saturate"):
            lamps.thorium_argon(saturated=count)


def test_reading_out_divides_by_the_gain_copies_the_last_column_and_leaves_a_tail_in_the_overscan(bench):
    electrons = np.full((4096, 4096), 10000.0, np.float32)
    raw = detector.read_out(np.random.default_rng(1), electrons, bench, 1000.0, fixed=False, noise=False)
    assert raw.shape == (4108, 4160)
    assert raw[5, 5] == round(1000 + 10000 / bench.gain_e_per_adu)
    np.testing.assert_array_equal(raw[:4096, 4095], raw[:4096, 4094])
    assert np.all(raw[:4096, 4110:] == 1000)
    assert np.all(raw[4096:] == 1000)
    assert raw[0, 4096] > 1000
    assert raw[0, 4102] <= 1001
