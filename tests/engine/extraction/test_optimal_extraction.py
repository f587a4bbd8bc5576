import numpy as np
import pytest
from scipy.stats import chi2, norm

from nrespipe.engine.extraction import optimal_extraction
from nrespipe.frames.quality import Pixel
from nrespipe.frames.raw import Kind
from nrespipe.recipes.extraction import extract_frame
from nrespipe.simulator import bench as benches
from nrespipe.simulator import frame as frames
from nrespipe.simulator import stars

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def observed(expose, calibrations, spectrograph):
    targets = {0: stars.target("HD102365")}
    scene = frames.Scene(Kind.SCIENCE, ("star", "thar", "none"), 600.0, targets, {0: 1000.0})
    shot = expose(scene, seed=91, state=benches.State(rise_px=0.13))
    spectra, motion, *_ = extract_frame(shot.raw, calibrations, spectrograph)
    return shot.truth, spectra, motion


def test_the_shift_of_the_orders_is_found_in_the_light_of_the_frame(observed):
    _, _, motion = observed
    assert motion.shift_px == pytest.approx(0.13, abs=0.005)


def test_stellar_light_is_recovered_within_its_errors(observed):
    truth, spectra, _ = observed
    flux, variance, quality, _ = spectra.of(0)
    good = quality == 0
    assert good.mean() > 0.9
    pulls = (flux - truth.flux[0])[good] / np.sqrt(variance[good])
    assert abs(np.median(pulls)) < 0.25
    assert (np.percentile(pulls, 84) - np.percentile(pulls, 16)) / 2 == pytest.approx(1, abs=0.02)


def test_few_cosmic_rays_survive_in_the_star(observed):
    truth, spectra, _ = observed
    flux, variance, quality, _ = spectra.of(0)
    pulls = (flux - truth.flux[0]) / np.sqrt(variance)
    assert np.mean(np.abs(pulls[quality == 0]) > 7) < 3e-4
    assert 0 < np.mean(quality & np.uint8(Pixel.COSMIC) > 0) < 0.02


def test_lamp_lines_keep_their_light(observed):
    truth, spectra, _ = observed
    flux, _, quality, _ = spectra.of(1)
    bright = (truth.flux[1] > 3000) & (truth.flux[1] < 60_000) & (quality & ~np.uint8(Pixel.COSMIC) == 0)
    assert np.median(flux[bright] / truth.flux[1][bright]) == pytest.approx(1, abs=0.02)


def test_light_of_an_order_that_leaves_the_detector_is_marked(observed):
    truth, spectra, _ = observed
    quality = spectra.of(0).quality
    outside = truth.rows[0] > 704
    assert outside.any()
    assert (quality[outside] & np.uint8(Pixel.OUTSIDE) > 0).all()


def test_the_chances_of_outliers_are_those_of_the_normal_and_the_chi_square_distribution():
    rng = np.random.default_rng(4)
    excess, error, count = rng.exponential(5, 1000), rng.uniform(0.5, 2, 1000), rng.integers(0, 20, 1000)
    chi_square = rng.exponential(20, 1000)
    far = excess > 2 * error
    expected = np.where(far, norm.sf(excess / error) * chi2.sf(chi_square, np.maximum(count - 1, 1)), 1.0)
    np.testing.assert_allclose(optimal_extraction._chance(excess, error, chi_square, count), expected, rtol=1e-12)
    np.testing.assert_allclose(optimal_extraction._RUN_LIMITS, chi2.isf(1e-9, np.arange(1, 9)), rtol=1e-12)
