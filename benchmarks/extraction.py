"""From pixels to spectra, against the truth of simulated frames: bias, pulls, cosmic rays, CPU time and memory.

Run ``python benchmarks/extraction.py``; masters are made first, of five frames a kind (three darks), which takes a
minute or two.
"""

import resource
import time
from dataclasses import replace

import numpy as np

from nrespipe import instruments
from nrespipe.engine import background, detector, extract, follow
from nrespipe.frames.quality import Pixel
from nrespipe.frames.raw import Kind, RawFrame, Section
from nrespipe.frames.references import References
from nrespipe.recipes import bias, dark, flat
from nrespipe.simulator import bench as benches
from nrespipe.simulator import frame as frames
from nrespipe.simulator import stars

_PAIRS = (("tung", "tung", "none"), ("none", "tung", "tung"))
_FIXED = Pixel.BAD | Pixel.SATURATED | Pixel.OUTSIDE | Pixel.DARK | Pixel.BLENDED


def raw_of(bench, scene, seed, **options):
    """Render a scene; return it as the reader would, and the truth."""
    rendered = frames.render(bench, scene, seed=seed, **options)
    sections = Section(4102, 4160, 0, 4096), Section(0, 4096, 0, 4096)
    place = ("lsc", "nres01", "fa09", "20190405", 58578.5 + seed / 1440, scene.exposure_s)
    adu = rendered.adu.astype(np.float32)
    return RawFrame(f"frame{seed}", scene.kind, *place, scene.sources, adu, *sections), rendered.truth


def masters(bench):
    """Make the masters; print what each costs."""
    refs, nres = References(), bench.spectrograph
    scenes = {
        "bias": (bias, [frames.Scene(Kind.BIAS)] * 5),
        "dark": (dark, [frames.Scene(Kind.DARK, exposure_s=900.0)] * 3),
        "flat": (flat, [frames.Scene(Kind.FLAT, lit, 30.0) for lit in _PAIRS for _ in range(5)]),
    }
    for seed, (name, (recipe, wanted)) in enumerate(scenes.items()):
        inputs = [raw_of(bench, scene, 100 * seed + i)[0] for i, scene in enumerate(wanted)]
        began = time.process_time()
        refs = replace(refs, **{name: recipe.combine(inputs, refs, nres)})
        seconds = time.process_time() - began
        print(f"master {name} of {len(inputs)}: {seconds:.1f} s CPU, {_peak_gb():.2f} GB at most so far")
    return refs


def reduced(raw, refs, nres):
    """Extract a frame; return spectra, background and the CPU time of the steps [second]."""
    clock = [time.process_time()]
    image = detector.correct(raw, refs.bias, refs.dark, nres.detector, refs.flat.gain_e_per_adu)
    clock.append(time.process_time())
    clean = background.subtract(image, refs.flat.traces, raw.lit_fibers)
    clock.append(time.process_time())
    traces, shift = follow.orders(clean, refs.flat.traces, refs.flat, raw.lit_fibers)
    clock.append(time.process_time())
    spectra = extract.optimal(clean, traces, refs.flat, raw.lit_fibers)
    clock.append(time.process_time())
    return spectra, image.electrons - clean.electrons, shift, np.diff(clock)


def row(bench, refs, snr, fibers, hits=True):
    """Print what the extraction makes of one frame."""
    targets = {f: replace(stars.target("HD102365"), snr=float(snr)) for f in fibers}
    sources = tuple("star" if f in fibers else "thar" if f == 1 else "none" for f in range(3))
    scene = frames.Scene(Kind.SCIENCE, sources, 600.0, targets, dict.fromkeys(fibers, 0.0))
    raw, truth = raw_of(bench, scene, 900 + int(snr), switches=frames.Switches(cosmics=hits))
    spectra, removed, _, seconds = reduced(raw, refs, bench.spectrograph)
    flux, variance, quality, _ = spectra.of(fibers[0])
    true = truth.flux[truth.fibers.index(fibers[0])]
    good = (quality & np.uint8(_FIXED) == 0) & np.isfinite(flux)
    pulls = (flux - true)[good] / np.sqrt(variance[good])
    known = true[good] > 20
    blocks = removed.reshape(64, 64, 64, 64).mean(axis=(1, 3)) - truth.background
    rejected = np.mean(quality[good] & np.uint8(Pixel.COSMIC) > 0)
    print(
        f"{snr:5} {'two stars' if len(fibers) > 1 else 'one star':9} {'hits' if hits else 'none':5}"
        f" {np.median(pulls):+7.2f} {(np.percentile(pulls, 84) - np.percentile(pulls, 16)) / 2:6.3f}"
        f" {np.mean(np.abs(pulls) > 5):9.1e} {1e3 * np.median(flux[good][known] / true[good][known] - 1):+7.2f}"
        f" {rejected:9.1e} {np.median(blocks):+7.2f} {np.percentile(np.abs(blocks), 99):6.2f}"
        f"  {' '.join(f'{s:.2f}' for s in seconds)}"
    )


def main():
    """Print the table."""
    bench = benches.build(instruments.load("nres01"))
    refs = masters(bench)
    print("\npulls of the flux: median and half the 16-84 percent range; flux: median relative bias;")
    print("background minus truth [electron]; CPU seconds of detector, background, trace, extraction")
    print("  S/N fibers    cosmic  median  width    > 5 sd  bias/1000  rejected  backgr.   99 %  CPU")
    row(bench, refs, 1, (0,))  # compiles the kernels
    for snr in (1, 8, 50, 120, 200):
        for hits in (False, True):
            row(bench, refs, snr, (0,), hits)
    row(bench, refs, 100, (0, 2))
    print(f"peak memory {_peak_gb():.2f} GB, simulator included")


def _peak_gb():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


if __name__ == "__main__":
    main()
