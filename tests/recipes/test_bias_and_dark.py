"""Masters of a real day, five biases and three darks, against what is fixed on the simulated detector."""

from dataclasses import replace

import numpy as np
import pytest

from nrespipe.engine.detector import correction
from nrespipe.frames.quality import Quality
from nrespipe.frames.raw import Kind
from nrespipe.frames.reduction import References
from nrespipe.recipes import bias, dark
from nrespipe.simulator import detector as truth
from nrespipe.simulator import frame as frames

pytestmark = pytest.mark.slow
HOT_S = 900.0


@pytest.fixture(scope="module")
def fixed(bench):
    size = bench.spectrograph.detector
    return truth.pattern(bench.seed, size.rows, size.columns)


@pytest.fixture(scope="module")
def unlit(expose, bench, spectrograph, master_bias, master_dark):
    """A long exposure without light, corrected; pulls of its pixels, nan where they are masked or were hit."""
    raw = expose(frames.Scene(Kind.DARK, exposure_s=1200.0), seed=90).raw
    image, _ = correction.correct(raw, master_bias, master_dark, spectrograph.detector, bench.gain_e_per_adu)
    pull = image.electrons / np.sqrt(image.floor_variance)
    return np.where((image.mask == 0) & (np.abs(pull) < 5), pull, np.nan)


def test_an_unlit_frame_scatters_by_its_variance_in_every_part_of_the_detector(unlit):
    assert np.nanmean(unlit**2) == pytest.approx(1, abs=0.01)
    # squares of 256 pixels
    parts = np.nanmean(unlit[:512, :1280].reshape(2, 256, 5, 256) ** 2, axis=(1, 3))
    assert np.abs(parts - 1).max() < 0.03


def test_no_fixed_pattern_is_left_in_the_columns_and_none_above_the_level_noise_in_the_rows(unlit, bench):
    columns = np.nanmean(unlit[:, :-1], axis=0) * np.sqrt(len(unlit))
    # the error of three darks of 900 s is the same along a column
    assert np.std(columns) < 1.35
    assert np.abs(columns).max() < 6
    # the level of a row is known to 0.2 ADU, whatever the masters are
    assert np.std(np.nanmean(unlit, axis=1)) * bench.read_noise_e < 0.25 * bench.gain_e_per_adu


def test_few_frames_add_less_than_two_percent_to_the_variance_of_the_read_noise(master_bias, master_dark):
    read_noise = master_bias.read_noise_adu**2
    assert np.median(master_bias.variance) < 0.02 * read_noise
    assert np.median(master_dark.variance) * HOT_S**2 < 0.02 * read_noise


def test_the_master_bias_errs_by_less_than_a_fifth_of_an_adu(master_bias, fixed):
    error = (master_bias.adu - fixed.bias_adu[: len(master_bias.adu), : master_bias.adu.shape[1]])[:, :-1]
    assert np.std(error) < 0.2


def test_noisy_and_jumping_pixels_and_a_bad_column_are_marked_in_the_bias(biases, spectrograph):
    rng, light = np.random.default_rng(1), spectrograph.detector
    rows, columns = (rng.integers(0, size, (3, 200)) for size in (light.rows, light.columns))
    spoiled = []
    for i, raw in enumerate(biases):
        adu = raw.adu.copy()
        adu[rows[0], columns[0]] += rng.normal(0, 25, 200)
        adu[rows[1], columns[1]] += 40 * (i % 2)
        adu[rows[2], columns[2]] += 100
        adu[500:, 1234] += 60
        spoiled.append(replace(raw, adu=adu))
    mask = bias.combine(spoiled, References(), spectrograph).mask
    assert np.mean(mask[rows[0], columns[0]] > 0) > 0.9
    assert np.mean(mask[rows[1], columns[1]] > 0) > 0.99
    assert np.mean(mask[rows[2], columns[2]] > 0) > 0.99
    assert np.mean(mask[512:, 1234] > 0) > 0.99
    others = mask > 0
    others[rows, columns] = others[:, 1234] = False
    assert np.mean(others) < 2e-5


def test_pixels_whose_charge_does_not_grow_with_time_are_marked_in_the_dark(expose, master_bias, spectrograph):
    exposures = (300.0, 300.0, 900.0, 900.0)
    shots = [expose(frames.Scene(Kind.DARK, exposure_s=t), seed=60 + i).raw for i, t in enumerate(exposures)]
    size = spectrograph.detector.rows, spectrograph.detector.columns
    steady, constant, jumping = np.random.default_rng(2).integers(0, np.array(size)[:, None], (3, 2, 300))
    spoiled = []
    for i, raw in enumerate(shots):
        adu = raw.adu.copy()
        adu[*steady] += raw.exposure_s / 3
        adu[*constant] += 300
        adu[*jumping] += 100 * (i % 2) + 50
        spoiled.append(replace(raw, adu=adu))
    mask = dark.combine(spoiled, References(bias=master_bias), spectrograph).mask
    assert np.mean(mask[*steady] > 0) < 0.02
    assert np.mean(mask[*constant] > 0) > 0.98
    assert np.mean(mask[*jumping] > 0) > 0.8


def test_hot_pixels_of_a_single_dark_may_be_cosmic_rays_and_are_marked(expose, master_bias, spectrograph):
    shot = expose(frames.Scene(Kind.DARK, exposure_s=900.0), seed=70)
    mask = dark.combine([shot.raw], References(bias=master_bias), spectrograph).mask
    rows, columns, charge = shot.truth.cosmics.T
    hard = charge > 100
    assert np.mean(mask[rows[hard].astype(int), columns[hard].astype(int)] > 0) > 0.99


def test_a_single_dark_above_a_bias_of_two_frames_loses_less_than_a_pixel_in_a_thousand(expose, biases, spectrograph):
    shot = expose(frames.Scene(Kind.DARK, exposure_s=900.0), seed=11)
    mask = dark.combine(
        [shot.raw], References(bias=bias.combine(biases[:2], References(), spectrograph)), spectrograph
    ).mask
    assert 0 < np.mean(mask > 0) < 2e-3


def test_a_read_noise_that_the_table_or_the_header_does_not_have_is_said_once(biases, spectrograph):
    some = [replace(raw, header_read_noise_e=7.3) for raw in biases[:2]]
    other = replace(spectrograph, detector=replace(spectrograph.detector, read_noise_e=12.0))
    right, wrong = (bias.combine(some, References(), table).origin.quality for table in (spectrograph, other))
    assert not right & (Quality.READ_NOISE_DISAGREES | Quality.HEADER_DISAGREES)
    assert Quality.READ_NOISE_DISAGREES in wrong
    claimed = [replace(raw, header_read_noise_e=2.2) for raw in some]
    assert Quality.HEADER_DISAGREES in bias.combine(claimed, References(), spectrograph).origin.quality
