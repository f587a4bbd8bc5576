"""Switch off each mechanism that removes cosmic rays, alone and in pairs, in frames that are harder than usual.

Run ``python benchmarks/cosmic_rays.py [--seeds N] [--quick]``. The extraction removes cosmic rays by five mechanisms:

* ``fit`` rejects the worst pixel of a column and fits again (``column_fit_kernels.fit``);
* ``reveal`` rejects pixels that are too bright for the flux that the neighboring columns suggest;
* ``runs`` rejects runs of pixels along a column;
* ``grow`` rejects pixels next to rejected ones at a lower threshold;
* ``hidden`` flags columns that neither profile nor neighbors explain, and raises their variance.

An adversary draws the cosmic rays: tracks at all angles with varying charge, worms, spots of diffused charge, tracks
along the dispersion within a trace, tracks along the columns within a trace. Stars have signal-to-noise
ratios of 10, 40 and 120; frames are as the flat, or have traces displaced by 0.1 px, a profile wider by 3 percent, or
sharp absorption and emission lines. Each frame is extracted with every set of mechanisms and compared with the truth
and with the same frame, same noise, without cosmic rays. The detector has ten orders.
"""

import argparse
import time
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, replace
from itertools import combinations, product
from pathlib import Path
from unittest import mock

import extraction
import numpy as np
from scipy.ndimage import maximum_filter, maximum_filter1d
from scipy.special import ndtr

from nrespipe import doppler, instruments
from nrespipe.engine.extraction import optimal_extraction
from nrespipe.frames.quality import Pixel
from nrespipe.frames.raw import Kind
from nrespipe.frames.traces import Traces
from nrespipe.numerics import cosmic_ray_kernels as kernels
from nrespipe.simulator import bench as benches
from nrespipe.simulator import detector, lineshape, starlight, stars
from nrespipe.simulator import frame as frames

SMALL = Path(__file__).parents[1] / "tests" / "small" / "nres01.toml"
MECHANISMS = ("fit", "reveal", "runs", "grow", "hidden")
KINDS = ("track", "worm", "spot", "along", "across")
CONDITIONS = ("usual", "moved", "wide", "lines")
SNRS = 10, 40, 120
#: Cosmic rays of the frames: the simulator's own, and those of the adversary at the usual rate and at five times it.
SOURCES = {"simulator": 1, "x1": 1, "x5": 5}
#: Of all cosmic rays, the share of each kind.
SHARES = (0.40, 0.15, 0.20, 0.08, 0.17)
#: Displacement of the traces [pixel], and relative width of the profile of the frames.
MOVED_PX, WIDER = 0.1, 1.03
#: Sharp lines per angstrom, and their standard deviation before the optics [m / s].
_LINES_PER_ANGSTROM, _LINE_MS = 0.6, 1500.0
_FIXED = extraction._FIXED
_COLUMNS = (
    "found", "> 5", "unflag", "lamp>5", "false", "lines", "lamp", "clean", "lost", "width", "low", "high", "bias",
    "off", "rv", "CPU",
)  # fmt: skip
_LEGEND = """
found: share of pixels above 8 standard deviations [%]; > 5, unflag: pixels of the star off by more than 5 errors, and
those of them without a flag; lamp>5: the latter of the lamp [1e-4]; false, lines, lamp: share of clean pixels rejected
near the star, in its sharp lines, near the lamp [1e-6]; clean: flagged columns without charge [1e-4]; lost: columns
with charge that have no flux [%]; width: pulls of columns with charge over those of the same columns without, lowest
and highest of S/N and condition; bias: their mean pull; off: nine of ten are closer to the truth [errors without
cosmic rays]; rv: rms shift of the velocity from unflagged pixels [photon errors]; CPU: of the extraction [ms]
"""


