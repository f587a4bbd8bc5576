"""Joined orders, compared with the spectrum, the lamp and the noise that were put in."""

import numpy as np
import pytest

from nrespipe.engine.spectrum import stitching
from nrespipe.frames.spectra import Spectra
from nrespipe.frames.wavelength import Drift, LineShape, Wavelengths

ORDERS, N = np.arange(88, 98), 4096
BERV_MS = 21000.0


def star(angstrom):
    """Return a spectrum of lines 0.5 deep, and 1 between them."""
    distance = np.remainder(angstrom, 1.7) - 0.85
    return 1 - 0.5 * np.exp(-0.5 * (distance / 0.08) ** 2)


def lamp(angstrom):
    """Return the lamp, a smooth continuum [electron / second / angstrom]."""
    return 9e4 * np.exp((angstrom - 5000) / 400)


@pytest.fixture(scope="module")
def made():
    """Return a function that makes spectra of a brightness, their noise-free twin, and the wavelengths."""
    x = np.linspace(-1, 1, N)
    angstrom = 470000.0 / ORDERS[:, None] * (1 + 0.0075 * x)
    wide = np.gradient(angstrom, axis=1)
    # the response differs from order to order, and within it: lamp and star have it in common
    blaze = np.sinc(0.6 * x) ** 2 * np.linspace(0.7, 1.3, len(ORDERS))[:, None]
    of_lamp = lamp(angstrom) * wide * blaze
    peak = of_lamp.max(axis=1)
    lines = LineShape((0,), ORDERS, np.ones((1, *angstrom.shape)), np.zeros(1), np.zeros(1), np.ones((1, 1, 1)))
    unmeasured = Drift(0.0, np.inf, 0.0, np.inf, 0.0, np.inf, 0)
    wavelengths = Wavelengths((0,), ORDERS, angstrom[None], np.ones(1), unmeasured, lines)
    shown = star(angstrom * (1 + BERV_MS / 299792458.0))

    def made(electrons, seed=None, read_noise=10.0):
        light = electrons / 2000 * of_lamp * shown
        noise = np.sqrt(light + read_noise**2)
        seen = light if seed is None else light + noise * np.random.default_rng(seed).standard_normal(light.shape)
        quality = np.zeros(light.shape, np.uint8)
        quality[3, 2040:2050] = 1
        # an extracted variance contains the noise of its own pixel
        variance = np.maximum(seen, 0) + read_noise**2
        parts = seen, variance, quality, of_lamp / peak[:, None]
        return Spectra((0,), ORDERS, *(part[None] for part in parts), lamp_e_per_s=peak[None]), wavelengths

    return made


@pytest.mark.parametrize("electrons", [100.0, 3000.0])
def test_errors_of_flux_and_of_normalized_flux_are_the_scatter_about_the_noise_free_spectrum(made, electrons):
    still = stitching.stitch(*made(electrons), 0, BERV_MS)
    pulls = []
    for seed in range(4):
        noisy = stitching.stitch(*made(electrons, seed), 0, BERV_MS)
        pulls.append((noisy.flux - still.flux) / np.sqrt(noisy.variance))
        own = (noisy.normalized - star(noisy.vacuum_angstrom)) / np.sqrt(noisy.normalized_variance)
        assert np.nanstd(own) == pytest.approx(1, abs=0.05)
        assert abs(np.nanmean(own)) < 0.15
    assert np.nanstd(pulls) == pytest.approx(1, abs=0.03)


def test_orders_join_on_the_spectrum_that_was_put_in(made):
    joined = stitching.stitch(*made(3000.0, seed=9), 0, BERV_MS)
    truth = star(joined.vacuum_angstrom)
    seen = np.isfinite(joined.normalized)
    assert abs(np.median(joined.normalized[seen] / truth[seen]) - 1) < 0.005
    level = joined.flux[seen] / truth[seen] / (lamp(joined.vacuum_angstrom[seen]) * joined.vacuum_angstrom[seen])
    between = truth[seen] > 0.999
    # the response was smooth over the orders, and so is what remains of it
    slope = np.polynomial.Polynomial.fit(joined.vacuum_angstrom[seen][between], np.log(level[between]), 6)
    left = np.log(level[between]) - slope(joined.vacuum_angstrom[seen][between])
    error = np.sqrt(joined.variance[seen] / joined.flux[seen] ** 2)[between]
    assert np.std(left / error) == pytest.approx(1, abs=0.05)
    pieces = [np.median(piece) for piece in np.array_split(left, 60)]
    assert np.max(np.abs(pieces)) < 0.003


def test_the_bins_of_all_spectra_coincide_and_a_gap_stays_a_gap(made):
    one, other = (stitching.stitch(*made(3000.0), 0, berv_ms) for berv_ms in (BERV_MS, -BERV_MS))
    steps = np.log(other.vacuum_angstrom[0] / one.vacuum_angstrom[0]) * 299792458.0 / stitching.STEP_MS
    assert steps == pytest.approx(round(steps), abs=1e-6)
    assert np.log(one.vacuum_angstrom[1] / one.vacuum_angstrom[0]) * 299792458.0 == pytest.approx(stitching.STEP_MS)
    gap = np.isnan(one.flux)
    assert gap.any()
    assert not np.isfinite(one.variance[gap]).any()


def test_a_fiber_without_light_has_nothing_to_join(made):
    spectra, wavelengths = made(3000.0)
    dark = Spectra((0,), ORDERS, spectra.flux * np.nan, spectra.variance * np.nan, spectra.quality, spectra.blaze)
    assert not stitching.has_light(dark, wavelengths, 0)
    with pytest.raises(ValueError, match="no light in any order"):
        stitching.stitch(dark, wavelengths, 0, 0.0)
