from dataclasses import replace

import numpy as np
import pytest

from nrespipe.engine.detector import detector_values, header_checks
from nrespipe.frames.quality import Quality
from nrespipe.frames.raw import Kind, RawFrame, Section
from nrespipe.frames.spectrograph import Detector

TABLE = Detector(200, 200, 0.015, 3.2, 7.0, 47_500.0, 40_000.0, (-1,))


def frame(noise=2.2, **header):
    adu = np.random.default_rng(1).normal(1000, noise, (200, 250)).round().astype(np.float32)
    adu += 50 * np.sin(np.arange(200) / 3)[:, None].astype(np.float32)
    sections = Section(206, 250, 0, 200), Section(0, 200, 0, 200)
    return RawFrame("x", Kind.DARK, "lsc", "nres01", "fa09", "20190405", 58578.5, 9.0, (), adu, *sections, **header)


@pytest.mark.parametrize(
    ("saturation", "linear", "used", "quality"),
    [
        (None, None, (47_500, 40_000), Quality(0)),
        (55_000.0, 50_000.0, (55_000, 50_000), Quality(0)),
        (55_000.0, None, (55_000, 40_000), Quality(0)),
        (0.0, 40_000.0, (47_500, 40_000), Quality.HEADER_DISAGREES),
        (-1.0, -1.0, (47_500, 40_000), Quality.HEADER_DISAGREES),
        (1e9, 40_000.0, (47_500, 40_000), Quality.HEADER_DISAGREES),
        (47_500.0, 12.0, (47_500, 40_000), Quality.HEADER_DISAGREES),
        (30_000.0, 45_000.0, (30_000, 30_000), Quality.HEADER_DISAGREES),
    ],
)
def test_limits_that_make_no_sense_are_named_and_replaced(saturation, linear, used, quality):
    raw = frame(saturation_adu=saturation, max_linear_adu=linear)
    assert detector_values.limits(raw, TABLE, 3.2) == used
    assert header_checks.flags(raw, TABLE, 2.2, 3.2, detector_values.overscan_noise(raw)) == quality


@pytest.mark.parametrize(
    ("gain", "used"),
    [(6.4, (23_750, 20_000)), (3.2, (47_500, 40_000)), (2.56, (59_375, 50_000)), (1.0, (65_535, 65_535))],
)
def test_the_limits_of_the_table_are_electrons_and_end_where_sixteen_bits_end(gain, used):
    assert detector_values.limits(frame(), TABLE, gain) == pytest.approx(used)


def test_limits_of_a_header_are_believed_for_the_gain_that_was_measured():
    raw = frame(saturation_adu=47_500.0, max_linear_adu=40_000.0)
    assert detector_values.limits(raw, TABLE, 1.0) == (47_500, 40_000)
    low = frame(saturation_adu=12_000.0, max_linear_adu=10_000.0)
    assert header_checks.flags(low, TABLE, 2.2, 3.2, detector_values.overscan_noise(low)) == Quality.HEADER_DISAGREES
    assert header_checks.flags(low, TABLE, 2.2, 10.0, detector_values.overscan_noise(low)) == Quality(0)


def test_where_the_pixels_pile_up_they_are_saturated_whatever_header_and_table_say():
    high = frame(saturation_adu=55_000.0, max_linear_adu=50_000.0)
    assert detector_values.limits(high, TABLE, 3.2, 45_000.0) == (45_000, pytest.approx(45_000 * 40 / 47.5))
    # a header that is lower may know better, a table does not
    assert detector_values.limits(high, TABLE, 3.2, 60_000.0) == (55_000, 50_000)
    assert detector_values.limits(frame(), TABLE, 3.2, 60_000.0) == (60_000, 40_000)


def lines(rng, brightest, n=60_000):
    """An image of lines, fewer of them the brighter they are."""
    light = 50 * rng.pareto(0.9, n)
    return 1000 + np.where(light < brightest, light, brightest)


@pytest.mark.parametrize(("top", "scatter"), [(64_535, 0.0), (46_000, 3.0), (46_000, 400.0), (30_000, 300.0)])
def test_saturated_pixels_are_known_by_their_pile(top, scatter):
    rng = np.random.default_rng(2)
    adu = lines(rng, 200_000.0)
    adu = np.where(adu > top + 1000, top + 1000 + rng.normal(0, scatter, adu.shape), adu).astype(np.float32)
    found = detector_values.pile(adu.reshape(200, 300), 1000.0)
    assert 0.93 * top < found - 1000 <= top
    piled = np.abs(adu - top - 1000) < 3 * scatter + 1
    assert np.count_nonzero(piled) > 40
    assert np.mean(adu[piled] >= found) > 0.98


