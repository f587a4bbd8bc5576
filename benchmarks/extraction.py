"""From pixels to spectra, against the truth of simulated frames: the rows of the targets, one line a frame.

Run ``python benchmarks/extraction.py``; masters are made first, of the frames of a usual day (5 biases, 3 darks, 10 and
5 flats of the two pairs of fibers, 4 arcs), which takes some minutes. ``--quick`` takes fewer flats and signal-to-noise
ratios.
"""

import argparse
import resource
import time
from dataclasses import replace

import numpy as np
from scipy.ndimage import maximum_filter

from nrespipe import data, doppler, instruments
from nrespipe.engine.detector import correction
from nrespipe.engine.extraction import optimal_extraction, scattered_light
from nrespipe.engine.orders import trace_shift
from nrespipe.frames.image import Image
from nrespipe.frames.quality import Pixel
from nrespipe.frames.raw import Kind, RawFrame, Section
from nrespipe.frames.reduction import References
from nrespipe.frames.traces import Traces
from nrespipe.recipes import arc, bias, dark, flat
from nrespipe.simulator import bench as benches
from nrespipe.simulator import frame as frames
from nrespipe.simulator import stars
from nrespipe.simulator.detector import OVERSCAN_COLUMNS, pattern

#: A frame of this length has 3,000 cosmic rays.
EXPOSURE_S = 914.0
#: How far the orders of the stellar frames have moved [pixel].
RISE_PX = 0.13
_FIXED = np.uint8(Pixel.BAD | Pixel.SATURATED | Pixel.OUTSIDE | Pixel.DARK | Pixel.BLENDED | Pixel.BLOOMED)
_NAMES = (
    "pull", "width", "low", "high", "bias", "eff", "> 5", "found", "false", "lamp", "backgr", "1 %", "99 %", "cross",
    "dy", "CPU",
)  # fmt: skip
_SMALL = ("> 5", "false", "lamp", "cross")
#: Lowest and highest value that meets the target.
_TARGETS = (
    ("width", 0.98, 1.02), ("eff", 99.5, np.inf), ("> 5", -np.inf, 5e-5), ("found", 99, np.inf),
    ("false", -np.inf, 1e-6), ("lamp", -np.inf, 3e-4), ("backgr", -0.1, 0.1), ("1 %", -1, np.inf),
    ("99 %", -np.inf, 1), ("cross", -np.inf, 2e-4), ("dy", -1, 1), ("CPU", -np.inf, 3),
)  # fmt: skip
#: Why a target is missed, as far as it is known.
_WHY = {
    "eff": "noise of the flats at high S/N; of the levels of the rows and of few biases and darks at low",
    "> 5": "hits along the column that look like the profile",
    "false": "orders 52 to 54, whose profile is known less well; and pixels beside hits",
    "backgr": "wings of the red orders, which only the blue ones tell",
    "CPU": "every column is fitted three times; and others use the machine",
}
_NOISELESS = frames.Switches(photon_noise=False, read_noise=False, cosmics=False, response=False)


def raw_of(bench, scene, seed, **options):
    """Render a scene; return it as the reader would, and the rendered frame."""
    rendered = frames.render(bench, scene, seed=seed, **options)
    rows, columns = bench.spectrograph.detector.rows, bench.spectrograph.detector.columns
    sections = Section(columns + 6, columns + OVERSCAN_COLUMNS, 0, rows), Section(0, columns, 0, rows)
    place = ("lsc", "nres01", "fa09", "20190405", 58578.5 + seed / 1440, scene.exposure_s)
    limits = {"saturation_adu": 47500.0, "max_linear_adu": 40000.0}
    adu = rendered.adu.astype(np.float32)
    return RawFrame(f"frame{seed}", scene.kind, *place, scene.sources, adu, *sections, **limits), rendered


def masters(bench, flats):
    """Make the masters; print what each costs."""
    refs, nres = References(lamp=data.lamp_lines()), bench.spectrograph
    lamps = [("tung", "tung", "none")] * flats[0] + [("none", "tung", "tung")] * flats[1]
    arcs = [("thar", "thar", "none"), ("none", "thar", "thar")] * 2
    scenes = {
        "bias": (bias, [frames.Scene(Kind.BIAS)] * 5),
        "dark": (dark, [frames.Scene(Kind.DARK, exposure_s=900.0)] * 3),
        "flat": (flat, [frames.Scene(Kind.FLAT, lit, 30.0) for lit in lamps]),
        "arc": (arc, [frames.Scene(Kind.ARC, lit, 600.0) for lit in arcs]),
    }
    for seed, (name, (recipe, wanted)) in enumerate(scenes.items()):
        inputs = [raw_of(bench, scene, 100 * seed + i)[0] for i, scene in enumerate(wanted)]
        began = time.process_time()
        refs = replace(refs, **{name: recipe.combine(inputs, refs, nres)})
        print(f"master {name} of {len(inputs)}: {time.process_time() - began:.1f} s CPU", flush=True)
    return refs


