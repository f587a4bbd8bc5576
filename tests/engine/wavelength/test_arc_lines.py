from dataclasses import replace

import extracted_arcs
import numpy as np
import pytest

from nrespipe import instruments
from nrespipe.engine.wavelength import arc_lines
from nrespipe.frames.quality import Pixel
from nrespipe.frames.spectra import Spectra
from nrespipe.simulator import bench as benches
from nrespipe.simulator import lamps


def _gaussians(centers, flux, fwhm=4.0, variance=100.0, seed=None, n_pixels=400, level=0.0):
    x = np.arange(n_pixels)
    sigma = fwhm / 2.3548
    light = np.full(n_pixels, float(level)) + sum(
        f * np.exp(-(((x - c) / sigma) ** 2) / 2) / (sigma * np.sqrt(2 * np.pi)) for c, f in zip(centers, flux)
    )
    spread = light + variance
    if seed is not None:
        light = light + np.random.default_rng(seed).normal(size=n_pixels) * np.sqrt(spread)
    shape = (1, 1, n_pixels)
    return Spectra(
        (1,), np.array([80]), light.reshape(shape), spread.reshape(shape), np.zeros(shape, np.uint8), np.ones(shape)
    )


def test_a_line_center_is_recovered_to_a_hundredth_of_a_pixel():
    lines = arc_lines.find(_gaussians([100.3, 200.71], [20_000, 50_000], level=250), 1)
    assert lines.x == pytest.approx([100.3, 200.71], abs=0.01)
    assert lines.flux == pytest.approx([20_000, 50_000], rel=0.01)
    assert lines.fwhm == pytest.approx([4, 4], rel=0.01)
    assert np.all(np.isnan(lines.vacuum_angstrom))


def test_centers_scatter_as_their_errors_claim():
    centers = np.arange(30.0, 380, 25) + 0.37
    pulls = []
    for seed in range(40):
        lines = arc_lines.find(_gaussians(centers, np.full(len(centers), 3000), seed=seed), 1)
        nearest = np.argmin(np.abs(lines.x[:, None] - centers), axis=1)
        pulls.extend((lines.x - centers[nearest]) / lines.x_error)
    pulls = np.array(pulls)[np.abs(pulls) < 20]
    assert np.std(pulls) == pytest.approx(1, abs=0.12)


def test_a_line_with_a_neighbor_two_widths_away_keeps_its_center_but_a_blend_is_not_used():
    lines = arc_lines.find(_gaussians([100.0, 110.0, 200.0, 204.8], [20_000, 20_000, 20_000, 20_000]), 1)
    assert lines.x[:2] == pytest.approx([100, 110], abs=0.02)
    assert list(lines.x[lines.used]) == pytest.approx([100, 110], abs=0.02)


@pytest.mark.parametrize("bit", [Pixel.SATURATED, Pixel.COSMIC, Pixel.BLOOMED, Pixel.BAD])
def test_a_line_with_a_bad_or_false_pixel_in_its_core_is_left_out(bit):
    spectra = _gaussians([100.0, 200.0], [20_000, 20_000])
    quality = np.zeros(spectra.quality.shape, np.uint8)
    quality[0, 0, 101] = bit
    lines = arc_lines.find(replace(spectra, quality=quality), 1)
    assert lines.x == pytest.approx([200], abs=0.01)


def test_pixels_without_a_value_do_no_harm():
    spectra = _gaussians([100.0, 200.0], [20_000, 20_000])
    flux = spectra.flux.copy()
    flux[0, 0, :60] = np.nan
    flux[0, 0, 198:203] = np.nan
    lines = arc_lines.find(replace(spectra, flux=flux), 1)
    assert lines.x == pytest.approx([100], abs=0.01)


def test_a_spectrum_without_light_has_no_lines():
    spectra = _gaussians([], [], level=0.0)
    assert len(arc_lines.find(spectra, 1).x) == 0
    assert len(arc_lines.find(replace(spectra, flux=np.full(spectra.flux.shape, np.nan)), 1).x) == 0


def test_noise_alone_gives_less_than_one_line_an_order():
    found = [len(arc_lines.find(_gaussians([], [], level=500.0, seed=seed, n_pixels=4096), 1).x) for seed in range(20)]
    assert np.mean(found) < 1


def test_most_bright_lines_of_a_realistic_order_are_found_where_they_are():
    bench = benches.build(instruments.load("nres01"), seed=3)
    spectra = extracted_arcs.expose(bench, (1,), seed=4, orders=[80], lamp=6)
    lines = arc_lines.find(spectra, 1)
    angstrom, flux, _ = lamps.thorium_argon()
    wavelength = extracted_arcs.wavelength(bench, 1, np.arange(4096), orders=[80])[0]
    center = np.interp(angstrom, wavelength, np.arange(4096), left=np.nan, right=np.nan)
    bright = np.isfinite(center) & (flux > 10_000) & (center > 500) & (center < 3500)
    distance = np.array([np.min(np.abs(lines.x - c)) for c in center[bright]])
    assert bright.sum() > 10
    assert np.mean(distance < 0.3) > 0.8
