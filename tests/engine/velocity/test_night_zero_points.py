"""Zero points of nights against injected ones; velocities and errors in m/s."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nrespipe.engine.velocity import night_zero_points

N_NIGHTS, OFFSET_MS, PHOTON_MS, JITTER_MS = 14, 5.0, 2.5, 2.0


def fortnight(seed, n_stars=5, planet_ms=0.0, jitter_ms=JITTER_MS, seen=0.8):
    """Draw zero points, and velocities of some stars in most of the nights."""
    rng = np.random.default_rng(seed)
    true = rng.normal(0, OFFSET_MS, N_NIGHTS)
    night, star = np.meshgrid(np.arange(N_NIGHTS), np.arange(n_stars))
    error = np.broadcast_to(PHOTON_MS * rng.uniform(0.7, 1.4, (n_stars, 1)), night.shape)
    velocity = rng.uniform(-5e4, 5e4, (n_stars, 1)) + true[night] + rng.normal(0, np.hypot(error, jitter_ms))
    velocity[0] += planet_ms * np.sin(2 * np.pi * np.arange(N_NIGHTS) / rng.uniform(3, 9) + rng.uniform(0, 6))
    kept = rng.random(night.shape) < seen
    return true, (star[kept].astype(str), night[kept], velocity[kept], error[kept])


def pulls(found, true):
    own = found.is_own
    return ((found.value_ms - true[found.nights] + np.median(true[found.nights[own]])) / found.error_ms)[own]


@pytest.mark.parametrize("planet_ms", [0.0, 40.0])
def test_injected_zero_points_come_back_within_errors_that_are_true_to_a_fifth(planet_ms):
    # two sites are two calls, whose errors are independent: forty fortnights stand for both
    every = []
    for seed in range(40):
        true, seen = fortnight(seed, planet_ms=planet_ms)
        every.append(pulls(night_zero_points.measure(*seen), true))
    assert np.std(np.concatenate(every)) == pytest.approx(1.0, abs=0.2)


def test_a_star_with_a_planet_loses_its_weight_and_does_not_spoil_the_others():
    true, seen = fortnight(3, planet_ms=40.0, seen=1.0)
    found = night_zero_points.measure(*seen)
    assert found.jitter_ms[0] > 15
    assert np.all(found.jitter_ms[1:] < 6)
    assert np.std(found.value_ms - true) < 2.5


def test_a_wild_velocity_moves_the_zero_point_of_its_night_by_less_than_its_share():
    _, (star, night, velocity, error) = fortnight(4, seen=1.0)
    before = night_zero_points.measure(star, night, velocity, error)
    velocity[(star == "2") & (night == 6)] += 500.0
    after = night_zero_points.measure(star, night, velocity, error)
    assert abs(after.value_ms[6] - before.value_ms[6]) < 4.0
    assert np.max(np.abs(np.delete(after.value_ms - before.value_ms, 6))) < 2.0


def test_a_night_of_one_star_has_the_median_of_those_around_it_and_says_so():
    _, (star, night, velocity, error) = fortnight(5, seen=1.0)
    kept = (night != 8) | (star == "1")
    found = night_zero_points.measure(star[kept], night[kept], velocity[kept], error[kept])
    assert (found.n_stars[8], found.is_own[8]) == (1, False)
    others = np.delete(found.value_ms, 8)
    assert found.value_ms[8] == pytest.approx(np.median(others))
    assert found.error_ms[8] > np.std(others)


def test_a_night_far_from_all_others_has_none():
    _, (star, night, velocity, error) = fortnight(5, seen=1.0)
    night = np.where(night == 13, 60, night)
    kept = (night != 60) | (star == "1")
    found = night_zero_points.measure(star[kept], night[kept], velocity[kept], error[kept])
    assert np.isnan(found.value_ms[-1])
    assert np.isnan(found.error_ms[-1])


def test_a_star_that_is_left_out_of_the_zero_point_that_corrects_it_keeps_its_planet():
    _, seen = fortnight(6, n_stars=3, planet_ms=15.0, seen=1.0)
    found = night_zero_points.measure(*seen)
    own = night_zero_points.combine(found.deviation_ms[1:, 4], found.deviation_error_ms[1:, 4])
    every = night_zero_points.combine(found.deviation_ms[:, 4], found.deviation_error_ms[:, 4])
    assert every[0] == pytest.approx(found.value_ms[4], abs=0.01)
    assert every[1] < own[1]
    assert np.isnan(night_zero_points.combine(found.deviation_ms[1:2, 4], found.deviation_error_ms[1:2, 4])[0])


def test_without_any_star_of_three_nights_nothing_is_told():
    found = night_zero_points.measure(["a", "a", "b"], [1, 2, 2], [0.0, 1.0, 2.0], [1.0, 1.0, 1.0])
    assert len(found.stars) == 0
    assert np.isnan(found.value_ms).all()
    assert len(night_zero_points.measure([], [], [], []).nights) == 0


@pytest.mark.parametrize(
    ("error", "words"),
    [([1.0, 0.0], "needs a positive error"), ([1.0, np.nan], "positive"), ([1.0], "differ in length")],
)
def test_velocities_without_errors_are_refused(error, words):
    with pytest.raises(ValueError, match=words):
        night_zero_points.measure(["a", "a"], [1, 2], [0.0, 1.0], error)


@given(
    st.lists(st.tuples(st.integers(0, 4), st.integers(0, 9), st.floats(-1e6, 1e6), st.floats(1e-2, 1e4)), max_size=60)
)
def test_whatever_is_given_a_zero_point_is_finite_with_a_finite_error_or_there_is_none(rows):
    columns = [np.array(column) for column in zip(*rows)] if rows else [[], [], [], []]
    found = night_zero_points.measure(np.asarray(columns[0]).astype(str), *columns[1:])
    assert np.array_equal(np.isfinite(found.value_ms), np.isfinite(found.error_ms))
    assert np.all(found.error_ms[np.isfinite(found.error_ms)] > 0)
