"""The simulated light of the figures: a small night of one spectrograph, with its masters and its truth."""

import pickle
from dataclasses import dataclass, replace
from functools import cached_property

from nrespipe import data, instruments
from nrespipe.engine.detector import correction
from nrespipe.engine.extraction import optimal_extraction, scattered_light
from nrespipe.engine.orders import trace_shift
from nrespipe.engine.wavelength import drift, frame_wavelengths
from nrespipe.frames.image import Image
from nrespipe.frames.raw import Kind, RawFrame, Section
from nrespipe.frames.reduction import References
from nrespipe.recipes import arc, bias, dark, flat
from nrespipe.simulator import bench as benches
from nrespipe.simulator import frame as frames
from nrespipe.simulator import stars

#: Seeds of the frames.
_BIASES, _DARKS, _FLATS, _ARCS, _STAR = range(5), range(10, 13), (range(20, 23), range(30, 33)), (50, 60), 90
_TUNGSTEN = ("tung", "tung", "none"), ("none", "tung", "tung")
_THORIUM = ("thar", "thar", "none"), ("none", "thar", "thar")
_NAME = "HD102365"
#: What the figures may show, in the words of their captions.
LIGHT = {
    "biases": f"five biases (seeds {_BIASES[0]} to {_BIASES[-1]})",
    "flat": f"a flat of the fibers 0 and 1 (seed {_FLATS[0][0]})",
    "flats": "six flats of both pairs of fibers (seeds "
    + " and ".join(f"{seeds[0]} to {seeds[-1]}" for seeds in _FLATS)
    + ")",
    "arc": f"an arc of the fibers 0 and 1 (seed {_ARCS[0]})",
    "arcs": f"two arcs (seeds {_ARCS[0]} and {_ARCS[1]})",
    "star": f"an exposure of {_NAME} at a signal-to-noise ratio of 100 with the lamp in fiber 1 (seed {_STAR})",
}
#: Rows of the biases that are kept.
_KEPT_ROWS = 256
#: How far the bench has moved when the star is exposed.
MOVED = benches.State(velocity_ms=150.0, rise_px=0.43)
_BERV_MS = 12_345.0


@dataclass(frozen=True)
class Exposure:
    """A raw frame with what is true of it.

    Attributes
    ----------
    raw : RawFrame
        As the reader would give it.
    truth : Truth
        Of the simulator.
    """

    raw: RawFrame
    truth: frames.Truth


@dataclass(frozen=True)
class Night:
    """What the figures are made of.

    Attributes
    ----------
    bench : Bench
        The spectrograph as it really stands.
    references : References
        All masters and tables.
    biases : list of RawFrame
        The lowest rows of those of the master.
    flat, arc, star : Exposure
        A flat and an arc of the fibers 0 and 1, and a star in fiber 0 with the lamp in fiber 1.
    berv_ms : float
        Barycentric correction of the star [m / s].
    """

    bench: benches.Bench
    references: References
    biases: list
    flat: Exposure
    arc: Exposure
    star: Exposure
    berv_ms: float = _BERV_MS

    def corrected(self, exposure):
        """Return a frame in electrons, with the masks of all masters.

        Parameters
        ----------
        exposure : Exposure
            Any frame of the night.

        Returns
        -------
        Image
        """
        refs, table = self.references, self.bench.spectrograph.detector
        image, _ = correction.correct(exposure.raw, refs.bias, refs.dark, table, refs.flat.gain_e_per_adu)
        return Image(image.electrons, image.floor_variance, image.mask | refs.flat.mask, image.exposure_s)

    @cached_property
    def star_image(self):
        """Image: the star in electrons, with its scattered light."""
        return self.corrected(self.star)

    @cached_property
    def star_clean(self):
        """Image: the star without its scattered light."""
        image, refs, lit = self.star_image, self.references, self.star.raw.lit_fibers
        return scattered_light.subtract(image, trace_shift.coarse(image, refs.flat.traces, lit), refs.flat, lit)

    @cached_property
    def star_place(self):
        """(Traces, Motion): where the orders of the star lie."""
        image, refs, lit = self.star_clean, self.references, self.star.raw.lit_fibers
        return trace_shift.measure(image, trace_shift.coarse(image, refs.flat.traces, lit), refs.flat, lit)

    @cached_property
    def star_spectra(self):
        """Spectra: of the star and the lamp beside it."""
        refs, lit = self.references, self.star.raw.lit_fibers
        return optimal_extraction.optimal(self.star_clean, self.star_place[0], refs.flat, lit, (1,), refs.arc.slant)

    @cached_property
    def star_wavelengths(self):
        """Wavelengths: of the star and the lamp beside it, with the drift since the arc."""
        moved = drift.measure(self.star_spectra, self.references.arc)
        return frame_wavelengths.compute(self.star_spectra, self.references.arc, moved)


