from types import SimpleNamespace

import numpy as np
import pytest

from nrespipe.engine.extraction import profile
from nrespipe.frames.image import Image
from nrespipe.frames.traces import Profile, Traces

N_ROWS, N_COLUMNS, ORDERS = 160, 600, np.array([60, 61])
OFFSETS = np.arange(-10, 10.01, 0.05)
X = np.arange(N_COLUMNS, dtype=float)


def gaussian(offset, sigma=2.0):
    return np.exp(-0.5 * (offset / sigma) ** 2) / (sigma * np.sqrt(2 * np.pi))


@pytest.fixture(scope="module")
def flat():
    centers = np.array([[30.0, 90.0], [50.0, 110.0]])[..., None] + 6 * (X / N_COLUMNS - 0.5) ** 2 + 0.2
    table = np.tile(gaussian(OFFSETS), (2, 2, 2, 1)).astype(np.float32)
    even = np.ones((N_ROWS, N_COLUMNS), np.float32)
    none = np.zeros(1)
    shape = Profile(OFFSETS, np.array([0.0, 599.0]), table, none, np.zeros((2, 1)), even, np.zeros_like(even))
    return SimpleNamespace(traces=Traces((0, 1), ORDERS, centers), profile=shape)


def expose(flat, light, sigma=2.0, hits=0, seed=1):
    rng = np.random.default_rng(seed)
    rows = np.arange(N_ROWS)[:, None]
    image = sum(light * gaussian(rows - center, sigma) for center in flat.traces.centers.reshape(-1, N_COLUMNS))
    image = rng.poisson(image) + rng.normal(0, 5, image.shape)
    image[rng.integers(0, N_ROWS, hits), rng.integers(0, N_COLUMNS, hits)] += 5000
    return Image(image.astype(np.float32), np.full(image.shape, 25, np.float32), np.zeros(image.shape, np.uint8), 60.0)


@pytest.mark.parametrize("light", [300, 30_000])
def test_a_true_profile_leaves_noise(flat, light):
    chi2, share = profile.misfit(expose(flat, light), flat.traces, flat, (0, 1), stride=2)
    assert chi2.shape == (2, 2)
    np.testing.assert_allclose(chi2, 1, atol=0.1)
    assert share.max() < 0.05 * np.sqrt(300 / light)


def test_a_profile_that_is_too_wide_leaves_a_share_of_the_light(flat):
    light, sigma = 100_000, 1.95
    chi2, share = profile.misfit(expose(flat, light, sigma), flat.traces, flat, (0, 1), stride=2)
    u = np.arange(-4.5, 4.5, 0.01)
    # photon noise weighs the pixels so that the sums agree
    left = gaussian(u, sigma) - gaussian(u)
    np.testing.assert_allclose(share, np.sqrt(np.mean(left**2) / np.mean(gaussian(u) ** 2)), rtol=0.1)
    assert chi2.min() > 2


def test_cosmic_rays_do_not_count(flat):
    chi2, _ = profile.misfit(expose(flat, 3000, hits=400), flat.traces, flat, (0, 1), stride=2)
    assert chi2.max() < 1.3


def test_a_trace_without_a_center_has_no_number(flat):
    centers = flat.traces.centers.copy()
    centers[1, 0] = np.nan
    chi2, share = profile.misfit(expose(flat, 3000), Traces((0, 1), ORDERS, centers), flat, (0, 1), stride=2)
    np.testing.assert_array_equal(np.isnan(chi2), [[False, False], [True, False]])
    np.testing.assert_array_equal(np.isnan(share), np.isnan(chi2))
