"""Cosmic rays along a column look like light of the trace."""

from types import SimpleNamespace

import numpy as np
import pytest

from nrespipe.engine.extraction import optimal
from nrespipe.frames.image import Image
from nrespipe.frames.quality import Pixel
from nrespipe.frames.traces import Profile, Traces

N_ROWS, N_COLUMNS = 60, 900
READ = 6.0


@pytest.fixture(scope="module")
def flat():
    """One order and a Gaussian profile."""
    offsets = np.arange(-10, 10.01, 0.05)
    shape = np.exp(-0.5 * (offsets / 1.9) ** 2) / (1.9 * np.sqrt(2 * np.pi))
    traces = Traces((0,), np.array([90]), 27.3 + 6 * np.linspace(-1, 1, N_COLUMNS)[None, None] ** 2)
    blank, far = np.ones((N_ROWS, N_COLUMNS), np.float32), np.arange(0, 22.1, 0.25)
    table = shape.astype(np.float32)[None, None, None]
    profile = Profile(offsets, np.array([450.0]), table, far, np.zeros((2, len(far))), blank, np.zeros_like(blank))
    return SimpleNamespace(traces=traces, profile=profile, blaze=np.ones(traces.centers.shape))


def observed(flat, level, seed):
    """A star with absorption lines: its spectrum, the light of the pixels, and what was read."""
    rng, x = np.random.default_rng(seed), np.arange(N_COLUMNS)
    lines = sum(0.6 * np.exp(-0.5 * ((x - at) * 2.3548 / 4.2) ** 2) for at in rng.uniform(0, N_COLUMNS, 25))
    star = level * np.exp(-lines)
    u = np.arange(N_ROWS)[:, None] - flat.traces.centers[0, 0]
    light = star * np.exp(-0.5 * (u / 1.9) ** 2) / (1.9 * np.sqrt(2 * np.pi))
    return rng, star, light, rng.poisson(light) + rng.normal(0, READ, light.shape)


def spectrum(flat, electrons):
    shape = electrons.shape
    image = Image(electrons.astype(np.float32), np.full(shape, READ**2, np.float32), np.zeros(shape, np.uint8), 60.0)
    spectra = optimal.optimal(image, flat.traces, flat, (0,))
    return spectra.flux[0, 0], spectra.variance[0, 0], spectra.quality[0, 0]


@pytest.mark.parametrize("length", [1, 2, 3, 4, 5, 6])
@pytest.mark.parametrize("level", [500, 5000, 30_000])
def test_flux_under_a_cosmic_ray_is_right_within_its_error_or_flagged(flat, length, level):
    wrong, harmed, lost = 0, 0, 0
    for seed in range(3):
        rng, star, light, electrons = observed(flat, level, seed)
        where = np.arange(10, N_COLUMNS - 10, 15)
        for x in where:
            top = int(np.round(flat.traces.centers[0, 0, x])) + rng.integers(-4, 5 - length + 1)
            noise = np.sqrt(light[top : top + length, x] + READ**2)
            electrons[top : top + length, x] += 15 * noise
        flux, variance, quality = spectrum(flat, electrons)
        pulls = (flux - star) / np.sqrt(variance)
        told = quality & np.uint8(Pixel.COSMIC) > 0
        wrong += np.count_nonzero((np.abs(pulls[where]) > 5) & ~told[where])
        harmed += np.count_nonzero(np.abs(pulls[where]) > 5)
        lost += np.count_nonzero(np.isnan(flux[where]))
        assert told[where][np.isnan(flux[where])].all()
    n = 3 * len(where)
    assert wrong == 0
    assert harmed <= 0.01 * n
    # a hit that covers the whole core leaves too little of a bright trace: measured 0.08 and 0.70 at 30 000 electrons
    assert lost <= (0.1 if length < 5 else 0.75) * n


def test_a_star_without_cosmic_rays_loses_next_to_nothing(flat):
    for seed in range(3):
        _, star, _, electrons = observed(flat, 20_000, seed)
        flux, variance, quality = spectrum(flat, electrons)
        assert np.mean(quality & np.uint8(Pixel.COSMIC) > 0) < 2e-3
        pulls = (flux - star) / np.sqrt(variance)
        assert abs(np.mean(pulls)) < 0.1
        assert np.std(pulls) == pytest.approx(1, abs=0.08)
