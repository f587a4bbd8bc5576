import dataclasses

import numpy as np
import pytest

from nrespipe import data
from nrespipe.errors import BadFrame, MissingCalibration
from nrespipe.frames.quality import Quality
from nrespipe.frames.raw import Kind
from nrespipe.frames.reduction import References
from nrespipe.frames.traces import Traces
from nrespipe.recipes import RECIPES, arc, bias, dark, flat
from nrespipe.simulator import frame as frames

pytestmark = pytest.mark.slow


def test_every_kind_of_frame_has_a_recipe():
    assert set(RECIPES) == set(Kind)
    assert all(callable(recipe.reduce) for recipe in RECIPES.values())


def test_the_read_noise_is_that_of_the_amplifier(master_bias, bench):
    true = bench.read_noise_e / bench.gain_e_per_adu
    assert master_bias.read_noise_adu == pytest.approx(np.hypot(true, np.sqrt(1 / 12)), rel=0.02)


def test_a_bias_with_light_is_refused(expose, spectrograph):
    lit = expose(frames.Scene(Kind.FLAT, ("tung", "tung", "none"), 30.0), seed=3).raw
    with pytest.raises(BadFrame, match="not a bias"):
        bias.reduce(dataclasses.replace(lit, kind=Kind.BIAS), References(), spectrograph)


def test_a_dark_with_light_is_refused(expose, master_bias, spectrograph):
    lit = expose(frames.Scene(Kind.FLAT, ("tung", "tung", "none"), 30.0), seed=3).raw
    with pytest.raises(BadFrame, match="not a dark"):
        dark.reduce(lit, References(bias=master_bias), spectrograph)


def test_a_flat_with_the_lamp_off_is_refused(expose, calibrations, spectrograph):
    off = expose(frames.Scene(Kind.FLAT, ("tung", "tung", "none"), 30.0, lamp=1e-4), seed=4).raw
    with pytest.raises(BadFrame, match="lamp was off"):
        flat.reduce(off, calibrations, spectrograph)


def test_a_flat_that_is_saturated_is_refused(expose, calibrations, spectrograph):
    bright = expose(frames.Scene(Kind.FLAT, ("tung", "tung", "none"), 30.0, lamp=8.0), seed=4).raw
    with pytest.raises(BadFrame, match="saturated"):
        flat.reduce(bright, calibrations, spectrograph)


def test_a_flat_whose_light_lies_in_another_pair_than_its_header_says_is_told_by_the_others(
    expose, calibrations, spectrograph
):
    pairs = ("tung", "tung", "none"), ("none", "tung", "tung")
    one, two = (expose(frames.Scene(Kind.FLAT, lit, 30.0), seed=20).raw for lit in pairs)
    shots = [one, two, dataclasses.replace(two, objects=one.objects)]
    measured = [flat.reduce(raw, calibrations, spectrograph).measurements for raw in shots]
    reasons = flat.outlier_frames(["&".join(raw.objects) for raw in shots], measured)
    assert reasons == ["", "", "its light lies in the fibers of another pair than its header says"]


def test_an_arc_that_has_moved_along_the_orders_is_told_by_its_lines(expose, calibrations, spectrograph):
    raw = expose(frames.Scene(Kind.ARC, ("thar", "thar", "none"), 600.0), seed=50).raw
    moved = raw.adu.copy()
    lit = raw.data_section.slices
    moved[lit] = np.roll(moved[lit], 2, axis=1)
    refs = dataclasses.replace(calibrations, lamp=data.lamp_lines())
    here, there = (
        arc.reduce(shot, refs, spectrograph).measurements for shot in (raw, dataclasses.replace(raw, adu=moved))
    )  # fmt: skip
    for name in ("lines_fiber0_px", "lines_fiber1_px"):
        assert there[name] - here[name] == pytest.approx(2, abs=0.1)
    reasons = arc.outlier_frames(["thar&thar&none"] * 3, [here, here, there])
    assert [bool(reason) for reason in reasons] == [False, False, True]


def test_an_arc_with_the_lamp_off_is_refused(expose, calibrations, spectrograph):
    off = expose(frames.Scene(Kind.ARC, ("thar", "thar", "none"), 600.0, lamp=1e-5), seed=5).raw
    with pytest.raises(BadFrame, match="lamp was off"):
        arc.reduce(off, calibrations, spectrograph)


def test_an_arc_of_a_faint_lamp_is_kept(expose, calibrations, spectrograph):
    faint = expose(frames.Scene(Kind.ARC, ("thar", "thar", "none"), 600.0, lamp=0.05), seed=8).raw
    kept = arc.reduce(faint, dataclasses.replace(calibrations, lamp=data.lamp_lines()), spectrograph)
    assert kept.measurements["bright_pixels_per_order"] < 30


def test_a_fiber_that_no_flat_lit_is_a_missing_calibration(expose, calibrations, spectrograph):
    traces = calibrations.flat.traces
    narrow = Traces(traces.fibers[:2], traces.orders, traces.centers[:2])
    only = dataclasses.replace(calibrations.flat, traces=narrow, blaze=calibrations.flat.blaze[:2], peak_e_per_s=None)
    shot = expose(frames.Scene(Kind.ARC, ("none", "thar", "thar"), 600.0), seed=6).raw
    with pytest.raises(MissingCalibration, match="did not light fiber 2"):
        arc.reduce(shot, dataclasses.replace(calibrations, flat=only), spectrograph)


def test_the_flat_measures_the_true_gain_whatever_the_header_says(master_flat, bench):
    assert master_flat.gain_e_per_adu == pytest.approx(bench.gain_e_per_adu, rel=0.01)
    assert master_flat.traces.fibers == (0, 1, 2)


def test_the_flat_keeps_the_light_of_the_lamp_per_second(expose, master_flat):
    light = expose(frames.Scene(Kind.FLAT, ("tung", "tung", "none"), 30.0), seed=20).electrons
    columns = np.arange(0, light.shape[1], 8)
    for k in (1, 5, 8):
        rows = np.rint(master_flat.traces.centers[0, k, columns]).astype(int)
        across = [light[row - 8 : row + 9, x].sum() for row, x in zip(rows, columns)]
        assert master_flat.peak_e_per_s[0, k] == pytest.approx(np.percentile(across, 99) / 30, rel=0.03)


def test_a_profile_and_its_wings_add_up_to_one_over_the_pixels(master_flat):
    profile = master_flat.profile
    step = round(1 / (profile.offsets[1] - profile.offsets[0]))
    inside = np.abs(profile.offsets) <= 8.5
    beyond = profile.wings[:, profile.distances > 8.5].sum() * profile.distances[1]
    assert 5e-4 < beyond < 5e-3
    for phase in (0, 7, 13):
        pixels = np.arange(phase, len(profile.offsets), step)
        sums = profile.values[..., pixels[inside[pixels]]].sum(axis=-1)
        np.testing.assert_allclose(sums[sums > 0] + beyond, 1, atol=3e-4)


def test_masters_of_few_frames_say_so(biases, spectrograph):
    assert Quality.FEW_CALIBRATIONS in bias.combine(biases[:3], References(), spectrograph).origin.quality
