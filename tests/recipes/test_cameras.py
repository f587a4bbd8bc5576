"""Cameras that neither table nor header describe: from raw frames to a star, against what was put in."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from simulated_frames import LAMPS, SimulatedFrames

from nrespipe import data
from nrespipe.engine.acceptance import master_checks
from nrespipe.engine.velocity import barycenter
from nrespipe.errors import BadFrame
from nrespipe.frames.quality import Quality
from nrespipe.frames.raw import Kind
from nrespipe.frames.reduction import References
from nrespipe.recipes import arc, bias, dark, flat, science
from nrespipe.simulator import frame as frames
from nrespipe.simulator import stars

pytestmark = pytest.mark.slow

#: Gain and read noise, what the header has of both and of the limits, and the light that does not fill 16 bits.
CAMERAS = {
    "one electron a count": (1.0, 6.6, {"header_gain_e_per_adu": 1.0, "header_read_noise_e": 7.3}, 0.45),
    "an older header": (
        2.17, 8.3, {"header_gain_e_per_adu": 2.17, "header_read_noise_e": 8.34, "saturation_adu": 55000.0,
                    "max_linear_adu": 55000.0}, 1.0,
    ),
    "that of the table": (3.2, 7.0, {"header_gain_e_per_adu": 1.0, "header_read_noise_e": 7.3}, 1.0),
    "unknown": (0.6, 12.0, {"saturation_adu": None, "max_linear_adu": None}, 0.4),
}  # fmt: skip
OF_THE_CAMERA = Quality.GAIN_DISAGREES | Quality.READ_NOISE_DISAGREES | Quality.HEADER_DISAGREES | Quality.GAIN_ASSUMED
FLAGS = {
    "one electron a count": Quality.GAIN_DISAGREES | Quality.READ_NOISE_DISAGREES,
    "an older header": Quality.GAIN_DISAGREES | Quality.READ_NOISE_DISAGREES,
    "that of the table": Quality.HEADER_DISAGREES,
    "unknown": Quality.GAIN_DISAGREES | Quality.READ_NOISE_DISAGREES,
}


class Camera:
    """Frames of the small spectrograph with another camera, each checked by its recipe as it comes."""

    def __init__(self, spectrograph, shelf, gain, read_noise_e, header, lamp):
        self.spectrograph, self.header, self.lamp = spectrograph, header, lamp
        self.light = SimulatedFrames(spectrograph, shelf)
        self.light.bench = replace(self.light.bench, gain_e_per_adu=gain, read_noise_e=read_noise_e)

    def take(self, recipe, refs, scene, seeds, change=lambda raw, _: raw):
        taken = []
        for i, seed in enumerate(seeds):
            raw = change(replace(self.light.expose(scene, seed=seed).raw, **self.header), i)
            recipe.reduce(raw, refs, self.spectrograph)
            taken.append(raw)
        return taken

    def bias(self, n=3, **options):
        return bias.combine(
            self.take(bias, References(), frames.Scene(Kind.BIAS), range(n), **options), References(), self.spectrograph
        )

    def dark(self, refs, **options):
        scene = frames.Scene(Kind.DARK, exposure_s=900.0)
        return dark.combine(self.take(dark, refs, scene, [10], **options), refs, self.spectrograph)

    def flats(self, refs, n=2, first=20, **options):
        scenes = [frames.Scene(Kind.FLAT, lit, 30.0, lamp=self.lamp) for lit in LAMPS[Kind.FLAT]]
        return [
            raw
            for k, scene in enumerate(scenes)
            for raw in self.take(flat, refs, scene, range(first + 10 * k, first + 10 * k + n), **options)
        ]

    def flat(self, refs, **options):
        return flat.combine(self.flats(refs, **options), refs, self.spectrograph)

    def arc(self, refs, **options):
        scenes = [frames.Scene(Kind.ARC, lit, 600.0, lamp=self.lamp) for lit in LAMPS[Kind.ARC]]
        arcs = [raw for k, scene in enumerate(scenes) for raw in self.take(arc, refs, scene, [50 + 10 * k], **options)]
        return arc.combine(arcs, refs, self.spectrograph)

    def night(self, **options):
        refs = References(lamp=data.lamp_lines())
        refs = replace(refs, bias=self.bias(**options))
        refs = replace(refs, dark=self.dark(refs, **options))
        refs = replace(refs, flat=self.flat(refs, **options))
        return replace(refs, arc=self.arc(refs, **options))

    def star(self, refs, change=lambda raw, _: raw):
        target = replace(stars.target("HD102365"), snr=60.0)
        berv = barycenter.at(target.star, 58578.5 + 300 / 86400, self.spectrograph).berv_ms
        scene = frames.Scene(Kind.SCIENCE, ("star", "thar", "none"), 600.0, {0: target}, {0: berv})
        shot = self.light.expose(scene, seed=70)
        raw = change(replace(shot.raw, objects=(target.star.name, "thar", "none"), start_mjd=58578.5, **self.header), 0)
        reduction = science.reduce(raw, replace(refs, stars={0: target.star}), self.spectrograph)
        flux, variance, quality, _ = reduction.spectra.of(0)
        rows = np.searchsorted(shot.truth.orders, reduction.spectra.orders)
        good = (quality == 0) & np.isfinite(flux)
        pulls = ((flux - shot.truth.flux[0][rows]) / np.sqrt(variance))[good]
        return SimpleNamespace(reduction=reduction, pulls=pulls, good=good)


def width(pulls):
    """Robust standard deviation."""
    return float(np.diff(np.percentile(pulls, (15.865, 84.135)))[0] / 2)


@pytest.mark.parametrize("name", CAMERAS)
def test_a_camera_that_the_table_does_not_know_gives_a_star_whose_errors_are_right(name, spectrograph, shelf):
    gain, read_noise_e, header, lamp = CAMERAS[name]
    camera = Camera(spectrograph, shelf, gain, read_noise_e, header, lamp)
    refs = camera.night()
    assert abs(refs.flat.gain_e_per_adu - gain) < 3 * refs.flat.gain_error
    assert refs.flat.gain_error < 0.02 * gain
    assert refs.bias.read_noise_adu == pytest.approx(np.hypot(read_noise_e / gain, np.sqrt(1 / 12)), rel=0.02)
    star = camera.star(refs)
    assert 0.95 < width(star.pulls) < 1.05
    assert np.mean(star.good) > 0.9
    assert star.reduction.quality & OF_THE_CAMERA == FLAGS[name]


@pytest.fixture(scope="module")
def usual(spectrograph, shelf):
    """The camera of the table, and the masters of its night."""
    camera = Camera(spectrograph, shelf, *CAMERAS["that of the table"])
    return camera, camera.night()


def jumping(step_adu, half, first=0):
    """Let one half of the detector, which another amplifier reads than the overscan, step from frame to frame."""

    def change(raw, number):
        adu, light = raw.adu.copy(), raw.data_section
        part = {
            "left": (slice(None), slice(0, light.end_column // 2)),
            "upper": (slice(light.end_row // 2, None), slice(0, light.end_column)),
        }[half]
        adu[part] += step_adu * (1 if (number + first) % 2 else -0.5)
        return replace(raw, adu=adu)

    return change


def noisier(raw, _):
    """Double the read noise."""
    more = 3**0.5 * 7.0 / 3.2 * np.random.default_rng(5).standard_normal(raw.adu.shape, dtype=np.float32)
    return replace(raw, adu=np.rint(raw.adu + more))


def test_a_bias_far_above_its_overscan_is_refused_only_if_it_has_the_noise_of_light(spectrograph, light):
    raw, lit = light.biases[0], light.biases[0].data_section.slices
    level, shone = raw.adu.copy(), raw.adu.copy()
    level[lit] += 300
    shone[lit] += np.random.default_rng(4).poisson(300 * 3.2, shone[lit].shape) / 3.2
    reduction = bias.reduce(replace(raw, adu=level), References(), spectrograph)
    assert Quality.LEVEL_JUMPED in reduction.quality
    assert Quality.LEVEL_JUMPED not in bias.reduce(raw, References(), spectrograph).quality
    with pytest.raises(BadFrame, match=r"30\d ADU above its overscan, with the noise of light: 9\.\d ADU"):
        bias.reduce(replace(raw, adu=shone), References(), spectrograph)


@pytest.mark.parametrize("half", ["left", "upper"])
def test_an_amplifier_whose_level_jumps_by_tens_of_counts_costs_no_frame_and_no_error(half, usual):
    camera, _ = usual
    refs = camera.night(change=jumping(60.0, half))
    assert Quality.LEVEL_JUMPED in refs.bias.origin.quality
    assert refs.bias.read_noise_adu == pytest.approx(np.hypot(7.0 / 3.2, np.sqrt(1 / 12)), rel=0.03)
    assert np.mean(refs.bias.mask > 0) < 1e-3
    assert abs(refs.flat.gain_e_per_adu - 3.2) < 3 * refs.flat.gain_error
    star = camera.star(refs, jumping(60.0, half, first=1))
    assert Quality.LEVEL_JUMPED in star.reduction.quality
    assert 0.95 < width(star.pulls) < 1.05
    assert abs(np.median(star.pulls)) < 0.15


@pytest.mark.parametrize("half", ["left", "upper"])
@pytest.mark.parametrize("step_adu", [100.0, -60.0])
def test_a_level_that_jumps_after_the_biases_is_corrected_and_told(step_adu, half, usual):
    camera, refs = usual
    assert Quality.LEVEL_JUMPED not in camera.star(refs).reduction.quality
    star = camera.star(refs, jumping(step_adu, half, first=1))
    assert Quality.LEVEL_JUMPED in star.reduction.quality
    assert 0.95 < width(star.pulls) < 1.05
    assert abs(np.median(star.pulls)) < 0.15


def test_a_star_with_twice_the_read_noise_of_the_biases_has_errors_for_it_and_says_so(usual):
    camera, refs = usual
    star = camera.star(refs, noisier)
    assert Quality.READ_NOISE_DISAGREES in star.reduction.quality
    assert 0.95 < width(star.pulls) < 1.05
    assert star.reduction.measurements["read_noise_adu"] == pytest.approx(2 * 7.0 / 3.2, rel=0.03)


def test_flats_with_twice_the_read_noise_of_the_biases_show_the_same_gain(usual):
    camera, refs = usual
    made = camera.flat(refs, change=noisier)
    assert abs(made.gain_e_per_adu - 3.2) < 3 * made.gain_error


def test_the_gain_goes_on_from_night_to_night_and_each_flat_keeps_its_own(usual):
    camera, refs = usual
    first = refs.flat
    inputs = camera.flats(refs, first=120)
    own = flat.combine(inputs, refs, camera.spectrograph)
    second = flat.combine(inputs, replace(refs, previous=first), camera.spectrograph)
    assert own.night_gain_e_per_adu == own.gain_e_per_adu == second.night_gain_e_per_adu
    low, high = sorted((own.gain_e_per_adu, first.gain_e_per_adu))
    assert low < second.gain_e_per_adu < high
    assert second.gain_error < 0.8 * own.gain_error
    again = flat.combine(inputs, replace(refs, previous=first), camera.spectrograph)
    assert (again.gain_e_per_adu, again.gain_error) == (second.gain_e_per_adu, second.gain_error)
    # its own frames are no evidence for themselves
    same = flat.combine(inputs, replace(refs, previous=own), camera.spectrograph)
    assert same.gain_e_per_adu == own.gain_e_per_adu


def test_a_camera_that_was_exchanged_is_told_and_its_gain_counts_at_once(usual, spectrograph, shelf):
    _, refs = usual
    other = Camera(spectrograph, shelf, *CAMERAS["one electron a count"])
    new = replace(refs, bias=other.bias())
    made = other.flat(replace(new, previous=refs.flat), first=160)
    assert Quality.GAIN_CHANGED in made.origin.quality
    assert made.gain_e_per_adu == made.night_gain_e_per_adu
    assert abs(made.gain_e_per_adu - 1.0) < 3 * made.gain_error
    judged = master_checks.judge(made, refs.flat, spectrograph)
    assert any("the gain has changed from 3." in reason for reason in judged.reasons)


def test_one_flat_of_a_pair_takes_the_running_gain_and_without_one_measures_it_poorly(usual):
    camera, refs = usual
    inputs = camera.flats(refs, n=1, first=140)
    alone = flat.combine(inputs, refs, camera.spectrograph)
    assert not alone.origin.quality & (Quality.GAIN_ASSUMED | Quality.GAIN_DISAGREES)
    assert 0.03 < alone.gain_error / alone.gain_e_per_adu < 0.1
    assert abs(alone.gain_e_per_adu - 3.2) < alone.gain_error
    after = flat.combine(inputs, replace(refs, previous=refs.flat), camera.spectrograph)
    assert after.gain_e_per_adu == refs.flat.gain_e_per_adu
    assert refs.flat.gain_error < after.gain_error < 1.2 * refs.flat.gain_error
    assert after.night_gain_e_per_adu == alone.gain_e_per_adu


def test_flats_whose_brightest_orders_saturate_are_used_and_serve(usual):
    camera, refs = usual
    camera.lamp = 2.5
    bright = camera.flats(refs, first=180)
    camera.lamp = 1.0
    made = flat.combine(bright, refs, camera.spectrograph)
    assert flat.reduce(bright[0], refs, camera.spectrograph).measurements["saturated"] > 0.005
    assert abs(made.gain_e_per_adu - 3.2) < 3 * made.gain_error
    star = camera.star(replace(refs, flat=made))
    assert 0.95 < width(star.pulls) < 1.05


def test_flats_of_one_pair_alone_measure_the_gain(usual):
    camera, refs = usual
    only = camera.flats(refs)[:2]
    made = flat.combine(only, refs, camera.spectrograph)
    assert abs(made.gain_e_per_adu - 3.2) < 3 * made.gain_error
    assert made.gain_error < 0.03 * made.gain_e_per_adu
