import numpy as np
import pytest

from nrespipe.engine import claims
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
    assert claims.limits(raw, TABLE) == used
    assert claims.doubts(raw, TABLE, 2.2) == quality


@pytest.mark.parametrize("noise", [1.2, 2.2, 9.0])
def test_the_noise_of_the_overscan_is_measured_whatever_the_levels_of_the_rows(noise):
    assert claims.overscan_noise(frame(noise)) == pytest.approx(np.hypot(noise, np.sqrt(1 / 12)), rel=0.03)


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
    assert claims.doubts(frame(noise), TABLE, expected) == quality


def test_headers_that_contradict_what_was_measured_are_named():
    silent, right = frame(), frame(header_gain_e_per_adu=3.1, header_read_noise_e=7.3)
    wrong = frame(header_gain_e_per_adu=1.0, header_read_noise_e=2.2)
    assert claims.header_gain([silent, right], 3.2) == Quality(0)
    assert claims.header_gain([right, wrong], 3.2) == Quality.HEADER_DISAGREES
    assert claims.header_noise([silent, right], 7.0) == Quality(0)
    assert claims.header_noise([wrong], 7.0) == Quality.HEADER_DISAGREES