def prepared(raw, refs, nres):
    """Return a frame without its background, its orders, the background, and the CPU time of the steps [second]."""
    flat_, lit, clock = refs.flat, raw.lit_fibers, [time.process_time()]
    image, _ = correction.correct(raw, refs.bias, refs.dark, nres.detector, flat_.gain_e_per_adu)
    image = Image(image.electrons, image.floor_variance, image.mask | flat_.mask, image.exposure_s)
    clock.append(time.process_time())
    traces = trace_shift.coarse(image, flat_.traces, lit)
    clock.append(time.process_time())
    clean = scattered_light.subtract(image, traces, flat_, lit)
    clock.append(time.process_time())
    traces, motion = trace_shift.measure(clean, traces, flat_, lit)
    clock.append(time.process_time())
    detect, rough, scatter, fine = np.diff(clock)
    return clean, traces, motion, image.electrons - clean.electrons, (detect, scatter, rough + fine)


def reduced(raw, refs, nres):
    """Extract a frame; return spectra, background, motion of the orders and the CPU time of the steps [second]."""
    clean, traces, motion, background, seconds = prepared(raw, refs, nres)
    began = time.process_time()
    spectra = optimal_extraction.optimal(clean, traces, refs.flat, raw.lit_fibers, (1,), refs.arc.slant)
    return spectra, background, motion, (*seconds, time.process_time() - began)


def true_shares(bench):
    """Share of the light of every trace in every pixel, by fiber, from frames without noise that light it alone."""
    shares = {}
    for fiber in range(3):
        lit = tuple("tung" if f == fiber else "none" for f in range(3))
        switches = replace(_NOISELESS, scatter=False, fixed_pattern=False)
        shares[fiber] = frames.render(bench, frames.Scene(Kind.FLAT, lit, 30.0), switches=switches)
    return shares


def photon_limit(shares, rendered, fiber, noise_variance):
    """Variance of the light of each pixel of a fiber if profile and light were known; neighbors do not overlap."""
    lone = shares[fiber]
    variance = rendered.electrons + noise_variance
    weight = np.zeros(lone.truth.flux.shape[1:])
    column = np.arange(weight.shape[1])
    rows = np.round(lone.truth.rows[0]).astype(int)
    for step in range(-9, 10):
        y = rows + step
        inside = (y >= 0) & (y < len(variance))
        y = np.clip(y, 0, len(variance) - 1)
        with np.errstate(divide="ignore", invalid="ignore"):
            share = lone.electrons[y, column] / lone.truth.flux[0]
        weight += np.where(inside, share**2 / variance[y, column], 0)
    return 1 / weight


def usable_window(bench, spectra, rendered, flat_, fiber, half=4):
    """Pixels within some rows of the traces of a fiber that are sound and whose light is known, as an image of bool."""
    shape, traces = rendered.electrons.shape, flat_.traces
    fixed = pattern(bench.seed, *shape)
    # a hot or a dead pixel that the masters do not know is rejected rightly
    sound = (np.abs(fixed.response - 1) < 0.1) & (fixed.dark_e_per_s < 0.01) & (flat_.mask == 0)
    # saturated lines spill light that no model knows
    sound &= ~maximum_filter(rendered.electrons > 100_000, (61, 15))
    # where two fibers lie on each other neither light is known
    place = spectra.fibers.index(fiber)
    blended = spectra.quality[place] & np.uint8(Pixel.BLENDED) > 0
    window, x = np.zeros(shape, bool), np.arange(shape[1])
    for centers, unknown in zip(traces.centers[traces.fibers.index(fiber)], blended):
        known = np.isfinite(centers) & ~unknown
        for step in range(-half, half + 1):
            y = np.round(centers[known]).astype(int) + step
            inside = (y >= 0) & (y < shape[0])
            window[y[inside], x[known][inside]] = True
    return window & sound


def cosmic_rays(bench, spectra, rendered, flat_, fiber, noise_variance):
    """Share of the hits above 8 standard deviations that were found, and of the sound pixels that were rejected."""
    shape = rendered.electrons.shape
    hit, rejected = np.zeros(shape, np.float32), np.zeros(shape, bool)
    row, column, charge = rendered.truth.cosmics.T
    hit[row.astype(int), column.astype(int)] = charge
    rejected[tuple(spectra.rejected.T.astype(int))] = True
    window = usable_window(bench, spectra, rendered, flat_, fiber)
    strong = window & (hit > 8 * np.sqrt(rendered.electrons + noise_variance))
    near = np.zeros(shape, bool)
    for dy in (-1, 0, 1):
        for dx in (-1, 0, 1):
            near |= np.roll(hit > 0, (dy, dx), (0, 1))
    found = np.mean(rejected[strong]) if strong.any() else np.nan
    return found, np.mean(rejected[window & ~near])


