"""Raw frames of three nights and their masters, kept in a directory if wanted, and what the recipe makes of a frame.

The frames have all that a detector does. Each night has arcs and a drift of its own, every second frame two stars;
there are clouds and their exposure meter, the motion of the Earth over a year, a planet, and cosmic rays.
"""

import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests/plugins"))

import extracted_arcs
import numpy as np

from nrespipe import data
from nrespipe.engine.velocity import measurement, template
from nrespipe.files import master_files as shelf
from nrespipe.frames.raw import Kind, RawFrame, Section
from nrespipe.frames.reduction import References
from nrespipe.recipes import arc, bias, dark, flat, science
from nrespipe.simulator import drift, observing_conditions, stars
from nrespipe.simulator import frame as frames

#: Star of each fiber; fiber 2 is lit in every second frame.
STARS = {0: ("HD102365", "HD201091"), 2: ("HD22049",)}
NIGHTS = ("20190405", "20190702", "20191015")
#: Signal-to-noise ratios of the frames of a night.
SNRS = (100.0, 100.0, 60.0, 100.0, 150.0, 30.0)
PLANET_MS, EXPOSURE_S = 30.0, 600.0
QUIET = frames.Switches(photon_noise=False, read_noise=False, cosmics=False)


@dataclass(frozen=True)
class Epoch:
    """One frame of the series.

    Attributes
    ----------
    name : str
        Of its file.
    night : str
        Whose masters it is reduced with.
    scene : Scene
        What lights the fibers.
    state : State
        Of the bench.
    start_mjd : float
        Shutter open, which may lie in another season than the night [MJD].
    meter : ExposureMeter
        What it saw.
    """

    name: str
    night: str
    scene: frames.Scene
    state: object
    start_mjd: float
    meter: object


def plan(bench, snr=None):
    """Return the frames of all nights, of their own signal-to-noise ratios or all of one."""
    epochs = []
    for n, night in enumerate(NIGHTS):
        moving, dusk = drift.through(bench, night), drift.midnight_mjd(night) + 1.0
        for i in range(len(SNRS)):
            state = moving.at(dusk + i / 24)
            epochs.append(_epoch(bench, night, n * len(SNRS) + i, snr or SNRS[i], state))
    return epochs


def _epoch(bench, night, number, snr, state):
    rng = np.random.default_rng([number, 9])
    # seasons by turns, so that every night holds the whole year
    start_mjd = 58578.1 + 365.25 * ((7 * number) % 18) / 18
    lit = {0: STARS[0][number % 2]} | ({2: STARS[2][0]} if number % 2 == 0 else {})
    targets, bervs, clouds = {}, {}, {}
    for fiber, name in lit.items():
        target = replace(stars.target(name), snr=snr)
        rv_ms = target.rv_ms + PLANET_MS * np.sin(2 * np.pi * start_mjd / 4.2)
        targets[fiber] = replace(target, rv_ms=rv_ms)
        clouds[fiber] = observing_conditions.clouds(rng, EXPOSURE_S)
        bervs[fiber] = observing_conditions.see(
            bench.spectrograph, target.star, start_mjd, EXPOSURE_S, clouds[fiber]
        ).berv_ms
    counts = dict.fromkeys(lit, 4000.0 * (snr / 100) ** 2)
    sources = ("star", "thar", "star" if 2 in lit else "none")
    scene = frames.Scene(Kind.SCIENCE, sources, EXPOSURE_S, targets, bervs, rng.uniform(1.0, 1.8), lamp=0.7)
    return Epoch(
        f"star{number:02d}", night, scene, state, start_mjd, observing_conditions.meter(rng, start_mjd, clouds, counts)
    )


