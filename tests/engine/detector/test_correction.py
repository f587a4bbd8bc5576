import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest

from nrespipe.engine.detector import correction, detector_values
from nrespipe.frames.masters import Bias, Dark, Origin
from nrespipe.frames.quality import Pixel
from nrespipe.frames.raw import Kind, RawFrame, Section

ORIGIN = Origin(Kind.BIAS, "lsc", "nres01", "fa09", "20190405", 58578.5, ())


def frame(adu, exposure_s=100.0, **options):
    rows, columns = adu.shape
    sections = (Section(columns - 40, columns, 0, rows - 4), Section(0, columns - 50, 0, rows - 4))
    return RawFrame(
        "x", Kind.SCIENCE, "lsc", "nres01", "fa09", "20190405", 58578.5, exposure_s, (), adu, *sections, **options
    )


def masters(shape, read_noise_adu=2.0, rate=0.0):
    zero = np.zeros(shape, np.float32)
    bias = Bias(ORIGIN, zero, zero + np.float32(0.8), read_noise_adu)
    return bias, Dark(ORIGIN, zero + np.float32(rate), zero, np.zeros(shape, np.uint8))


def noisy(rng, light=0.0, level=1000.0, shape=(204, 250)):
    adu = rng.normal(level, 2.0, shape)
    adu[:200, :200] += light
    return adu.astype(np.float32)


def test_deferred_charge_in_the_overscan_does_not_lift_the_level():
    adu = noisy(np.random.default_rng(1))
    adu[:, 210:214] += 400 * np.exp(-np.arange(4))
    assert np.abs(correction.overscan(frame(adu)).level - 1000).max() < 0.6


@pytest.mark.parametrize("rows", [slice(60, 61), slice(60, 69), slice(0, 200)])
def test_a_long_tail_behind_saturated_rows_moves_no_level_by_a_tenth(rows):
    """Overscan of a real frame: 58 columns, six of them left out by the header."""
    rng = np.random.default_rng(8)
    clean = rng.normal(1000, 2.2, (204, 264)).astype(np.float32)
    tailed = clean.copy()
    tailed[rows, :200] = 60_000
    tailed[rows, 200:258] += 1e-3 * 59_000 * np.exp(-np.arange(58) / 4)
    sections = Section(206, 258, 0, 200), Section(0, 200, 0, 200)
    first, second = (
        correction.overscan(dataclasses.replace(frame(adu), bias_section=sections[0], data_section=sections[1])).level
        for adu in (clean, tailed)
    )
    assert np.abs(second - first).max() < 0.1


@pytest.mark.parametrize("charge", [15, 100, 40_000])
def test_a_cosmic_ray_in_the_overscan_changes_no_level_by_a_tenth(charge):
    clean = noisy(np.random.default_rng(9))
    hit = clean.copy()
    hit[50:53, 230:233] += charge
    hit[120, 225:250] += charge
    moved = np.abs(correction.overscan(frame(hit)).level - correction.overscan(frame(clean)).level)
    assert np.delete(moved, range(104, 137)).max() < 0.1


def test_the_level_of_a_row_does_not_depend_on_how_the_frame_is_cut():
    raw = frame(noisy(np.random.default_rng(10)))
    whole = correction.trim(raw)
    for step in (1, 7, 64, 150):
        parts = [correction.trim(raw, slice(first, min(first + step, 200))) for first in range(0, 200, step)]
        np.testing.assert_array_equal(np.concatenate(parts), whole)


def test_the_masks_of_the_masters_and_hot_pixels_of_a_long_exposure_are_applied():
    bias, dark = masters((200, 200))
    flawed, hot, rate = (np.zeros((200, 200), kind) for kind in (np.uint8, np.uint8, np.float32))
    flawed[3, 4], hot[5, 6], rate[7, 8] = Pixel.BAD, Pixel.BAD, 50
    bias, dark = dataclasses.replace(bias, mask=flawed), dataclasses.replace(dark, mask=hot, adu_per_s=rate)
    for exposure_s, bad in ((10.0, {(3, 4), (5, 6)}), (100.0, {(3, 4), (5, 6), (7, 8)})):
        raw = frame(noisy(np.random.default_rng(11)), exposure_s)
        mask = correction.correct(raw, bias, dark, _limits(), 3.0)[0].mask[:, :-1]
        assert {tuple(place) for place in np.argwhere(mask)} == bad


def test_a_slow_drift_of_the_level_along_the_rows_is_followed():
    rng = np.random.default_rng(2)
    adu = noisy(rng) + 5 * np.sin(np.arange(204) / 40)[:, None].astype(np.float32)
    assert abs(np.std(correction.trim(frame(adu))) - 2) < 0.05