def expose(bench, scene, seed, state=None):
    """Render a scene and return it as the reader would.

    Parameters
    ----------
    bench : Bench
        The spectrograph.
    scene : Scene
        What lights the fibers.
    seed : int
        Of the noise.
    state : State, optional
        Of the bench.

    Returns
    -------
    Exposure
    """
    rendered = frames.render(bench, scene, state or benches.State(), seed=seed)
    raw = RawFrame(
        filename=f"lscnrs01-fa09-20190405-{seed:04d}-{scene.kind.value[0]}00",
        kind=scene.kind,
        site="lsc",
        instrument="nres01",
        camera="fa09",
        day="20190405",
        start_mjd=58578.5 + seed / 1440,
        exposure_s=scene.exposure_s,
        objects=tuple(_NAME if source == "star" else source for source in scene.sources),
        adu=rendered.adu,
        bias_section=Section(4102, 4160, 0, 4096),
        data_section=Section(0, 4096, 0, 4096),
    )
    return Exposure(raw, rendered.truth)


def make():
    """Expose the night and make its masters.

    Returns
    -------
    Night
    """
    nres = instruments.load("nres01")
    bench = benches.build(nres)
    spare = (data.stellar_lines("F2"),)
    refs = References(lamp=data.lamp_lines(), tellurics=data.tellurics(), spare_masks=spare)
    refs = replace(refs, masks={name: data.stellar_lines(name) for name in data.stellar_types()})
    biases = [expose(bench, frames.Scene(Kind.BIAS), seed).raw for seed in _BIASES]
    refs = replace(refs, bias=bias.combine(biases, refs, nres))
    biases = [_lowest_rows(raw) for raw in biases]
    darks = [expose(bench, frames.Scene(Kind.DARK, exposure_s=900.0), seed).raw for seed in _DARKS]
    refs = replace(refs, dark=dark.combine(darks, refs, nres))
    pairs = zip(_TUNGSTEN, _FLATS)
    flats = [expose(bench, frames.Scene(Kind.FLAT, lit, 30.0), seed) for lit, seeds in pairs for seed in seeds]
    refs = replace(refs, flat=flat.combine([one.raw for one in flats], refs, nres))
    arcs = [expose(bench, frames.Scene(Kind.ARC, lit, 600.0), seed) for lit, seed in zip(_THORIUM, _ARCS)]
    refs = replace(refs, arc=arc.combine([one.raw for one in arcs], refs, nres))
    targets = {0: replace(stars.target(_NAME), snr=100.0)}
    scene = frames.Scene(Kind.SCIENCE, ("star", "thar", "none"), 600.0, targets, {0: _BERV_MS})
    return Night(bench, refs, biases, flats[0], arcs[0], expose(bench, scene, _STAR, MOVED))


def _lowest_rows(raw):
    sections = Section(4102, 4160, 0, _KEPT_ROWS), Section(0, 4096, 0, _KEPT_ROWS)
    return replace(raw, adu=raw.adu[:_KEPT_ROWS].copy(), bias_section=sections[0], data_section=sections[1])


def kept(path):
    """Return the night from a file, which is written if it does not exist.

    Parameters
    ----------
    path : Path
        The file.

    Returns
    -------
    Night
    """
    if not path.exists():
        night, partly = make(), path.with_suffix(".part")
        path.parent.mkdir(parents=True, exist_ok=True)
        partly.write_bytes(pickle.dumps(night, protocol=5))
        partly.replace(path)
        return night
    return pickle.loads(path.read_bytes())