class Adversary:
    """Cosmic rays that are hard to find, in place of those of the simulator.

    Parameters
    ----------
    rows : shape (n_traces, n_columns)
        Rows of the traces of star and lamp [pixel].
    source
        One of `SOURCES`.
    seed
        Of the cosmic rays alone: the noise of the frame does not depend on them.
    """

    def __init__(self, rows, source, seed):
        self.traces, self.source, self.rng = rows, source, np.random.default_rng([seed, 77])
        self.charge, self._simulated = np.zeros((0, 0, 0)), detector.cosmics

    def __call__(self, _, exposure_s, rows, columns):
        """Return row, column and charge of all pixels, as ``detector.cosmics`` does; keep the charge of each kind."""
        self.charge = np.zeros((len(KINDS), rows, columns))
        if self.source == "simulator":
            found = self._simulated(self.rng, exposure_s, rows, columns)
            self.charge[0][found[:2]] = found[2]
            return found
        usual = detector.COSMIC_RATE * rows * columns * 0.0015**2 * exposure_s / 60
        counts = self.rng.poisson(SOURCES[self.source] * usual * np.array(SHARES))
        for charge, kind, count in zip(self.charge, KINDS, counts):
            paths = [getattr(self, f"_{kind}")(rows, columns) for _ in range(count)]
            if paths:
                _deposit(charge, *(np.concatenate(part) for part in zip(*paths)))
        total = self.charge.sum(axis=0)
        row, column = np.nonzero(total > 0.5)
        return row, column, total[row, column]

    def _level(self):
        """Charge per pixel of a track: that of a muon through a thin detector, with a wide scatter [electron]."""
        return np.clip(600.0 * np.exp(self.rng.standard_normal()), 30.0, 2e4)

    def _varied(self, steps):
        """Relative charge of the steps of a track: it varies from pixel to pixel, and now and then is five times it."""
        pixels = len(steps) // 4 + 2
        charge = self.rng.gamma(2.0, 0.5, pixels) * np.where(self.rng.random(pixels) < 0.03, 5.0, 1.0)
        return np.interp(steps, np.arange(pixels), charge)

    def _line(self, y, x, angle, length, sigmas):
        """A straight track whose width grows from the first to the second of `sigmas`."""
        steps = np.arange(0, length, 0.25)
        charge = 0.25 * self._level() * self._varied(steps)
        widths = np.linspace(*sigmas, len(steps))
        return y + steps * np.sin(angle), x + steps * np.cos(angle), charge, widths

    def _track(self, rows, columns):
        length = min(2.0 + self.rng.exponential(25.0), 300.0)
        place, sigmas = self.rng.uniform(0, (rows, columns)), self.rng.uniform((0.15, 0.2), (0.3, 0.7))
        return self._line(*place, self.rng.uniform(0, 2 * np.pi), length, sigmas)

    def _worm(self, rows, columns):
        """An electron that is scattered, more often the slower it gets, and leaves most of its charge at its end."""
        n = 4 * self.rng.integers(15, 120)
        left = 1 - np.arange(n) / n
        angle = self.rng.uniform(0, 2 * np.pi) + np.cumsum(0.12 / (left + 0.15) * self.rng.standard_normal(n))
        charge = 0.25 * self._level() * (1 + 2 * (left < 0.1)) * self._varied(np.arange(n) / 4)
        y, x = self.rng.uniform(0, (rows, columns))
        widths = np.full(n, self.rng.uniform(0.4, 0.8))
        return y + 0.25 * np.cumsum(np.sin(angle)), x + 0.25 * np.cumsum(np.cos(angle)), charge, widths

    def _spot(self, rows, columns):
        y, x = self.rng.uniform(0, (rows, columns))
        return tuple(np.array([value]) for value in (y, x, 3 * self._level(), self.rng.uniform(0.45, 0.8)))

    def _within(self):
        """A place within a trace, and the slope of the trace."""
        order, x = self.rng.integers(len(self.traces)), self.rng.integers(20, self.traces.shape[1] - 20)
        return self.traces[order, x], float(x), self.traces[order, x + 1] - self.traces[order, x]

    def _along(self, *_):
        y, x, slope = self._within()
        angle = slope + np.radians(self.rng.normal(0, 1)) + np.pi * self.rng.integers(2)
        sigmas = self.rng.uniform(0.2, 0.6, 2)
        return self._line(y + self.rng.uniform(-3, 3), x, angle, self.rng.uniform(8, 80), sigmas)

    def _across(self, *_):
        y, x, _ = self._within()
        length = self.rng.uniform(2, 14)
        angle = np.pi / 2 + np.radians(self.rng.normal(0, 2))
        return self._line(y + self.rng.uniform(-2, 2) - length / 2, x, angle, length, self.rng.uniform(0.2, 0.5, 2))