def test_lines_a_flat_and_an_empty_image_have_no_pile():
    rng = np.random.default_rng(3)
    assert detector_values.pile(lines(rng, np.inf).astype(np.float32).reshape(200, 300), 1000.0) == np.inf
    rows, columns = np.mgrid[:600, :800]
    light = 40_000 * np.exp(-0.5 * ((rows % 50 - 25) / 2) ** 2) * np.sin(np.pi * columns / 800) ** 2
    flat = rng.poisson(light) + 1000 + rng.normal(0, 3, light.shape)
    assert detector_values.pile(flat.astype(np.float32), 1000.0) == np.inf
    assert detector_values.pile(rng.normal(1000, 3, (200, 200)).astype(np.float32), 1000.0) == np.inf


@pytest.mark.parametrize("noise", [1.2, 2.2, 9.0])
def test_the_noise_of_the_overscan_is_measured_whatever_the_levels_of_the_rows(noise):
    assert detector_values.overscan_noise(frame(noise)) == pytest.approx(np.hypot(noise, np.sqrt(1 / 12)), rel=0.03)


@pytest.mark.parametrize(
    ("noise", "expected", "quality"),
    [
        (2.2, 2.2, Quality(0)),
        (2.2, 2.6, Quality(0)),
        (4.4, 2.2, Quality.READ_NOISE_DISAGREES),
        (1.2, 2.2, Quality.READ_NOISE_DISAGREES),
        (0.0, 2.2, Quality.READ_NOISE_DISAGREES),
        (2.2, 0.0, Quality(0)),
    ],
)
def test_a_frame_whose_noise_is_not_that_of_the_biases_is_named(noise, expected, quality):
    assert (
        header_checks.flags(frame(noise), TABLE, expected, 3.2, detector_values.overscan_noise(frame(noise))) == quality
    )


def test_only_a_noisier_overscan_changes_the_read_noise_of_a_frame():
    assert detector_values.read_noise(frame(2.2), 2.0) == 2.0
    assert detector_values.read_noise(frame(4.4), 2.2) == pytest.approx(4.4, rel=0.03)
    assert detector_values.read_noise(frame(0.0), 2.2) == 2.2


@pytest.mark.parametrize(
    ("header", "gain", "error"),
    [(None, 3.2, 0.96), (3.0, 3.0, 0.9), (1.0, 1.0, 2.2), (0.001, 3.2, 0.96), (65535.0, 3.2, 0.96)],
)
def test_without_a_flat_the_gain_is_that_of_a_sensible_header_and_its_error_is_the_distance_from_the_table(
    header, gain, error
):
    found = detector_values.nominal_gain([frame(header_gain_e_per_adu=header)], TABLE)
    assert found == pytest.approx((gain, error))


def test_the_read_noise_of_a_header_is_taken_by_the_gain_that_fits():
    silent, both = frame(), frame(header_gain_e_per_adu=1.0, header_read_noise_e=7.3)
    assert detector_values.header_noise([silent], TABLE, 2.2) is None
    assert detector_values.header_noise([both], TABLE, 6.6) == pytest.approx(7.3)
    assert detector_values.header_noise([both, silent], TABLE, 2.2) == pytest.approx(7.3 / 3.2)


def test_values_that_contradict_a_measurement_are_named():
    flag = Quality.HEADER_DISAGREES
    assert header_checks.flag_difference(None, 3.2, 0.1, flag) == Quality(0)
    assert header_checks.flag_difference(3.1, 3.2, 0.1, flag) == Quality(0)
    assert header_checks.flag_difference(1.0, 3.2, 0.1, flag) == flag
    assert header_checks.flag_difference(np.nan, 3.2, 0.1, flag) == flag


def test_the_noise_of_the_overscan_is_that_of_counts_as_the_camera_writes_them_too():
    real = frame(noise=6.0)
    real = replace(real, adu=real.adu.round())
    whole = replace(real, adu=real.adu.astype(np.uint16))
    assert detector_values.overscan_noise(whole) == detector_values.overscan_noise(real) == pytest.approx(6.0, rel=0.05)
