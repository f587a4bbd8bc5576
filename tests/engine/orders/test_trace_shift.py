"""Frames with few orders, painted here by a profile that the flat is said to have, and moved."""

from types import SimpleNamespace

import numpy as np
import pytest

from nrespipe.engine.orders import trace_shift
from nrespipe.errors import BadFrame
from nrespipe.frames.image import Image
from nrespipe.frames.traces import Profile, Traces

SIZE, READ_NOISE = 768, 5.0
OFFSETS = np.arange(-10, 10.01, 0.05)
X = np.arange(SIZE, dtype=float)


def _profile(offset):
    """Wide and flat-topped, and skewed a little, as fibers are."""
    shape = np.exp(-0.5 * np.abs(offset / 2.2) ** 3)
    return np.where(np.abs(offset) < 8.5, shape * (1 + 0.05 * np.tanh(offset)), 0) / 4.4


@pytest.fixture(scope="module")
def flat():
    """Two fibers, eighteen pixels apart; fourteen bent orders whose distances grow."""
    index = np.arange(14)
    lower = 20 + 32 * index + 1.0 * index**2
    centers = lower[:, None] + 12 * ((X - SIZE / 2) / (SIZE / 2)) ** 2
    centers = np.stack([centers + 18, centers])
    centers[(centers < 0) | (centers > SIZE - 1)] = np.nan
    table = np.tile(_profile(OFFSETS), (2, len(index), 2, 1)).astype(np.float32)
    even = np.ones((SIZE, SIZE), np.float32)
    none = np.zeros(1)
    profile = Profile(OFFSETS, np.array([0.0, SIZE - 1.0]), table, none, np.zeros((2, 1)), even, np.zeros_like(even))
    return SimpleNamespace(traces=Traces((0, 1), 60 + index, centers), profile=profile)


def expose(flat, light, shift=0.0, scale=0.0, turn=0.0, seed=1, hits=0):
    """Paint light (fiber, order, column) where the orders lie after a motion; return the frame with its noise."""
    middle = (SIZE - 1) / 2
    centers = flat.traces.centers
    centers = centers + shift + scale * (centers - middle) / (SIZE / 2) + turn * (X - middle) / (SIZE / 2)
    image = np.zeros((SIZE, SIZE))
    for center, spectrum in zip(centers.reshape(-1, SIZE), np.reshape(light, (-1, SIZE))):
        seen = np.isfinite(center)
        rows = np.round(center[seen]).astype(int) + np.arange(-10, 11)[:, None]
        inside = (rows >= 0) & (rows < SIZE)
        share = np.where(inside, spectrum[seen] * _profile(rows - center[seen]), 0)
        np.add.at(image, (np.where(inside, rows, 0), np.flatnonzero(seen)), share)
    rng = np.random.default_rng(seed)
    image = rng.poisson(image) + rng.normal(0, READ_NOISE, image.shape)
    image[rng.integers(0, SIZE, hits), rng.integers(0, SIZE, hits)] += rng.exponential(3000, hits)
    floor = np.full(image.shape, READ_NOISE**2, np.float32)
    return Image(image.astype(np.float32), floor, np.zeros(image.shape, np.uint8), 600.0)


def even(level, fibers=(1, 1)):
    return level * np.ones((2, 14, SIZE)) * np.array(fibers)[:, None, None]


def lines(seed=5, number=400):
    """A lamp in fiber 1: sharp lines, the brightest a thousand times as bright as the faintest."""
    rng, light = np.random.default_rng(seed), np.zeros((2, 14, SIZE))
    for _ in range(number):
        order, x, flux = rng.integers(14), rng.uniform(0, SIZE), 10 ** rng.uniform(2, 5)
        light[1, order] += flux * np.exp(-0.5 * ((X - x) / 1.5) ** 2)
    return light


def followed(image, flat, lit=(0, 1), **options):
    return trace_shift.measure(image, trace_shift.coarse(image, flat.traces, lit), flat, lit, stride=2, **options)