def _deposit(image, y, x, charge, sigma):
    """Add charge that has diffused to Gaussians to an image."""
    reach = np.arange(-3, 4)
    row, column = (np.round(at).astype(int)[:, np.newaxis] + reach for at in (y, x))
    shares = [
        ndtr((pixel + 0.5 - at[:, np.newaxis]) / sigma[:, np.newaxis])
        - ndtr((pixel - 0.5 - at[:, np.newaxis]) / sigma[:, np.newaxis])
        for pixel, at in ((row, y), (column, x))
    ]
    parts = charge[:, np.newaxis, np.newaxis] * shares[0][:, :, np.newaxis] * shares[1][:, np.newaxis, :]
    row, column = np.broadcast_arrays(row[:, :, np.newaxis], column[:, np.newaxis, :])
    inside = (row >= 0) & (row < image.shape[0]) & (column >= 0) & (column < image.shape[1])
    np.add.at(image, (row[inside], column[inside]), parts[inside])


def _sharp_lines():
    """Wavelengths of sharp lines [angstrom], and their optical thickness; negative is the height of emission."""
    rng, first, last = np.random.default_rng(17), 4600.0, 5500.0
    count = round((last - first) * _LINES_PER_ANGSTROM)
    emission = -np.exp(rng.uniform(np.log(0.3), np.log(20.0), count))
    return rng.uniform(first, last, count), np.where(rng.random(count) < 0.3, emission, rng.uniform(0.2, 4.0, count))


@contextmanager
def _condition(name):
    """Let the simulator make frames that differ from the flat."""
    if name == "wide":
        n = len(lineshape.across()[0]) // 2
        grid = np.arange(-n, n + 1)
        wide = np.array([np.interp(grid / WIDER, grid, table) for table in lineshape.across()])
        with mock.patch.object(lineshape, "across", return_value=wide):
            yield
    elif name == "lines":
        original = starlight.transmission
        with mock.patch.object(starlight, "transmission", lambda w, a: _with_lines(original(w, a), w)):
            yield
    else:
        yield


def _with_lines(transmission, wavelength):
    thickness, height = np.zeros(wavelength.shape), np.zeros(wavelength.shape)
    for center, depth in zip(*_sharp_lines()):
        sigma = center * _LINE_MS / doppler.C_MS
        for row in np.flatnonzero((wavelength[:, 0] < center) & (wavelength[:, -1] > center)):
            ends = np.searchsorted(wavelength[row], (center - 6 * sigma, center + 6 * sigma))
            near = slice(*ends)
            shape = np.exp(-0.5 * ((wavelength[row, near] - center) / sigma) ** 2)
            thickness[row, near] += max(depth, 0.0) * shape
            height[row, near] += max(-depth, 0.0) * shape
    return transmission * np.exp(-thickness) + height


@contextmanager
def without(names):
    """Switch mechanisms off; the threshold of the extraction is the value of the context."""
    replacements = {
        "reveal": (kernels, "reveal", lambda *_: 0),
        "runs": (kernels, "runs", lambda *_: 0),
        "grow": (kernels, "grow", lambda *_: 0),
        "hidden": (
            optimal_extraction,
            "_hidden",
            lambda _, __, flux, *___: (np.zeros_like(flux), np.zeros(flux.shape, bool)),
        ),
    }
    with ExitStack() as stack:
        for name in names:
            if name in replacements:
                stack.enter_context(mock.patch.object(*replacements[name]))
        yield np.inf if "fit" in names else 5.0


@contextmanager
def _timed(seconds):
    """Add up the CPU time of the mechanisms that are functions of their own [second]."""

    def clocked(name, function):
        def run(*arguments):
            began = time.process_time()
            result = function(*arguments)
            seconds[name] += time.process_time() - began
            return result

        return run

    with ExitStack() as stack:
        for name in ("reveal", "runs", "grow"):
            stack.enter_context(mock.patch.object(kernels, name, clocked(name, getattr(kernels, name))))
        for name in ("_hidden", "_reject"):
            stack.enter_context(
                mock.patch.object(optimal_extraction, name, clocked(name, getattr(optimal_extraction, name)))
            )
        yield


@dataclass
class Case:
    """A frame that is ready for the extraction, and its truth."""

    clean: object
    traces: object
    lit: tuple
    rendered: object
    charge: np.ndarray


@dataclass
class Result:
    """One extraction: arrays of the star, the pixels that were rejected, the velocity and the CPU time."""

    flux: np.ndarray
    variance: np.ndarray
    quality: np.ndarray
    blaze: np.ndarray
    rejected: np.ndarray
    spectra: object
    seconds: float


