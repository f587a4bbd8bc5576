"""Masters of a real day, five biases and three darks, against what is fixed on the simulated detector."""

from dataclasses import replace

import numpy as np
import pytest

from nrespipe.engine import detector
from nrespipe.frames.quality import Pixel, Quality
from nrespipe.frames.raw import Kind
from nrespipe.frames.references import References
from nrespipe.recipes import bias, dark
from nrespipe.simulator import detector as truth
from nrespipe.simulator import frame as frames

pytestmark = pytest.mark.slow
HOT_S = 900.0


@pytest.fixture(scope="module")
def fixed(bench):
    return truth.pattern(bench.seed)


@pytest.fixture(scope="module")
def unlit(expose, bench, nres01, master_bias, master_dark):
    """A long exposure without light, corrected; pulls of its pixels, nan where they are masked or were hit."""
    raw = expose(frames.Scene(Kind.DARK, exposure_s=1200.0), seed=90).raw
    image = detector.correct(raw, master_bias, master_dark, nres01.detector, bench.gain_e_per_adu)
    pull = image.electrons / np.sqrt(image.floor_variance)
    return np.where((image.mask == 0) & (np.abs(pull) < 5), pull, np.nan)


def test_an_unlit_frame_scatters_by_its_variance_in_every_part_of_the_detector(unlit):
    assert np.nanmean(unlit**2) == pytest.approx(1, abs=0.01)
    parts = np.nanmean(unlit[:, :4064].reshape(16, 256, 16, 254) ** 2, axis=(1, 3))
    assert np.abs(parts - 1).max() < 0.03


def test_no_fixed_pattern_is_left_in_the_columns_and_none_above_the_level_noise_in_the_rows(unlit, bench):
    columns = np.nanmean(unlit[:, :-1], axis=0) * np.sqrt(4096)
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
    error = (master_bias.adu - fixed.bias_adu[:4096, :4096])[:, :-1]
    assert np.std(error) < 0.2


def test_hot_pixels_are_corrected_or_marked_and_good_ones_are_neither_lost_nor_spoiled(
    master_bias, master_dark, fixed, bench
):
    gain = bench.gain_e_per_adu
    charge = (fixed.dark_e_per_s - np.median(fixed.dark_e_per_s, axis=1, keepdims=True))[:, :-1] * HOT_S
    error = (master_dark.adu_per_s * gain - fixed.dark_e_per_s)[:, :-1] * HOT_S
    noise = np.sqrt(bench.read_noise_e**2 + fixed.dark_e_per_s[:, :-1] * HOT_S)
    marked = ((master_bias.mask | master_dark.mask) > 0)[:, :-1]
    harmful = charge > 5 * bench.read_noise_e
    assert np.count_nonzero(harmful) > 1000
    assert np.mean(marked[harmful] | (np.abs(error[harmful]) < 3 * noise[harmful])) > 0.99
    good = charge < 0.5 * bench.read_noise_e
    assert np.mean(marked[good]) < 1e-4
    assert np.mean(np.abs(error[good]) > 2 * noise[good]) < 1e-4
    assert marked[charge > 20_000].all()


def test_noisy_and_jumping_pixels_and_a_bad_column_are_marked_in_the_bias(biases, nres01):
    rng = np.random.default_rng(1)
    rows, columns = rng.integers(0, 4096, (2, 3, 200))
    spoiled = []
    for i, raw in enumerate(biases):
        adu = raw.adu.copy()
        adu[rows[0], columns[0]] += rng.normal(0, 25, 200)
        adu[rows[1], columns[1]] += 40 * (i % 2)
        adu[rows[2], columns[2]] += 100
        adu[2000:, 1234] += 60
        spoiled.append(replace(raw, adu=adu))
    mask = bias.combine(spoiled, References(), nres01).mask
    assert np.mean(mask[rows[0], columns[0]] > 0) > 0.9
    assert np.mean(mask[rows[1], columns[1]] > 0) > 0.99
    assert np.mean(mask[rows[2], columns[2]] > 0) > 0.99
    assert np.mean(mask[2048:, 1234] > 0) > 0.99
    assert np.mean(mask > 0) < 3000 / mask.size


def test_pixels_whose_charge_does_not_grow_with_time_are_marked_in_the_dark(expose, master_bias, nres01):
    exposures = (300.0, 300.0, 900.0, 900.0)
    shots = [expose(frames.Scene(Kind.DARK, exposure_s=t), seed=60 + i).raw for i, t in enumerate(exposures)]
    steady, constant, jumping = np.random.default_rng(2).integers(0, 4096, (3, 2, 300))
    spoiled = []
    for i, raw in enumerate(shots):
        adu = raw.adu.copy()
        adu[*steady] += raw.exposure_s / 3
        adu[*constant] += 300
        adu[*jumping] += 100 * (i % 2) + 50
        spoiled.append(replace(raw, adu=adu))
    mask = dark.combine(spoiled, References(bias=master_bias), nres01).mask
    assert np.mean(mask[*steady] > 0) < 0.02
    assert np.mean(mask[*constant] > 0) > 0.98
    assert np.mean(mask[*jumping] > 0) > 0.8


def test_hot_pixels_of_a_single_dark_may_be_cosmic_rays_and_are_marked(expose, master_bias, nres01):
    shot = expose(frames.Scene(Kind.DARK, exposure_s=900.0), seed=70)
    mask = dark.combine([shot.raw], References(bias=master_bias), nres01).mask
    rows, columns, charge = shot.truth.cosmics.T
    hard = charge > 100
    assert np.mean(mask[rows[hard].astype(int), columns[hard].astype(int)] > 0) > 0.99


def test_a_single_dark_above_a_bias_of_two_frames_loses_less_than_a_pixel_in_a_thousand(expose, biases, nres01):
    shot = expose(frames.Scene(Kind.DARK, exposure_s=900.0), seed=11)
    mask = dark.combine([shot.raw], References(bias=bias.combine(biases[:2], References(), nres01)), nres01).mask
    assert 0 < np.mean(mask > 0) < 2e-3


def test_a_read_noise_that_the_table_or_the_header_does_not_have_is_said_once(biases, nres01):
    some = [replace(raw, header_read_noise_e=7.3) for raw in biases[:2]]
    other = replace(nres01, detector=replace(nres01.detector, read_noise_e=12.0))
    right, wrong = (bias.combine(some, References(), table).origin.quality for table in (nres01, other))
    assert not right & (Quality.READ_NOISE_DISAGREES | Quality.HEADER_DISAGREES)
    assert Quality.READ_NOISE_DISAGREES in wrong
    claimed = [replace(raw, header_read_noise_e=2.2) for raw in some]
    assert Quality.HEADER_DISAGREES in bias.combine(claimed, References(), nres01).origin.quality


def test_flawed_pixels_under_the_light_are_marked_in_the_flat_and_dust_is_not(expose, master_flat, fixed):
    lit = [("tung", "tung", "none"), ("none", "tung", "tung")]
    light = np.max([expose(frames.Scene(Kind.FLAT, pair, 30.0), seed=80).electrons for pair in lit], axis=0)
    flawed = (fixed.response < 0.7) & (light > 5000)
    good = (np.abs(fixed.response - 1) < 0.05) & (light > 5000)
    marked = master_flat.mask & np.uint8(Pixel.BAD) > 0
    assert np.count_nonzero(flawed) > 20
    assert np.mean(marked[flawed]) > 0.95
    assert np.mean(marked[good]) < 5e-4
