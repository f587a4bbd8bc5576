"""Recipes that take no time, for the tests of the service: what the object is called decides what happens to it."""

import os
import time
from dataclasses import dataclass, replace

import numpy as np

from nrespipe import instruments
from nrespipe.errors import BadFrame, MissingCalibration, Skipped, Unavailable
from nrespipe.frames.judgement import Finding, Judgement
from nrespipe.frames.masters import Arc, Bias, Dark, Flat, Origin
from nrespipe.frames.quality import Quality
from nrespipe.frames.raw import Kind
from nrespipe.frames.reduction import Reduction
from nrespipe.frames.spectra import Spectra
from nrespipe.frames.star import Star
from nrespipe.frames.traces import Profile, Slant, Traces
from nrespipe.frames.velocity import Barycentric, OrderVelocities, Velocity
from nrespipe.frames.wavelength import ArcLines, Drift, LineShape, Solution, Wavelengths

ORDERS, PIXELS = np.array([90, 91]), 8
BRIGHT_ADU, ODD_ADU, HIGH_ADU = 30_000, 20_000, 12_000
CHANGED = "its level has changed by {value:.0f} ADU"
ERRORS = {"BAD": BadFrame, "SKIPPED": Skipped, "MISSING": MissingCalibration, "AWAY": Unavailable, "CRASH": ValueError}
SECONDS = {"SLOW": 0.2, "SLEEPER": 300.0}


@dataclass(frozen=True)
class Science:
    """Gives every star the velocity 100 m/s per fiber, or whatever its name asks for."""

    NEEDS: tuple[Kind, ...] = (Kind.BIAS, Kind.DARK, Kind.FLAT, Kind.ARC)

    def reduce(self, raw, refs, spectrograph):
        for name in raw.objects:
            word = name.removeprefix("STAR ")
            if word in ERRORS:
                raise ERRORS[word](f"{raw.filename}: asked for")
            if word == "KILL":
                os._exit(9)
            if word == "HOG":
                eat()
            if word in SECONDS:
                # for all to see that it has begun
                print(raw.filename, flush=True)
                time.sleep(SECONDS[word])
        assert all(getattr(refs, kind).origin.kind is kind for kind in self.NEEDS)
        spectra = spectra_of(raw.lit_fibers)
        drift = Drift(0.01, 0.001, 0.0, 0.0, 5.0, 1.0, 100)
        waves = np.broadcast_to(np.linspace(5000, 5010, PIXELS), spectra.flux.shape)
        wavelengths = Wavelengths(
            raw.lit_fibers, ORDERS, waves, np.ones(len(raw.lit_fibers)), drift, line_shape(raw.lit_fibers)
        )
        velocities = tuple(velocity(raw, fiber) for fiber in raw.star_fibers)
        return Reduction(
            quality=Quality.NO_METER,
            measurements={"trace_shift_px": 0.25, "hopeless": float("nan")},
            spectra=spectra,
            wavelengths=wavelengths,
            barycentric={v.fiber: v.barycentric for v in velocities},
            velocities=velocities,
        )


def eat():
    """Take more memory than anybody may, and keep it for longer than anybody may."""
    held = b"x" * 1_000_000_000
    time.sleep(300.0)
    del held


@dataclass(frozen=True)
class Calibration:
    """Refuses bright frames; makes the smallest master there is."""

    kind: Kind
    NEEDS: tuple[Kind, ...] = ()
    MINIMUM: int = 2
    LOOKBACK_DAYS: int = 0

    def reduce(self, raw, refs, spectrograph):
        if raw.adu.max() > BRIGHT_ADU:
            raise BadFrame(f"{raw.filename}: far too bright")
        assert all(getattr(refs, kind).origin.kind is kind for kind in self.NEEDS)
        return Reduction(measurements={"level_adu": float(raw.adu.mean())})

    def outlier_frames(self, lit, measured):
        return ["asked for" if each["level_adu"] > ODD_ADU else "" for each in measured]

    def combine(self, frames, refs, spectrograph):
        first = frames[0]
        if first.header.get("PROPID", ("",))[0] == "CONTRADICTORY":
            raise BadFrame(f"the {self.kind}s contradict each other")
        if first.header.get("PROPID", ("",))[0] == "CRASH":
            _ = 1 / 0
        mean_mjd = float(np.mean([raw.start_mjd for raw in frames]))
        names = tuple(sorted(raw.filename for raw in frames))
        place = {name: getattr(first, name) for name in ("site", "instrument", "camera", "day", "readout_mode")}
        origin = Origin(self.kind, mean_mjd=mean_mjd, inputs=names, **place)
        fibers = tuple(sorted({fiber for raw in frames for fiber in raw.lit_fibers}))
        light = first.data_section
        mean = np.mean([raw.adu for raw in frames], axis=0).astype(np.float32)
        mean = mean[light.first_row : light.end_row, light.first_column : light.end_column]
        return MAKERS[self.kind](origin, mean, fibers)