def _case(bench, refs, condition, snr, source, seed):
    """Render a frame and prepare it up to the extraction."""
    target = replace(stars.target("HD102365"), snr=float(snr))
    sources, exposure_s = ("star", "thar", "none"), extraction.EXPOSURE_S
    scene = frames.Scene(Kind.SCIENCE, sources, exposure_s, {0: target}, {0: 0.0})
    state = benches.State(rise_px=extraction.RISE_PX)
    x = np.arange(bench.spectrograph.detector.columns)
    adversary = Adversary(np.concatenate([benches.row(bench, f, x, state) for f in (0, 1)]), source, seed)
    with _condition(condition), mock.patch.object(detector, "cosmics", adversary):
        switches = frames.Switches(cosmics=source is not None)
        raw, rendered = extraction.raw_of(bench, scene, 1000 + seed, state=state, switches=switches)
    clean, traces, *_ = extraction.prepared(raw, refs, bench.spectrograph)
    if condition == "moved":
        traces = Traces(traces.fibers, traces.orders, traces.centers + MOVED_PX)
    charge = adversary.charge if source else np.zeros((len(KINDS), *rendered.electrons.shape))
    return Case(clean, traces, raw.lit_fibers, rendered, charge)


def _extracted(case, refs, names):
    with without(names) as threshold:
        began = time.process_time()
        spectra = optimal_extraction.optimal(
            case.clean, case.traces, refs.flat, case.lit, (1,), refs.arc.slant, threshold=threshold
        )
        seconds = time.process_time() - began
    rejected = np.zeros(case.rendered.electrons.shape, bool)
    rejected[tuple(spectra.rejected.T.astype(int))] = True
    return Result(*spectra.of(0), rejected, spectra, seconds)


def _velocity(result, quiet, flux, wavelength):
    """Shift of the velocity from cosmic rays, in photon errors: least squares of unflagged pixels against the truth."""
    good = (result.quality == 0) & np.isfinite(result.flux) & (quiet.quality & _FIXED == 0) & np.isfinite(quiet.flux)
    slope = np.gradient(flux, axis=1) / np.gradient(wavelength, axis=1) * wavelength / doppler.C_MS
    above = -np.sum((slope * (result.flux - quiet.flux) / quiet.variance)[good])
    return above / np.sqrt(np.sum((slope**2 / quiet.variance)[good]))


class Place:
    """Pixels and columns of a frame with charge of cosmic rays, and those without."""

    def __init__(self, bench, refs, case, quiet, condition):
        truth, shape = case.rendered.truth, case.rendered.electrons.shape
        noise = bench.read_noise_e**2 + bench.gain_e_per_adu**2 / 12 + 0.0015 * extraction.EXPOSURE_S
        sigma = np.sqrt(case.rendered.electrons + noise)
        window = lambda fiber: extraction.usable_window(bench, quiet.spectra, case.rendered, refs.flat, fiber)  # noqa: E731
        star, lamp = window(0), window(1)
        total = case.charge.sum(axis=0)
        away = ~maximum_filter(total > 1, (3, 3))
        self.strong, self.kind = star & (total > 8 * sigma), case.charge.argmax(axis=0)
        self.star, self.lamp = star & away, lamp & away
        self.good = (quiet.quality & _FIXED == 0) & np.isfinite(quiet.flux)
        self.charged, self.column_kind = self._columns(truth.rows[0], total / sigma, shape)
        self.lines = np.zeros(self.charged.shape, bool)
        if condition == "lines":
            x = np.arange(shape[1])
            for place, wavelength in zip(self.lines, truth.wavelength[0]):
                at = np.interp(_sharp_lines()[0], wavelength, x, -1, -1)
                place[np.round(at[at >= 0]).astype(int)] = True
            self.lines = maximum_filter1d(self.lines, 5, axis=1)
        self.line_pixels = np.zeros(shape, bool)
        for rows, place in zip(truth.rows[0], self.lines):
            for step in range(-4, 5):
                y = np.clip(np.round(rows[place]).astype(int) + step, 0, shape[0] - 1)
                self.line_pixels[y, np.flatnonzero(place)] = True
        self.line_pixels &= self.star
        #: columns with charge whose flux is known with all mechanisms: the same for every set
        self.compared = self.charged & self.good

    def _columns(self, rows, significance, shape):
        """Columns of the star with a pixel of three errors or more, those with any charge, and the kind of most."""
        x, best = np.arange(shape[1]), np.zeros(rows.shape)
        kind = np.zeros(rows.shape, int)
        for step in range(-4, 5):
            y = np.clip(np.round(rows).astype(int) + step, 0, shape[0] - 1)
            here = significance[y, x]
            kind = np.where(here > best, self.kind[y, x], kind)
            best = np.maximum(best, here)
        self.untouched = best < 0.2
        return best > 3, kind