def crosstalk(spectra, truth, star):
    """Light of bright lamp lines found in the star's fiber, relative to that of the line: nine tenths have less."""
    lamp = truth.flux[truth.fibers.index(1)]
    flux, _, quality, _ = spectra.of(star)
    # a line and the pixel of the star beside it stand in the same column
    chosen = (lamp > 5e5) & (quality & _FIXED == 0) & np.isfinite(flux)
    excess = flux - truth.flux[truth.fibers.index(star)]
    return np.percentile(np.abs(excess[chosen] / lamp[chosen]), 90) if chosen.any() else np.nan


def row(bench, refs, shares, snr, fibers, hits):
    """Print what the extraction makes of one frame, and return it by name."""
    targets = {f: replace(stars.target("HD102365"), snr=float(snr)) for f in fibers}
    sources = tuple("star" if f in fibers else "thar" if f == 1 else "none" for f in range(3))
    scene = frames.Scene(Kind.SCIENCE, sources, EXPOSURE_S, targets, dict.fromkeys(fibers, 0.0))
    state = benches.State(rise_px=RISE_PX)
    raw, rendered = raw_of(bench, scene, 900 + int(snr), state=state, switches=frames.Switches(cosmics=hits))
    spectra, removed, motion, seconds = reduced(raw, refs, bench.spectrograph)
    star, truth = fibers[0], rendered.truth
    flux, variance, quality, _ = spectra.of(star)
    true = truth.flux[truth.fibers.index(star)]
    # the whole numbers of the converter add a twelfth of their step
    noise_variance = bench.read_noise_e**2 + bench.gain_e_per_adu**2 / 12 + 0.0015 * EXPOSURE_S
    good = (quality & _FIXED == 0) & np.isfinite(flux)
    pulls = np.where(good, (flux - true) / np.sqrt(variance), np.nan)
    widths = np.array([_width(p[np.isfinite(p)]) for p in pulls if np.isfinite(p).sum() > 1000])
    limit = photon_limit(shares, rendered, star, noise_variance)
    # where the star shines: at a hundredth of the peak the variance is the same for all weights
    efficiency = np.sqrt(np.median((limit / variance)[good])) / _width(pulls[good])
    blocks = removed.reshape(64, 64, 64, 64).mean(axis=(1, 3)) - truth.background
    found, false = cosmic_rays(bench, spectra, rendered, refs.flat, star, noise_variance)
    lamp_false = cosmic_rays(bench, spectra, rendered, refs.flat, 1, noise_variance)[1]
    known = good & (true > 20)
    measured = {
        "pull": np.median(pulls[good]),
        "width": _width(pulls[good]),
        "low": np.percentile(widths, 5),
        "high": np.percentile(widths, 95),
        "bias": 1e3 * np.median((flux / true)[known] - 1),
        "eff": 100 * efficiency,
        "> 5": np.mean(np.abs(pulls[good]) > 5),
        "found": 100 * found,
        "false": false,
        "lamp": lamp_false,
        "backgr": np.median(blocks),
        "1 %": np.percentile(blocks, 1),
        "99 %": np.percentile(blocks, 99),
        "cross": crosstalk(spectra, truth, star) if snr < 10 else np.nan,
        "dy": 1e3 * (motion.shift_px - RISE_PX),
        "CPU": sum(seconds),
    }
    print(f"{snr:4} {len(fibers)} {3000 if hits else 0:4}", end=" ")
    print(*(f"{value:8.1e}" if name in _SMALL else f"{value:6.2f}" for name, value in measured.items()), end="  ")
    print(*(f"{second:.2f}" for second in seconds), flush=True)
    return measured


def summary(found):
    """Print the targets, the worst of the rows of one star, and whether all of them meet the target."""
    print("\ntarget, worst of the rows of one star, at S/N (hits)")
    for name, low, high in _TARGETS:
        known = {
            key: row[name] for key, row in found.items() if np.isfinite(row[name]) and (name != "dy" or key[0] >= 30)
        }
        if not known:
            continue
        key = max(known, key=lambda k: max(known[k] - high, low - known[k]))
        verdict = "met" if low <= known[key] <= high else f"missed: {_WHY.get(name, 'not known why')}"
        print(f"  {name:7} {low:8.3g} ... {high:<8.3g} {known[key]:9.3g} at {key[0]} ({3000 * key[1]})  {verdict}")