@pytest.mark.parametrize("shift", [-6.0, -2.0, -0.7, 0.0, 0.1, 0.7, 2.0, 3.3, 6.0])
def test_a_shift_of_up_to_six_pixels_is_found_within_its_error(flat, shift):
    _, motion = followed(expose(flat, even(2000.0), shift), flat)
    assert motion.shift_error_px < 0.003
    assert abs(motion.shift_px - shift) < 4 * motion.shift_error_px


@pytest.mark.slow
def test_the_claimed_errors_of_shift_scale_and_turn_are_their_scatter(flat):
    pulls = []
    for seed in range(25):
        _, found = followed(expose(flat, even(300.0), 0.3, 0.2, -0.1, seed=seed), flat)
        pulls.append([(found.stretch_px - 0.2) / found.stretch_error_px, (found.turn_px + 0.1) / found.turn_error_px])
    assert np.std(pulls, axis=0) == pytest.approx([1, 1], abs=0.35)
    assert np.abs(np.mean(pulls, axis=0)).max() < 0.7


def test_the_moved_traces_lie_where_the_light_lies(flat):
    moved, _ = followed(expose(flat, even(5000.0), 3.0, 0.8, 0.3), flat)
    middle = (SIZE - 1) / 2
    truth = flat.traces.centers
    truth = truth + 3.0 + 0.8 * (truth - middle) / (SIZE / 2) + 0.3 * (X - middle) / (SIZE / 2)
    assert np.nanmax(np.abs(moved.centers - truth)) < 0.01


def test_a_bright_lamp_beside_a_faint_star_and_many_cosmic_rays_do_not_pull_the_orders(flat):
    _, motion = followed(expose(flat, lines() + even(60.0, (1, 0)), 0.25, hits=1500), flat)
    assert abs(motion.shift_px - 0.25) < 4 * motion.shift_error_px < 0.04


def test_a_lamp_alone_is_followed_although_the_other_fiber_is_dark(flat):
    _, motion = followed(expose(flat, lines(), 4.0), flat)
    assert abs(motion.shift_px - 4.0) < 4 * motion.shift_error_px < 0.02


def test_a_term_that_the_light_does_not_determine_is_left_out(flat):
    _, motion = followed(expose(flat, even(40.0), 0.0), flat, worth_px=0.012)
    assert (motion.stretch_px, motion.turn_px) == (0, 0)
    assert motion.stretch_error_px == np.inf
    assert motion.shift_error_px < 0.012


@pytest.mark.parametrize("hits", [0, 1000])
def test_a_frame_without_light_has_no_motion_and_an_infinite_error(flat, hits):
    moved, motion = followed(expose(flat, even(0.0), hits=hits), flat)
    assert motion.shift_px == 0
    assert motion.shift_error_px == np.inf
    np.testing.assert_array_equal(moved.centers, flat.traces.centers)


@pytest.mark.parametrize(("shift", "light"), [(18.0, even(2000.0)), (-18.0, even(500.0)), (25.0, even(900.0, (1, 0)))])
def test_orders_that_lie_in_the_gaps_or_in_the_window_of_another_fiber_are_refused(flat, shift, light):
    with pytest.raises(BadFrame, match="not where the flat saw them: their light lies"):
        trace_shift.coarse(expose(flat, light, shift), flat.traces, (0, 1))


def test_an_order_that_leaves_the_detector_is_not_followed_beyond(flat):
    low = flat.traces.centers - 21
    low = Traces((0, 1), flat.traces.orders, np.where(low < 0, np.nan, low))
    edge = SimpleNamespace(traces=low, profile=flat.profile)
    moved, _ = followed(expose(edge, even(3000.0), -3.0), edge)
    inside = moved.centers[np.isfinite(moved.centers)]
    assert inside.min() >= 0
    assert inside.size < np.isfinite(edge.traces.centers).sum()


def test_the_same_frame_gives_the_same_numbers(flat):
    image = expose(flat, lines() + even(500.0, (1, 0)), 0.4, hits=300)
    assert followed(image, flat)[1] == followed(image, flat)[1]