def test_electrons_and_their_noise_are_those_that_were_collected():
    rng = np.random.default_rng(3)
    e_per_adu, light = 3.0, 500.0
    shape = (204, 250)
    adu = noisy(rng, rng.poisson(light, (200, 200)) / e_per_adu, shape=shape)
    bias, dark = masters((200, 200), rate=0.1)
    adu[:200, :200] += 10
    bench = _limits()
    image, _ = correction.correct(frame(adu), bias, dark, bench, e_per_adu)
    assert abs(np.mean(image.electrons[:, :-1]) - light) < 0.5
    expected = light + np.median(image.floor_variance) - 0.8 * e_per_adu**2 - 10 * e_per_adu
    assert np.var(image.electrons[:, :-1]) == pytest.approx(expected, rel=0.03)


def test_saturated_and_nonlinear_pixels_and_the_copied_column_are_marked():
    adu = noisy(np.random.default_rng(4))
    adu[10, 10], adu[20, 20] = 60_000, 45_000
    raw = frame(adu, saturation_adu=55_000.0)
    mask = correction.flags(correction.counts(raw)[0], detector_values.limits(raw, _limits(), 3.0), _limits())
    assert mask[10, 10] == Pixel.SATURATED | Pixel.NONLINEAR
    assert mask[20, 20] == Pixel.NONLINEAR
    assert (mask[:, -1] == Pixel.BAD).all()
    assert np.count_nonzero(mask[:, :-1]) == 2


def test_a_frame_that_is_noisier_than_the_biases_has_its_own_read_noise_and_a_quieter_one_theirs():
    bias, dark = masters((200, 200), read_noise_adu=2.0)
    for noise, used in ((4.0, 4.0), (1.0, 2.0)):
        rng = np.random.default_rng(12)
        raw = frame(rng.normal(1000, noise, (204, 250)).astype(np.float32))
        floor = correction.correct(raw, bias, dark, _limits(), 1.0)[0].floor_variance
        expected = used**2 + 0.8 + correction.overscan(raw).variance
        assert np.median(floor) == pytest.approx(expected, rel=0.06)


@pytest.mark.parametrize("half", ["left", "right", "lower", "upper"])
@pytest.mark.parametrize("excess", [60.0, -40.0])
def test_a_half_whose_level_has_jumped_is_found_and_put_right_beside_orders_of_any_light(half, excess):
    rng = np.random.default_rng(13)
    rows, columns = np.mgrid[:200, :200]
    # orders that run across the middle in a curve, above light that rises
    light = 20 + rows / 20 + 5000 * np.exp(-0.5 * (((rows + columns**2 / 1000) % 50 - 25) / 2) ** 2)
    adu = noisy(rng)
    adu[:200, :200] += light
    part = {
        "left": np.s_[:200, :100],
        "right": np.s_[:200, 100:200],
        "lower": np.s_[:100, :200],
        "upper": np.s_[100:200, :200],
    }
    bias, dark = masters((200, 200))
    assert not any(correction.level_steps(frame(adu), bias))
    adu[part[half]] += excess
    jumped = correction.level_steps(frame(adu), bias)
    sides = ("left", "right") if half in ("left", "right") else ("lower", "upper")
    other = sides[1 - sides.index(half)]
    assert getattr(jumped, half) - getattr(jumped, other) == pytest.approx(excess, abs=2.5)
    image, _ = correction.correct(frame(adu), bias, dark, _limits(), 1.0)
    left = image.electrons - light
    assert np.ptp([np.median(left[place]) for place in part.values()]) < 2.5


def test_masters_of_another_size_are_refused():
    bias, dark = masters((100, 100))
    with pytest.raises(ValueError, match="200 x 200 pixels do not fit"):
        correction.correct(frame(noisy(np.random.default_rng(5))), bias, dark, _limits(), 1.0)


def _limits():
    from nrespipe.frames.spectrograph import Detector

    return Detector(200, 200, 0.015, 3.0, 6.0, 47_500.0, 40_000.0, (-1,))


def test_the_error_of_the_level_of_a_row_is_known():
    rng = np.random.default_rng(4)
    wander = np.cumsum(rng.normal(0, 0.03, 4096)) + rng.normal(0, 0.15, 4096)
    adu = (1000 + wander[:, np.newaxis] + rng.normal(0, 2.2, (4096, 100))).astype(np.float32)
    raw = SimpleNamespace(adu=adu, data_section=Section(0, 42, 0, 4096), bias_section=Section(42, 100, 0, 4096))
    error = correction.overscan(raw).level - (1000 + wander)
    assert correction.overscan(raw).variance == pytest.approx(np.var(error), rel=0.15)
