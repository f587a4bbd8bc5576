"""Simulated frames of a small spectrograph with their truth, and its masters, made once in a run of the tests."""

import shutil
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from types import SimpleNamespace

import numpy as np

from nrespipe import data, instruments
from nrespipe.frames.raw import Kind, RawFrame, Section
from nrespipe.frames.reduction import References
from nrespipe.recipes import arc, bias, dark, flat
from nrespipe.service import assembly
from nrespipe.settings import Settings
from nrespipe.simulator import bench as benches
from nrespipe.simulator import detector
from nrespipe.simulator import frame as frames

#: Tables of small spectrographs, under the names of the real ones: ten orders on a detector of 1536 x 704 pixels.
SMALL_TABLES = Path(__file__).parents[1] / "small"

LAMPS = {
    Kind.FLAT: (("tung", "tung", "none"), ("none", "tung", "tung")),
    Kind.ARC: (("thar", "thar", "none"), ("none", "thar", "thar")),
}


def small_spectrograph(name="nres03"):
    """Return a small spectrograph: the middle of a real one.

    Parameters
    ----------
    name : str, optional
        Of the real one.

    Returns
    -------
    Spectrograph
    """
    return instruments.load(name, SMALL_TABLES)


def install_tables(output):
    """Copy the tables of the small spectrographs to the place where a command looks for them.

    Parameters
    ----------
    output : Path
        Output directory.
    """
    shutil.copytree(SMALL_TABLES, output / "instruments", dirs_exist_ok=True)


def assemble(output, processes=0):
    """Return an assembly that reduces frames of the small spectrographs.

    Parameters
    ----------
    output : Path
        Output directory.
    processes : int, optional
        Frames at a time; 0 works in this process.

    Returns
    -------
    Assembly
    """
    install_tables(output)
    return assembly.build(output, Settings(processes=processes))


class SimulatedFrames:
    """Frames and masters of one spectrograph; its bench stood still while they were taken.

    Parameters
    ----------
    spectrograph : Spectrograph
    shelf : Shelf
        Where the processes of a run leave for each other what they have made.
    """

    def __init__(self, spectrograph, shelf):
        self.spectrograph, self._shelf = spectrograph, shelf
        self.bench = benches.build(spectrograph)

    def expose(self, scene, seed=0, state=None, **options):
        """Render a scene as the raw frame the file reader would give, with its truth."""
        rendered = frames.render(self.bench, scene, state or benches.State(), seed=seed, **options)
        nres, camera = self.spectrograph, self.spectrograph.cameras[0]
        rows, columns = nres.detector.rows, nres.detector.columns
        head = f"{nres.site}{nres.name.replace('nres', 'nrs')}-{camera}-20190405"
        raw = RawFrame(
            filename=f"{head}-{seed:04d}-{scene.kind.value[0]}00",
            kind=scene.kind,
            site=nres.site,
            instrument=nres.name,
            camera=camera,
            day="20190405",
            start_mjd=58578.5 + seed / 1440,
            exposure_s=scene.exposure_s,
            objects=tuple("HD102365" if source == "star" else source for source in scene.sources),
            adu=rendered.adu.astype(np.float32),
            bias_section=Section(columns + 6, columns + detector.OVERSCAN_COLUMNS, 0, rows),
            data_section=Section(0, columns, 0, rows),
            saturation_adu=47500.0,
            max_linear_adu=40000.0,
        )
        return SimpleNamespace(raw=raw, truth=rendered.truth, electrons=rendered.electrons)

    @cached_property
    def biases(self):
        """list of RawFrame: five."""
        return self._kept("biases", lambda: [self.expose(frames.Scene(Kind.BIAS), seed=i).raw for i in range(5)])

    @cached_property
    def bias(self):
        """Bias: of five frames."""
        return self._kept("bias", lambda: bias.combine(self.biases, References(), self.spectrograph))

    @cached_property
    def dark(self):
        """Dark: of three frames of 900 s."""

        def make():
            darks = [self.expose(frames.Scene(Kind.DARK, exposure_s=900.0), seed=10 + i).raw for i in range(3)]
            return dark.combine(darks, References(bias=self.bias), self.spectrograph)

        return self._kept("dark", make)

    @cached_property
    def flat(self):
        """Flat: of three frames of each pair of fibers."""

        def make():
            scenes = [frames.Scene(Kind.FLAT, sources, 30.0) for sources in LAMPS[Kind.FLAT]]
            flats = [self.expose(scene, seed=20 + 10 * k + i).raw for k, scene in enumerate(scenes) for i in range(3)]
            return flat.combine(flats, References(bias=self.bias, dark=self.dark), self.spectrograph)

        return self._kept("flat", make)

    @property
    def calibrations(self):
        """References: the masters and the lines that an arc needs."""
        return References(bias=self.bias, dark=self.dark, flat=self.flat, lamp=data.lamp_lines())

    @cached_property
    def references(self):
        """References: all masters, of two arcs of each pair of fibers, and all tables."""
        needed = replace(self.calibrations, lamp=data.lamp_lines())

        def make():
            scenes = [frames.Scene(Kind.ARC, sources, 600.0) for sources in LAMPS[Kind.ARC]]
            arcs = [self.expose(scene, seed=50 + 10 * k + i).raw for k, scene in enumerate(scenes) for i in range(2)]
            return arc.combine(arcs, needed, self.spectrograph)

        masks = {name: data.stellar_lines(name) for name in data.stellar_types()}
        return replace(
            needed, arc=self._kept("arc", make), masks=masks, spare_masks=(data.stellar_lines("F2"),),
            tellurics=data.tellurics(),
        )  # fmt: skip

    def _kept(self, name, make):
        rows = self.spectrograph.detector.rows
        return self._shelf.get(f"{self.spectrograph.name}-{rows}-{name}", make)