def _known(result):
    return np.isfinite(result.flux) & (result.quality & _FIXED == 0)


def _lamp_outliers(result, quiet, case):
    """Unflagged pixels of the lamp that only cosmic rays put off by more than five errors."""
    flux = case.rendered.truth.flux[1]
    pulls, before = (
        (each.of(1).flux - flux) / np.sqrt(each.of(1).variance) for each in (result.spectra, quiet.spectra)
    )
    return np.count_nonzero((np.abs(pulls) > 5) & (np.abs(before) < 3) & (result.spectra.of(1).quality == 0))


def _measured(result, quiet, place, case, flux):
    """Counts and samples of one extraction, to be pooled over frames."""
    pulls = np.where(place.good, (result.flux - flux) / np.sqrt(result.variance), np.nan)
    reference = (quiet.flux - flux) / np.sqrt(quiet.variance)
    cosmic = result.quality & np.uint8(Pixel.COSMIC) > 0
    far, charged = place.good & (np.abs(pulls) > 5), place.charged & place.good
    compared = place.compared & np.isfinite(pulls)
    kinds = place.kind[place.strong]
    return {
        "strong": np.bincount(kinds, minlength=len(KINDS)),
        "found": np.bincount(kinds[result.rejected[place.strong]], minlength=len(KINDS)),
        "far": np.count_nonzero(far),
        "unflagged": np.bincount(place.column_kind[far & ~cosmic], minlength=len(KINDS)),
        "pixels": np.count_nonzero(place.good),
        "false": (np.count_nonzero(result.rejected & place.star), np.count_nonzero(place.star)),
        "lines": (np.count_nonzero(result.rejected & place.line_pixels), np.count_nonzero(place.line_pixels)),
        "lamp": (np.count_nonzero(result.rejected & place.lamp), np.count_nonzero(place.lamp)),
        "clean": (np.count_nonzero(cosmic & place.untouched & place.good), np.count_nonzero(place.untouched)),
        "lost": (np.count_nonzero(charged & ~_known(result)), charged.sum()),
        "pulls": pulls[compared],
        "reference": reference[compared],
        "off": ((result.flux - flux) / np.sqrt(quiet.variance))[compared],
        "lamp far": (_lamp_outliers(result, quiet, case), place.good.sum()),
        "velocity": _velocity(result, quiet, flux, case.rendered.truth.wavelength[0]),
        "seconds": result.seconds,
    }


def _sets():
    """All mechanisms; without one, without two; none."""
    single = [(name,) for name in MECHANISMS]
    return [(), *single, *combinations(MECHANISMS, 2), MECHANISMS]


def _title(names):
    if len(names) == len(MECHANISMS):
        return "none"
    return "without " + ", ".join(names) if names else "all"


def _ratio(pairs, scale):
    above, below = np.sum(pairs, axis=0)
    return scale * above / max(below, 1)


def _line(rows):
    """One row of the table, of the frames by (condition, S/N, density, seed)."""
    values = list(rows.values())
    pick = lambda name: [value[name] for value in values]  # noqa: E731
    groups = {}
    for (condition, snr, *_), value in rows.items():
        groups.setdefault((condition, snr), []).append(value)
    widths = [_width_ratio(group) for group in groups.values()]
    far, pixels = np.sum(pick("far")), np.sum(pick("pixels"))
    pulls = np.concatenate(pick("pulls"))
    return {
        "found": 100 * np.sum(pick("found")) / max(np.sum(pick("strong")), 1),
        "> 5": 1e4 * far / pixels,
        "unflag": 1e4 * np.sum(pick("unflagged")) / pixels,
        "false": _ratio(pick("false"), 1e6),
        "lines": _ratio(pick("lines"), 1e6),
        "lamp": _ratio(pick("lamp"), 1e6),
        "lamp>5": _ratio(pick("lamp far"), 1e4),
        "clean": _ratio(pick("clean"), 1e4),
        "lost": _ratio(pick("lost"), 100),
        "width": _width_ratio(values),
        "low": min(widths),
        "high": max(widths),
        "bias": np.mean(np.clip(pulls, -5, 5)) if len(pulls) else np.nan,
        "off": np.percentile(np.abs(np.concatenate(pick("off"))), 90) if len(pulls) else np.nan,
        "rv": np.sqrt(np.mean(np.square(pick("velocity")))),
        "CPU": 1e3 * np.median(pick("seconds")),
    }


