from types import SimpleNamespace

import numpy as np
import pytest

from nrespipe.engine.extraction import line_tilt
from nrespipe.frames.image import Image
from nrespipe.frames.traces import Profile, Traces

N_COLUMNS, N_ROWS = 600, 330
ORDERS = np.arange(60, 68)
X = np.linspace(-1, 1, N_COLUMNS)
M = np.linspace(-1, 1, len(ORDERS))[:, None]
#: What the images have: tilt and curvature of fibers 0 and 1 [pixel / pixel, pixel / pixel2].
TILT = np.array([0.03 + 0.006 * X - 0.004 * M + 0.003 * X * M, -0.012 + 0.004 * X**2 + 0.002 * M])
CURVATURE = np.array([0.0012 + 0.0004 * X + 0 * M, -0.0008 + 0.0003 * M + 0 * X])


def scene(fibers=(0, 1), skew=0.1):
    """Curved orders of two fibers and their profile, as a flat would know them."""
    offsets = np.arange(-10, 10.01, 0.05)
    shape = np.exp(-0.5 * (offsets / np.where(offsets < 0, 1 - skew, 1 + skew) / 1.9) ** 2)
    shape /= shape.sum() * 0.05
    shape = np.interp(offsets + np.sum(shape * offsets) * 0.05, offsets, shape)
    first = 25 + 36 * np.arange(len(ORDERS))[:, None] + 5 * X**2 + 3 * X
    traces = Traces(fibers, ORDERS, np.stack([first + 14 * fiber for fiber in fibers]))
    blank = np.ones((N_ROWS, N_COLUMNS), np.float32)
    values = np.tile(shape.astype(np.float32), (len(fibers), len(ORDERS), 2, 1))
    far = np.arange(0, 22.1, 0.25)
    columns = np.array([150.0, 450.0])
    profile = Profile(offsets, columns, values, far, np.zeros((2, len(far))), blank, np.zeros_like(blank))
    return traces, SimpleNamespace(traces=traces, profile=profile)


def arc(traces, flat, lit, places, height=40_000, fwhm=3.5, seed=1, tilt=TILT, curvature=CURVATURE):
    """An image of lines; `places` tells the columns of those of one order from a generator of random numbers."""
    rng = np.random.default_rng(seed)
    light, column = np.zeros((N_ROWS, N_COLUMNS)), np.arange(N_COLUMNS)
    shape = flat.profile.values[0, 0, 0]
    for fiber, k in np.ndindex(len(traces.fibers), len(ORDERS)):
        if traces.fibers[fiber] not in lit:
            continue
        rows = np.round(traces.centers[fiber, k]).astype(int) + np.arange(-9, 10)[:, None]
        u = rows - traces.centers[fiber, k]
        share = np.interp(u, flat.profile.offsets, shape) * (np.abs(u) <= 8.5)
        x = column - tilt[fiber, k] * u - curvature[fiber, k] * (u**2 - np.sum(share * u**2, axis=0))
        for place in places(rng):
            peak = height * rng.lognormal(0, 0.7)
            light[rows, column] += share * peak * np.exp(-0.5 * ((x - place) * 2.3548 / fwhm) ** 2)
    electrons = (rng.poisson(light) + rng.normal(0, 6, light.shape)).astype(np.float32)
    return Image(electrons, np.full(light.shape, 36, np.float32), np.zeros(light.shape, np.uint8), 60.0)


def many(rng):
    return rng.uniform(4, N_COLUMNS - 4, 25)


@pytest.fixture(scope="module")
def night():
    return scene()


@pytest.mark.parametrize("fwhm", [2.8, 4.5])
def test_tilt_and_curvature_of_two_lamps_are_recovered_over_the_whole_detector(night, fwhm):
    """To one and a third of a thousandth of a pixel, a pixel away from the trace."""
    traces, flat = night
    found = line_tilt.measure(arc(traces, flat, (0, 1), many, fwhm=fwhm), traces, flat, (0, 1))
    tilt, curvature = line_tilt.per_pixel(found, traces, (0, 1))
    assert np.sqrt(np.mean((tilt - TILT) ** 2)) < 1e-3
    assert np.abs(tilt - TILT).max() < 4e-3
    assert np.sqrt(np.mean((curvature - CURVATURE) ** 2)) < 3e-4
    assert np.abs(curvature - CURVATURE).max() < 1.5e-3


def test_a_flaw_of_the_profile_is_not_taken_for_a_slant(night):
    """A profile that is displaced by a twentieth of a pixel, as when the orders moved, leans to neither side."""
    traces, flat = night
    moved = Traces(traces.fibers, ORDERS, traces.centers + 0.05)
    found = line_tilt.measure(arc(traces, flat, (0, 1), many), moved, flat, (0, 1))
    tilt, _ = line_tilt.per_pixel(found, moved, (0, 1))
    assert np.sqrt(np.mean((tilt - TILT) ** 2)) < 1.2e-3


