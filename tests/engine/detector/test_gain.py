"""The gain by photon transfer, whatever camera, lamp and bench do, and its running value."""

import numpy as np
import pytest

from nrespipe.engine.detector import gain
from nrespipe.engine.detector.gain import Gain

SIZE = 320, 1024


def orders(shift=0.0, brightest=0.6):
    """Light of curved orders of different brightness above scattered light, in units of what 16 bits hold."""
    rows, columns = np.mgrid[: SIZE[0], : SIZE[1]].astype(np.float32)
    place = rows - shift + (columns - 500) ** 2 / 5000
    across = (place % 40 - 20) / 1.9
    bright = 0.15 + 0.85 * ((place // 40) % 4) / 3
    along = 0.2 + 0.8 * np.sin(np.pi * columns / SIZE[1]) ** 2
    return brightest * (bright * along * np.exp(-0.5 * across**2) + 0.001)


def exposures(true, noise_adu, lights, seed=0):
    """Flats of a camera: photons, pixels of different response, read noise, whole counts."""
    rng = np.random.default_rng(seed)
    response = 1 + 0.007 * np.random.default_rng(99).standard_normal(SIZE)
    full = min(64000.0 * true, 120000.0)
    return [
        np.rint(rng.poisson(np.maximum(light * full * response, 0)) / true + rng.normal(0, noise_adu, SIZE))
        for light in lights
    ]


def measured(flats, noise_adu):
    points = [gain.pairs(one, two) for one, two in zip(flats[::2], flats[1::2])]
    return gain.measure(np.concatenate(points), np.hypot(noise_adu, np.sqrt(1 / 12)))


@pytest.mark.parametrize("true", [0.5, 1.0, 2.17, 3.2, 10.0])
@pytest.mark.parametrize("noise_adu", [2.0, 6.6, 20.0])
def test_the_gain_of_any_camera_is_right_within_its_error(true, noise_adu):
    found = measured(exposures(true, noise_adu, [orders()] * 4), noise_adu)
    assert abs(found.e_per_adu - true) < 3.5 * found.error
    assert found.error < 0.06 * true


@pytest.mark.parametrize(
    ("shift", "lamp"), [(0.05, 1.0), (0.0, 1.05), (0.05, 0.95), (-0.1, 1.1), (0.3, 1.0)]
)  # fmt: skip
@pytest.mark.parametrize("true", [1.0, 3.2])
def test_a_lamp_that_drifts_and_orders_that_move_leave_the_gain_right_within_its_error(true, shift, lamp):
    found = measured(exposures(true, 3.0, [orders(), lamp * orders(shift)]), 3.0)
    assert abs(found.e_per_adu - true) < 3.5 * found.error
    assert found.error < (0.03 + 3.5 * shift**2) * true


def test_the_errors_of_the_gain_are_those_of_many_nights():
    pulls = []
    for seed in range(12):
        found = measured(exposures(3.2, 2.2, [orders()] * 2, seed), 2.2)
        pulls.append((found.e_per_adu - 3.2) / found.error)
    assert 0.6 < np.sqrt(np.mean(np.square(pulls))) < 1.5


def test_pixels_beyond_the_linear_range_have_no_part_in_the_gain():
    flats = [np.where(f > 12500, 12500 + (f - 12500) / 2, f) for f in exposures(3.2, 2.0, [orders()] * 2)]
    points = gain.pairs(*flats)
    whole, part = (gain.measure(points, 2.0, linear_e=limit) for limit in (np.inf, 40000.0))
    assert abs(part.e_per_adu - 3.2) < 3.5 * part.error < 0.4
    assert abs(whole.e_per_adu - 3.2) > 2.5 * whole.error


def test_a_single_flat_shows_the_gain_to_some_percent():
    points = gain.single(exposures(3.2, 2.2, [orders()])[0])
    found = gain.measure(points, 2.2, least=gain.SINGLE)
    assert abs(found.e_per_adu - 3.2) < 1.5 * found.error
    assert 0.05 * 3.2 <= found.error < 0.08 * 3.2


def test_without_light_no_gain_is_known():
    dark = np.random.default_rng(7).normal(0, 2, (2, 256, 256))
    assert not gain.measure(gain.pairs(*dark), 2.0).is_known
    assert not gain.measure(np.empty((0, 5)), 2.0).is_known


def test_a_running_gain_is_the_mean_of_its_nights_and_forgets_slowly():
    running, _ = gain.follow(Gain(3.2, 0.02), Gain(), 0)
    assert running == Gain(3.2, 0.02)
    running, changed = gain.follow(Gain(3.22, 0.02), running, 1)
    assert not changed
    assert running.e_per_adu == pytest.approx(3.21, abs=1e-3)
    assert running.error == pytest.approx(0.02 / np.sqrt(2), rel=0.02)
    rng, off, claimed = np.random.default_rng(1), [], []
    for _ in range(300):
        running, changed = gain.follow(Gain(3.2 + 0.02 * rng.standard_normal(), 0.02), running, 1)
        assert not changed
        off.append(running.e_per_adu - 3.2)
        claimed.append(running.error)
    # a third and less of the error of a night, without ever claiming to know it better than it may have changed
    assert np.std(off[50:]) < 0.5 * 0.02
    assert 0.0016 < claimed[-1] < 0.01
    later, _ = gain.follow(Gain(), running, 400)
    assert later.error == pytest.approx(np.hypot(running.error, 0.0005 * running.e_per_adu * 20), rel=1e-6)


def test_a_gain_that_creeps_is_followed_within_its_error():
    rng, running, true = np.random.default_rng(2), Gain(3.2, 0.01), 3.2
    for _ in range(200):
        true *= 1.0002
        running, _ = gain.follow(Gain(true + 0.01 * rng.standard_normal(), 0.01), running, 1)
        assert abs(running.e_per_adu - true) < 5 * running.error


@pytest.mark.parametrize(
    ("now", "adopted_alone", "changed"),
    [
        (Gain(1.0, 0.01), True, True),
        (Gain(3.1, 0.01), True, True),
        (Gain(3.22, 0.002), True, False),
        (Gain(3.1, 0.05), False, False),
    ],
)
def test_a_changed_gain_is_adopted_at_once_and_reported_if_the_change_matters(now, adopted_alone, changed):
    adopted, told = gain.follow(now, Gain(3.2, 0.002), 1)
    assert (adopted == now) is adopted_alone
    assert told is changed


def test_measurements_whose_errors_are_alike_do_not_pull_the_running_gain():
    running = Gain(3.2, 0.01)
    kept, changed = gain.follow(Gain(3.1, 0.15), running, 1, alike=True)
    assert kept.e_per_adu == 3.2
    assert not changed
    assert gain.follow(Gain(1.0, 0.05), running, 1, alike=True) == (Gain(1.0, 0.05), True)