class Archive:
    """Raw frames and masters that are made once, and kept in a directory where there is one."""

    def __init__(self, bench, directory=None):
        self.bench, self.directory = bench, directory and Path(directory)
        if self.directory:
            self.directory.mkdir(parents=True, exist_ok=True)

    def raw(self, name, night, scene, state, start_mjd, meter=None, switches=None):
        """Return a raw frame."""
        path = self.directory and self.directory / f"{name}.npy"
        if path and path.exists():
            adu = np.load(path)
        else:
            options = {"switches": switches} if switches else {}
            adu = frames.render(self.bench, scene, state, seed=[*map(ord, name)], **options).adu
            if path:
                np.save(path, adu)
        objects = tuple(
            scene.targets[fiber].star.name if source == "star" else source
            for fiber, source in enumerate(scene.sources)
        )  # fmt: skip
        return RawFrame(
            name, scene.kind, "lsc", "nres01", "fa09", night, start_mjd, scene.exposure_s, objects, adu,
            Section(4102, 4160, 0, 4096), Section(0, 4096, 0, 4096), saturation_adu=47500.0, max_linear_adu=40000.0,
            meter=meter,
        )  # fmt: skip

    def of_epoch(self, epoch, switches=None, mark=""):
        """Return the raw frame of an epoch, without what the switches take out; such frames have a mark."""
        return self.raw(
            epoch.name + mark, epoch.night, epoch.scene, epoch.state, epoch.start_mjd, epoch.meter, switches
        )  # fmt: skip

    def references(self, night, n_flat=5, flat_switches=None):
        """Return the masters of a night: arcs of its own, the others of the first night; switches are of the flats."""
        masks = {name: data.stellar_lines(name) for name in data.stellar_types()}
        refs = References(
            lamp=data.lamp_lines(), masks=masks, spare_masks=(data.stellar_lines("F2"),), tellurics=data.tellurics()
        )
        lamps = lambda source, n: [*[(source, source, "none")] * n, *[("none", source, source)] * n]  # noqa: E731
        first = NIGHTS[0]
        scenes = (
            ("bias", first, bias, [frames.Scene(Kind.BIAS)] * 5),
            ("dark", first, dark, [frames.Scene(Kind.DARK, exposure_s=900.0)] * 3),
            ("flat", first, flat, [frames.Scene(Kind.FLAT, lit, 60.0) for lit in lamps("tung", n_flat)]),
            ("arc", night, arc, [frames.Scene(Kind.ARC, lit, 600.0) for lit in lamps("thar", 2)]),
        )
        for name, of, recipe, wanted in scenes:
            switches = flat_switches if name == "flat" else None
            refs = replace(refs, **{name: self._master(name, of, recipe, wanted, refs, switches)})
        return refs

    def _master(self, name, night, recipe, scenes, refs, switches):
        marked = f"{night}_alike" if switches else night
        path = self.directory and self.directory / f"master_{name}_{marked}.fits"
        if path and path.exists():
            return shelf.read(path)
        moving, afternoon = drift.through(self.bench, night), drift.midnight_mjd(night) + 0.8
        inputs = []
        for i, scene in enumerate(scenes):
            at = afternoon + i * (scene.exposure_s + 40.0) / 86400
            inputs.append(self.raw(f"{name}{i:02d}_{marked}", night, scene, moving.at(at), at, switches=switches))
        began = time.process_time()
        made = recipe.combine(inputs, refs, self.bench.spectrograph)
        print(f"master {name} of {night}, {len(inputs)} frames: {time.process_time() - began:.1f} s CPU", flush=True)
        if path:
            shelf.write(made, path)
        return made


@dataclass(frozen=True)
class Found:
    """What became of one star in one frame.

    Attributes
    ----------
    epoch : Epoch
    truth_ms : float
        Its velocity [m / s].
    found, ideal : Velocity
        As measured, and with the true wavelengths.
    exposure : Exposure
        For a template.
    """

    epoch: Epoch
    truth_ms: float
    found: object
    ideal: object
    exposure: template.Exposure

    @property
    def made_ms(self):
        """float: what the wavelengths did to the velocity [m / s]."""
        return self.found.rv_ms - self.ideal.rv_ms


def reduced(bench, refs, raw, epoch, line_shape=None):
    """Reduce a frame; return what is found of each star, and the CPU time [second].

    The velocities with the true wavelengths are those that another line-spread function gives, if there is one.
    """
    refs = replace(refs, stars={fiber: target.star for fiber, target in epoch.scene.targets.items()})
    began = time.process_time()
    reduction = science.reduce(raw, refs, bench.spectrograph)
    seconds = time.process_time() - began
    spectra, scale, every = reduction.spectra, reduction.wavelengths, []
    x = np.arange(bench.spectrograph.detector.columns, dtype=float)
    there = np.isin(bench.spectrograph.orders, scale.orders)
    for one in reduction.velocities:
        angstrom = scale.vacuum_angstrom.copy()
        angstrom[scale.fibers.index(one.fiber)] = extracted_arcs.wavelength(bench, one.fiber, x, epoch.state)[there]
        true = replace(scale, vacuum_angstrom=angstrom, line_shape=line_shape or scale.line_shape)
        ideal = measurement.measure(
            spectra, true, one.fiber, one.star, refs.masks, refs.tellurics, one.barycentric,
            spare_masks=refs.spare_masks,
        )  # fmt: skip
        spectrum, numbers = measurement.prepared(spectra, scale, one.fiber)
        exposure = template.Exposure(spectrum, numbers, one.rv_ms, one.barycentric.berv_ms, raw.filename)
        every.append(Found(epoch, epoch.scene.targets[one.fiber].rv_ms, one, ideal, exposure))
    return every, seconds