def test_cosmic_rays_do_not_change_the_slant(night):
    traces, flat = night
    image = arc(traces, flat, (0, 1), many)
    rng = np.random.default_rng(7)
    hit = image.electrons + np.where(rng.random(image.electrons.shape) < 1e-3, rng.exponential(5000), 0)
    struck = Image(hit.astype(np.float32), image.floor_variance, image.mask, 60.0)
    tilt, curvature = line_tilt.per_pixel(line_tilt.measure(struck, traces, flat, (0, 1)), traces, (0, 1))
    assert np.sqrt(np.mean((tilt - TILT) ** 2)) < 1.2e-3
    assert np.sqrt(np.mean((curvature - CURVATURE) ** 2)) < 4e-4


def test_an_order_half_off_the_detector_does_not_spoil_the_others(night):
    traces, flat = night
    centers = traces.centers.copy()
    centers[:, -1, 300:] = np.nan
    image = arc(traces, flat, (0, 1), many)
    electrons = image.electrons.copy()
    electrons[270:, 300:] = 0
    cut = Image(electrons, image.floor_variance, image.mask, 60.0)
    tilt, _ = line_tilt.per_pixel(
        line_tilt.measure(cut, Traces(traces.fibers, ORDERS, centers), flat, (0, 1)), traces, (0, 1)
    )
    assert np.sqrt(np.mean((tilt - TILT)[:, :-1] ** 2)) < 1.2e-3


def test_without_a_lamp_the_lines_stand_upright(night):
    traces, flat = night
    found = line_tilt.measure(arc(traces, flat, (0,), many), traces, flat, ())
    assert found.fibers == ()
    assert not np.any(line_tilt.per_pixel(found, traces, (0, 1)))


def test_nothing_is_known_of_a_fiber_that_no_lamp_lit(night):
    traces, flat = night
    found = line_tilt.measure(arc(traces, flat, (1,), many), traces, flat, (1,))
    tilt, curvature = line_tilt.per_pixel(found, traces, (0, 1))
    assert not tilt[0].any()
    assert not curvature[0].any()
    assert np.sqrt(np.mean((tilt[1] - TILT[1]) ** 2)) < 1.2e-3


@pytest.mark.parametrize(
    ("places", "height"),
    [
        (lambda rng: [], 0),
        (lambda rng: [300.0], 40_000),
        (lambda rng: rng.uniform(280, 320, 5), 40_000),
        (many, 40),
    ],
    ids=["dark", "one line", "lines in one place", "faint"],
)
def test_too_few_lines_say_nothing(night, places, height):
    traces, flat = night
    found = line_tilt.measure(arc(traces, flat, (0, 1), places, height), traces, flat, (0, 1))
    assert not np.any(line_tilt.per_pixel(found, traces, (0, 1)))


@pytest.mark.parametrize(
    "places",
    [lambda rng: rng.uniform(4, 300, 12), lambda rng: rng.uniform(4, 596, 4), lambda rng: rng.uniform(200, 420, 12)],
    ids=["one half", "four an order", "the middle"],
)
@pytest.mark.parametrize("height", [2000, 40_000])
def test_a_slant_is_not_wild_where_there_are_no_lines(night, places, height):
    traces, flat = night
    for seed in range(2):
        image = arc(traces, flat, (0, 1), places, height, seed=seed)
        tilt, curvature = line_tilt.per_pixel(line_tilt.measure(image, traces, flat, (0, 1)), traces, (0, 1))
        assert np.abs(tilt - TILT).max() < 0.04
        assert np.abs(curvature - CURVATURE).max() < 0.01


def test_the_mean_of_slants_is_taken_fiber_by_fiber(night):
    traces, _ = night
    blank = line_tilt.upright(traces, (0, 1))
    n = len(blank.degrees)

    def known(fibers, tilt):
        tilt = np.multiply.outer(tilt, np.arange(1.0, n + 1))
        return type(blank)(fibers, blank.orders, blank.n_pixels, blank.degrees, tilt, tilt / 10)

    mean = line_tilt.mean([known((0, 1), [0.02, 0.03]), known((1, 2), [0.05, 0.07]), known((1,), [0.04])])
    assert mean.fibers == (0, 1, 2)
    np.testing.assert_allclose(mean.lean, np.multiply.outer([0.02, 0.04, 0.07], np.arange(1.0, n + 1)))
    np.testing.assert_allclose(mean.bend, mean.lean / 10)
    assert (mean.orders, mean.n_pixels) == (blank.orders, blank.n_pixels)


def test_the_slant_of_a_pixel_is_the_sum_of_legendre_products_in_x_and_m(night):
    traces, _ = night
    blank = line_tilt.upright(traces, (1,))
    coefficients = np.zeros((1, len(blank.degrees)))
    for degrees, value in (((0, 0), 0.03), ((1, 0), 0.006), ((0, 1), -0.004), ((1, 1), 0.003)):
        coefficients[0, np.flatnonzero((blank.degrees == degrees).all(axis=1))] = value
    known = type(blank)((1,), blank.orders, blank.n_pixels, blank.degrees, coefficients, 0 * coefficients)
    tilt, curvature = line_tilt.per_pixel(known, traces, (0, 1))
    np.testing.assert_allclose(tilt[1], TILT[0], atol=1e-12)
    assert not tilt[0].any()
    assert not curvature.any()