def _width_ratio(values):
    """Width of the pulls in columns with charge, over that of the same columns without cosmic rays."""
    pulls, reference = (np.concatenate([value[name] for value in values]) for name in ("pulls", "reference"))
    return extraction._width(pulls) / extraction._width(reference) if len(pulls) > 30 else np.nan


def _references(spectrograph):
    """Masters of the small detector."""
    bench = benches.build(spectrograph)
    return bench, extraction.masters(bench, (5, 5))


def main():
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=2, help="frames of each condition, S/N and density")
    parser.add_argument("--quick", action="store_true", help="each mechanism alone off, no pairs")
    options = parser.parse_args()
    bench, refs = _references(instruments.read(SMALL))
    sets = [names for names in _sets() if not options.quick or len(names) < 2]
    rows = {source: {names: {} for names in sets} for source in SOURCES}
    quiet_rows, seconds = {}, dict.fromkeys(("_reject", "_hidden", *MECHANISMS), 0.0)
    for condition, snr, seed in product(CONDITIONS, SNRS, range(options.seeds)):
        calm = _case(bench, refs, condition, snr, None, seed)
        quiet, flux = _extracted(calm, refs, ()), calm.rendered.truth.flux[0]
        place = Place(bench, refs, calm, quiet, condition)
        quiet_rows[condition, snr, seed] = _measured(quiet, quiet, place, calm, flux)
        for source, names in product(SOURCES, sets):
            if not names:
                case = _case(bench, refs, condition, snr, source, seed)
                place = Place(bench, refs, case, quiet, condition)
            with _timed(seconds) if not names else nullcontext():
                result = _extracted(case, refs, names)
            if not names:
                place.compared &= _known(result)
            rows[source][names][condition, snr, seed] = _measured(result, quiet, place, case, flux)
        print(f"{condition} S/N {snr} seed {seed}: {time.process_time():.0f} s CPU", flush=True)
    print(_LEGEND)
    print(f"{'':23}", *(f"{name:>6}" for name in _COLUMNS))
    print(f"{'no cosmic rays':23}", *_cells(_line(quiet_rows)))
    for source, found in rows.items():
        print(f"cosmic rays: {source}")
        for names, values in found.items():
            print(f"{_title(names):23}", *_cells(_line(values)))
    for source, found in rows.items():
        print(f"\ncosmic rays: {source}; unflagged pixels off by more than 5 errors by kind, S/N, condition; found [%]")
        print(f"{'':23}", *(f"{name:>6}" for name in (*KINDS, *SNRS, *CONDITIONS, *KINDS)))
        for names, values in found.items():
            print(f"{_title(names):23}", *_parts(values))
    _print_seconds(rows, seconds)


def _parts(rows):
    """Unflagged outliers by kind, signal-to-noise ratio and condition, and the share found by kind."""

    def total(name, chosen=None):
        return np.sum([value[name] for key, value in rows.items() if chosen is None or chosen in key[:2]], axis=0)

    counts = [*total("unflagged"), *(total("unflagged", one).sum() for one in (*SNRS, *CONDITIONS))]
    shares = 100 * total("found") / np.maximum(total("strong"), 1)
    return [*(f"{count:6}" for count in counts), *(f"{share:6.2f}" for share in shares)]


def _print_seconds(rows, seconds):
    """Print the CPU time of each mechanism; that of the prediction from neighbors is only needed to reveal."""
    n = sum(len(found[()]) for found in rows.values())
    middle = lambda names: np.mean(  # noqa: E731
        [np.median([v["seconds"] for v in found[names].values()]) for found in rows.values()]
    )
    spent = {name: seconds[name] / n for name in MECHANISMS}
    spent["hidden"] = seconds["_hidden"] / n
    spent["fit"] = middle(()) - middle(("fit",))
    spent["reveal"] = seconds["_reject"] / n - spent["runs"] - spent["grow"]
    print("\nCPU of a frame [ms]:", ", ".join(f"{name} {1e3 * value:.1f}" for name, value in spent.items()), end="")
    print(f"; all of the extraction {1e3 * middle(()):.0f}")


def _cells(line):
    return [f"{line[name]:6.{3 if name in ('width', 'low', 'high', 'bias') else 2}f}"[:7] for name in _COLUMNS]


if __name__ == "__main__":
    main()
