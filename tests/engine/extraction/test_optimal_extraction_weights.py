"""A spectrum may not depend on the weights of its extraction, and so not on how bright its star was."""

from types import SimpleNamespace

import numpy as np
import pytest

from nrespipe.engine.extraction import line_tilt, optimal_extraction
from nrespipe.frames.image import Image
from nrespipe.frames.traces import Profile, Slant, Traces

N_ROWS, N_COLUMNS = 130, 420
X = np.arange(N_COLUMNS)
ORDERS = np.array([90, 91, 92])
LEAN, BEND = 0.03, 0.001
#: Absorption lines, their depths alternate [pixel].
LINES = np.arange(31.3, 400, 22.37)
#: Electrons of the star in a column.
LIGHT = 25_000.0


def star(x, fwhm):
    """A spectrum that does not care for pixels."""
    depth = 0.55 + 0.3 * np.cos(np.arange(len(LINES)))
    return LIGHT * (1 - sum(d * np.exp(-0.5 * ((x - at) * 2.3548 / fwhm) ** 2) for d, at in zip(depth, LINES)))


@pytest.fixture(scope="module")
def flat():
    """A skewed profile about its center of light."""
    offsets = np.arange(-10, 10.01, 0.05)
    shape = np.exp(-0.5 * np.abs(offsets / np.where(offsets < 0, 1.45, 2.2)) ** 2.3)
    shape /= shape.sum() * 0.05
    shape = np.interp(offsets + np.sum(shape * offsets) * 0.05, offsets, shape)
    traces = Traces((0,), ORDERS, np.array([[22.3, 62.6, 102.1]])[..., None] + 4 * np.linspace(-1, 1, N_COLUMNS) ** 2)
    blank, far = np.ones((N_ROWS, N_COLUMNS), np.float32), np.arange(0, 22.1, 0.25)
    table = np.tile(shape.astype(np.float32), (1, 3, 1, 1))
    middle, none = np.array([N_COLUMNS / 2]), np.zeros((2, len(far)))
    profile = Profile(offsets, middle, table, far, none, blank, np.zeros_like(blank))
    return SimpleNamespace(traces=traces, profile=profile, blaze=np.ones(traces.centers.shape), peak_e_per_s=None)


def painted(flat, fwhm, lean=LEAN, bend=BEND):
    """The image of leaning lines, without noise."""
    light = np.zeros((N_ROWS, N_COLUMNS))
    for center in flat.traces.centers[0]:
        u = np.arange(N_ROWS)[:, None] - center
        share = np.interp(u, flat.profile.offsets, flat.profile.values[0, 0, 0]) * (np.abs(u) <= 8.5)
        light += share * star(X - lean * u - bend * (u**2 - np.sum(share * u**2, axis=0)), fwhm)
    return light.astype(np.float32)


def known(flat, lean=LEAN, bend=BEND):
    blank = line_tilt.upright(flat.traces, (0,))
    of = np.zeros((2, 1, len(blank.degrees)))
    of[:, 0, 0] = lean, bend
    return Slant(blank.fibers, blank.orders, blank.n_pixels, blank.degrees, *of)


def extracted(image, flat, snr, slanting):
    """The spectrum with the weights of a frame of some signal-to-noise ratio."""
    # the light of a column falls on about seven pixels
    floor = np.full(image.shape, max((LIGHT / snr) ** 2 - LIGHT, 7.0) / 7, np.float32)
    frame = Image(image, floor, np.zeros(image.shape, np.uint8), 60.0)
    spectra = optimal_extraction.optimal(frame, flat.traces, flat, (0,), (), slanting)
    assert np.median(spectra.flux[0] / np.sqrt(spectra.variance[0])) == pytest.approx(snr, rel=0.2)
    assert len(spectra.rejected) == 0
    return spectra.flux[0]


def centroids(flux):
    """Center of the light that is missing within seven pixels of each line [pixel]."""
    result = []
    for at in LINES:
        near = np.abs(X - at) < 7
        missing = LIGHT - flux[:, near]
        result.append(np.sum(missing * (X[near] - at), axis=1) / np.sum(missing, axis=1))
    return np.array(result)


@pytest.mark.parametrize("fwhm", [2.8, 4.5])
def test_the_center_of_a_line_depends_on_the_weights_by_less_than_a_tenth_of_a_milli_pixel(flat, fwhm):
    image = painted(flat, fwhm)
    faint, bright = (centroids(extracted(image, flat, snr, known(flat))) for snr in (20, 150))
    # a milli-pixel is about 2 m/s
    assert np.abs(faint - bright).max() < 1e-4
    assert abs(np.mean(faint - bright)) < 2e-5


@pytest.mark.parametrize("fwhm", [2.8, 4.5])
def test_without_the_slant_it_depends_on_them_by_milli_pixels(flat, fwhm):
    image = painted(flat, fwhm)
    faint, bright = (centroids(extracted(image, flat, snr, None)) for snr in (20, 150))
    assert abs(np.mean(faint - bright)) > 3e-3


def test_upright_lines_do_not_depend_on_the_weights(flat):
    image = painted(flat, 3.5, 0.0, 0.0)
    faint, bright = (centroids(extracted(image, flat, snr, None)) for snr in (20, 150))
    assert np.abs(faint - bright).max() < 2e-5


@pytest.mark.parametrize("snr", [20, 150])
def test_the_center_of_a_line_is_that_of_the_center_of_its_trace(flat, snr):
    truth = centroids(np.tile(star(X, 3.5), (3, 1)))
    found = centroids(extracted(painted(flat, 3.5), flat, snr, known(flat)))
    assert np.abs(found - truth).max() < 1e-4
    assert abs(np.mean(found - truth)) < 2e-5