def _width(values):
    return (np.percentile(values, 84.134) - np.percentile(values, 15.866)) / 2


def weighting(bench, refs, slanted):
    """Velocity of one noise-free star with the weights of S/N 20 minus that with the weights of S/N 150 [m / s]."""
    target = replace(stars.target("HD102365"), snr=150.0)
    scene = frames.Scene(Kind.SCIENCE, ("star", "thar", "none"), EXPOSURE_S, {0: target}, {0: 0.0})
    rendered = frames.render(bench, scene, switches=replace(_NOISELESS, scatter=False, fixed_pattern=False))
    even = replace(refs.flat, profile=replace(refs.flat.profile, response=np.ones_like(refs.flat.profile.response)))
    traces = Traces((0, 1), refs.flat.traces.orders, refs.flat.traces.centers[:2])
    light = np.minimum(rendered.electrons, 150_000.0).astype(np.float32)
    floor = np.full(light.shape, bench.read_noise_e**2, np.float32)
    spectra = []
    # the light of the fainter star, and its noise relative to the light
    for scale in (1.0, 0.9 * (20 / 150) ** 2):
        image = Image(light * np.float32(scale), floor, refs.flat.mask, EXPOSURE_S)
        slant = refs.arc.slant if slanted else None
        found = optimal_extraction.optimal(image, traces, even, (0, 1), (1,), slant, threshold=1e6)
        spectra.append((found.of(0).flux / scale, found.of(0).variance / scale**2, found.of(0).quality))
    return _shift_ms(*spectra, rendered.truth.wavelength[0])


def _shift_ms(bright, faint, wavelength):
    """Doppler shift of one spectrum against another by least squares, the orders scaled to each other [m / s]."""
    (flux, variance, quality), (other, _, other_quality) = bright, faint
    good = (quality & _FIXED == 0) & (other_quality & _FIXED == 0) & np.isfinite(flux) & np.isfinite(other)
    good[:, :30] = good[:, -30:] = False
    x, above, below = np.arange(flux.shape[1]) / flux.shape[1], 0.0, 0.0
    for k in np.flatnonzero(good.sum(axis=1) > 500):
        g, light = good[k], np.nan_to_num(flux[k])
        ratio = np.polynomial.Polynomial.fit(x[g], other[k][g] / light[g], 5, w=np.sqrt(np.maximum(light[g], 0)))
        slope = np.gradient(light) / np.gradient(wavelength[k]) * wavelength[k] / doppler.C_MS
        above -= np.sum((slope * (other[k] / ratio(x) - light) / variance[k])[g])
        below += np.sum((slope**2 / variance[k])[g])
    return above / below


def main():
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="five flats a pair, S/N 8 and 120 only")
    quick = parser.parse_args().quick
    bench = benches.build(instruments.load("nres01"))
    refs = masters(bench, (5, 5) if quick else (10, 5))
    shares = true_shares(bench)
    print(f"gain / true gain - 1, in thousandths: {1e3 * (refs.flat.gain_e_per_adu / bench.gain_e_per_adu - 1):+.2f}")
    print("\nfluxes of the first star against the truth")
    print("  pull: median and width of all pixels, 5-95 percent range of the width of the orders; bias: median of")
    print(
        "  flux / truth - 1, in thousandths; eff: share of the photon limit, percent; > 5: share of the pixels beyond"
    )
    print("  five errors; found: hits above 8 sigma, percent; false, lamp: sound pixels rejected in star and lamp;")
    print("  backgr: found minus true, median and 1-99 percent [electron]; cross: bright lamp lines in the star;")
    print("  dy: error of the place of the orders [thousandth pixel]; CPU: whole frame, then detector, background,")
    print("  place of the orders, extraction [second]")
    print(" S/N n hits", *(f"{name:>8}" if name in _SMALL else f"{name:>6}" for name in _NAMES))
    row(bench, refs, shares, 8, (0,), False)  # compiles the kernels
    ratios = (8, 120) if quick else (1, 8, 30, 50, 120, 200)
    found = {(snr, hits): row(bench, refs, shares, snr, (0,), hits) for snr in ratios for hits in (False, True)}
    row(bench, refs, shares, 100, (0, 2), True)
    summary(found)
    modelled, upright = weighting(bench, refs, True), weighting(bench, refs, False)
    print("velocity of one image with the weights of S/N 20 minus that with those of S/N 150 (1 m/s):")
    print(f"  with the slant of the lines {modelled:+.2f} m/s, without it {upright:+.2f} m/s")
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6:.2f} GB, simulator included")


if __name__ == "__main__":
    main()