def judge(new, last, spectrograph):
    """Judge biases by their level, and accept every other master."""
    if new.origin.kind is not Kind.BIAS:
        return Judgement(())
    level = float(np.mean(new.adu))
    own = (Finding("high_adu", level, HIGH_ADU, HIGH_ADU, "its level is {value:.0f} ADU"),) * (level > HIGH_ADU)
    if last is None:
        return Judgement(own)
    change = Finding("level_adu", level - float(np.mean(last.adu)), 100, 1000, CHANGED)
    return Judgement((*own, change))


def bias(origin, mean, fibers):
    return Bias(origin, mean, np.ones_like(mean), 5.0)


def dark(origin, mean, fibers):
    return Dark(origin, mean, np.ones_like(mean), np.zeros(mean.shape, np.uint8))


def flat(origin, mean, fibers):
    centers = np.full((len(fibers), len(ORDERS), PIXELS), 3.0)
    values, wings = np.ones((len(fibers), len(ORDERS), 1, 5), np.float32), (np.arange(4.0), np.zeros((2, 4)))
    profile = Profile(np.arange(-2.0, 3.0), np.array([4.0]), values, *wings, np.ones_like(mean), np.zeros_like(mean))
    traces = Traces(fibers, ORDERS, centers)
    return Flat(origin, traces, profile, np.ones_like(centers), 1.0, 0.1, np.zeros(mean.shape, np.uint8))


def arc(origin, mean, fibers):
    n = len(fibers)
    degrees = np.array([[0, 0]])
    solution = Solution(
        fibers, ORDERS, PIXELS, degrees, np.ones((n, 1)), np.ones((n, 1, 1)), np.ones(n), np.ones(n, int)
    )
    one = np.ones(1)
    lines = ArcLines(np.full(1, fibers[0]), one.astype(int), one, one, one, one, one, one > 0)
    return Arc(origin, solution, lines, line_shape(fibers), upright(fibers), spectra_of(fibers), np.ones(n))


def upright(fibers):
    zero = np.zeros((len(fibers), 1))
    return Slant(fibers, (int(ORDERS[0]), int(ORDERS[-1])), PIXELS, np.zeros((1, 2), int), zero, zero)


def line_shape(fibers):
    n = len(fibers)
    return LineShape(
        fibers, ORDERS, np.ones((n, len(ORDERS), PIXELS)), np.arange(3.0), np.array([4.0]), np.ones((n, 1, 3))
    )


def spectra_of(fibers):
    ones = np.ones((len(fibers), len(ORDERS), PIXELS))
    return Spectra(fibers, ORDERS, ones, ones, np.zeros(ones.shape, np.uint8), ones)


def velocity(raw, fiber):
    n, hot = len(ORDERS), raw.objects[fiber] == "STAR HOT"
    numbers = {name: np.ones(n) for name in ("order_start_angstrom", "order_end_angstrom")}
    return Velocity(
        fiber=fiber,
        star=Star(raw.objects[fiber], ra_deg=10.0, dec_deg=-30.0),
        mask="G2",
        rv_ms=float("nan") if hot else 100.0 * (fiber + 1),
        error_ms=float("nan") if hot else 5.0,
        photon_error_ms=3.0,
        wavelength_error_ms=4.0,
        drift_error_ms=0.0,
        barycentric=Barycentric(raw.start_mjd, raw.start_mjd + 2400000.5, 12_000.0, True),
        snr=100.0,
        fwhm_ms=7000.0,
        contrast=0.5,
        bisector_ms=float("nan"),
        grid_ms=np.arange(3.0),
        ccf=np.ones((n, 3)),
        ccf_variance=np.ones((n, 3)),
        quality=Quality.NO_METER,
        orders=ORDERS,
        by_order=OrderVelocities(*np.ones((3, n))),
        **numbers,
    )


def spectrograph(name):
    """Return a real spectrograph with a detector of 24 x 16 pixels."""
    real = instruments.load(name)
    return replace(real, detector=replace(real.detector, columns=24, rows=16))


MAKERS = {Kind.BIAS: bias, Kind.DARK: dark, Kind.FLAT: flat, Kind.ARC: arc}
RECIPES = {
    Kind.BIAS: Calibration(Kind.BIAS),
    Kind.DARK: Calibration(Kind.DARK, (Kind.BIAS,)),
    Kind.FLAT: Calibration(Kind.FLAT, (Kind.BIAS, Kind.DARK)),
    Kind.ARC: Calibration(Kind.ARC, (Kind.BIAS, Kind.DARK, Kind.FLAT)),
    Kind.SCIENCE: Science(),
}
