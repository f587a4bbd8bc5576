"""Velocities of simulated series against their truth: scatter, errors, and what is left of brightness and season.

Run ``python benchmarks/velocities.py [number of epochs]``; the stars are extracted spectra of a bench (photon and read
noise, tellurics, skewed lines, hits flagged and missed), with errors of wavelengths, drift and fiber of known size, a
planet of 30 m/s, and the Earth's motion over a year. ``--seeds`` draws as many series of each star, ``--stars`` takes
some of the stars only. ``--frames`` takes raw frames through the whole recipe instead; ``--cache`` names a directory
that keeps them for the next time.
"""

import argparse
import itertools
import time
from dataclasses import replace

import numpy as np
import velocity_frames

from nrespipe import data, instruments
from nrespipe.engine.velocity import measurement, template, template_fit
from nrespipe.frames.velocity import Barycentric
from nrespipe.simulator import bench as benches
from nrespipe.simulator import extracted_stars, stars

STARS = ("HD102365", "HD22049", "HD201091")
MASKS = {name: data.stellar_lines(name) for name in data.stellar_types()}
SPARE = (data.stellar_lines("F2"),)
TELLURICS = data.tellurics()
#: Errors that are made and claimed: zero point of a night, drift of a frame, fiber of a night [m / s].
ZERO_MS, DRIFT_MS, TRANSFER_MS = 0.8, 1.0, 0.6
PLANET_MS = 30.0
_HEADINGS = ("star", "S/N", "engine", "photon", "scatter", "ratio", "excess", "pulls", "mean", "orders")


def measured(spectra, wavelengths, target, berv_ms, **options):
    """Measure one exposure."""
    motion = Barycentric(58000.0, 2458000.5, berv_ms, True)
    return measurement.measure(
        spectra, wavelengths, 0, target.star, MASKS, TELLURICS, motion, spare_masks=SPARE, **options
    )


def series(bench, name, snr, epochs, seed=0):
    """Observe and measure a series.

    Returns truth and made error of each epoch, velocities by the mask, exposures for a template.
    """
    rng = np.random.default_rng([seed, int(snr), STARS.index(name)])
    target = replace(stars.target(name), snr=snr)
    bervs = np.linspace(-26e3, 26e3, epochs) + rng.uniform(-900, 900, epochs)
    truth = target.rv_ms + PLANET_MS * np.sin(2 * np.pi * np.arange(epochs) / 4.2)
    found, exposures = [], []
    for epoch in range(epochs):
        zero, drift, fiber = rng.standard_normal(3) * (ZERO_MS, DRIFT_MS, TRANSFER_MS)
        made_ms = zero + drift + fiber
        spectra = extracted_stars.expose(bench, replace(target, rv_ms=truth[epoch]), bervs[epoch], seed=[seed, epoch])
        wavelengths = extracted_stars.wavelengths(
            bench, zero_ms=made_ms, error_ms=np.hypot(ZERO_MS, TRANSFER_MS), drift_error_ms=DRIFT_MS
        )
        one = measured(spectra, wavelengths, target, bervs[epoch], transfer_noise_ms=TRANSFER_MS)
        found.append((made_ms, one))
        spectrum, numbers = measurement.prepared(spectra, wavelengths, 0)
        fwhm = wavelengths.line_shape.fwhm[0][np.isin(spectra.orders, numbers)]
        exposures.append(template.Exposure(spectrum, numbers, one.rv_ms, bervs[epoch], str(epoch), fwhm=fwhm))
    return target, truth, np.array([made for made, _ in found]), [one for _, one in found], exposures


def row(name, snr, engine, off_ms, made_ms, photon_ms, total_ms, orders):
    """Print what became of a series; return the numbers that have targets."""
    n, photon = len(off_ms), np.sqrt(np.mean(np.square(photon_ms)))
    scatter = np.std(off_ms - made_ms, ddof=1)
    pulls = np.std((off_ms - off_ms.mean()) / total_ms) * np.sqrt(n / (n - 1))
    excess = np.sqrt(max(scatter**2 - photon**2, 0.0))
    cells = (name, f"{snr:.0f}", engine, *(f"{x:.2f}" for x in (photon, scatter, scatter / photon, excess, pulls)))
    print(" ".join(f"{cell:>9}" for cell in (*cells, f"{off_ms.mean():+.2f}", f"{orders:.2f}")), flush=True)
    return scatter / photon, excess, (off_ms - off_ms.mean()) / np.asarray(total_ms) * np.sqrt(n / (n - 1))


def by_template(target, exposures):
    """Measure all exposures with one template of them, and each with one of the others."""
    made = template.build(exposures, target.star, tellurics=TELLURICS)
    fit = lambda e: template_fit.fit(e.spectrum, e.numbers, made, e.rv_ms, e.berv_ms, tellurics=TELLURICS)  # noqa: E731
    return made, [fit(e) for e in exposures], template.leave_one_out(exposures, target.star, tellurics=TELLURICS)


def statistics(bench, epochs, names, seeds):
    """Print all series of all stars; return pulls and ratios by engine and signal-to-noise ratio."""
    print(" ".join(f"{word:>9}" for word in _HEADINGS))
    pulls, ratios, templates = {"mask": [], "template": []}, {}, {}
    for snr in (100.0, 30.0):
        for name, seed in itertools.product(names, range(seeds)):
            target, truth, made_ms, found, exposures = series(bench, name, snr, epochs, seed)
            column = lambda attribute: np.array([getattr(one, attribute) for one in found])  # noqa: B023, E731
            one = row(
                name, snr, "mask", column("rv_ms") - truth, made_ms, column("photon_error_ms"), column("error_ms"),
                np.nan,
            )  # fmt: skip
            made, own, others = by_template(target, exposures)
            others_ms = np.sqrt(ZERO_MS**2 + DRIFT_MS**2 + TRANSFER_MS**2)
            templates[name, snr] = made
            for engine, fits in (("template", own), ("left out", others)):
                photon_ms = np.array([fit.photon_error_ms for fit in fits])
                two = row(
                    name, snr, engine, np.array([fit.rv_ms for fit in fits]) - truth, made_ms, photon_ms,
                    np.hypot([fit.error_ms for fit in fits], others_ms), np.mean([fit.order_chi2 for fit in fits]),
                )  # fmt: skip
                ratios.setdefault((engine, snr), []).append(two)
            ratios.setdefault(("mask", snr), []).append(one)
            pulls["mask"].append(one[2])
            pulls["template"].append(ratios["left out", snr][-1][2])
    return pulls, ratios, templates


def brightness(bench, names):
    """Print by how much the velocity at S/N 20 differs from that at 150: noise and its opposite cancel."""
    worst = 0.0
    for name in names:
        target, wavelengths, means = stars.target(name), extracted_stars.wavelengths(bench), {}
        for snr, seeds in ((20.0, (1, 2)), (150.0, (1,))):
            light, off = snr**2 * extracted_stars.spectrum(bench, target, 5e3), []
            for seed in seeds:
                noisy = extracted_stars.expose(bench, replace(target, snr=snr), 5e3, seed=seed, cosmic_share=0.0)
                for flux in (noisy.flux, 2 * light - noisy.flux):
                    off.append(measured(replace(noisy, flux=flux), wavelengths, target, 5e3).rv_ms - target.rv_ms)
            means[snr] = np.mean(off)
        worst = max(worst, abs(means[20.0] - means[150.0]))
        print(f"{name}: velocity at S/N 20 minus that at 150: {means[20.0] - means[150.0]:+.2f} m/s")
    return worst


def seasons(bench, templates, names):
    """Print how far noise-free spectra move with the Earth, by the mask and by templates that have noise."""
    worst = {"mask": 0.0, "template": 0.0}
    for name in names:
        target, wavelengths, moved = replace(stars.target(name), snr=np.inf), extracted_stars.wavelengths(bench), {}
        for berv_ms in np.linspace(-27e3, 27e3, 7):
            spectra = extracted_stars.expose(bench, target, berv_ms, seed=0)
            moved.setdefault("mask", []).append(measured(spectra, wavelengths, target, berv_ms).rv_ms)
            spectrum, numbers = measurement.prepared(spectra, wavelengths, 0)
            for snr in (100.0, 30.0):
                fit = template_fit.fit(
                    spectrum, numbers, templates[name, snr], target.rv_ms, berv_ms, tellurics=TELLURICS
                )  # fmt: skip
                moved.setdefault(f"template of S/N {snr:.0f}", []).append(fit.rv_ms)
        words = ", ".join(f"{engine} {np.std(v):.2f}" for engine, v in moved.items())
        print(
            f"{name}: noise-free spectra over the year: {words} m/s rms; "
            f"mask off by {np.mean(moved['mask']) - target.rv_ms:+.2f}"
        )
        worst["mask"] = max(worst["mask"], np.std(moved["mask"]))
        worst["template"] = max(worst["template"], np.std(moved["template of S/N 100"]))
    return worst


def verdict(what, value, low, high):
    """Print whether a number meets its target."""
    print(f"{'met   ' if low <= value <= high else 'MISSED'} {what}: {value:.2f} (target {low:g} to {high:g})")


def main(epochs, names=STARS, seeds=1):
    """Print all rows and which targets are met."""
    bench, began = benches.build(instruments.load("nres01")), time.process_time()
    pulls, ratios, templates = statistics(bench, epochs, names, seeds)
    dependence, season = brightness(bench, names), seasons(bench, templates, names)
    pooled = lambda key: np.sqrt(np.mean([r[0] ** 2 for r in ratios[key]]))  # noqa: E731
    worst = lambda key: np.sqrt(np.mean([r[1] ** 2 for r in ratios[key]]))  # noqa: E731
    sigma = 1 / np.sqrt(2 * (epochs - 1) * len(names) * seeds)
    print(f"ratios of scatter and photon error are known to {sigma:.2f} (one standard deviation)")
    verdict("mask, S/N 100: scatter / photon error", pooled(("mask", 100.0)), 0, 1.2)
    verdict("template, S/N 100: scatter / photon error", pooled(("template", 100.0)), 0, 1.05)
    verdict("template, S/N 30: scatter / photon error", pooled(("template", 30.0)), 0, 1.3)
    verdict("template, S/N 100: over-noise [m/s]", worst(("template", 100.0)), 0, 1.0)
    verdict("mask: pulls of the total error", np.std(np.concatenate(pulls["mask"])), 0.9, 1.1)
    verdict("template: pulls of the total error", np.std(np.concatenate(pulls["template"])), 0.9, 1.1)
    verdict("velocity at S/N 20 minus 150 [m/s]", dependence, 0, 1.0)
    verdict("noise-free spectra over the year, mask [m/s]", season["mask"], 0, 1.0)
    verdict("noise-free spectra over the year, template [m/s]", season["template"], 0, 1.0)
    print(f"{time.process_time() - began:.0f} s of CPU")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("epochs", nargs="?", type=int, default=16)
    parser.add_argument("--frames", action="store_true", help="raw frames of three nights instead")
    parser.add_argument("--cache", default=None, help="directory that keeps raw frames and masters")
    parser.add_argument("--stars", default=",".join(STARS))
    parser.add_argument("--seeds", type=int, default=1, help="series of each star")
    chosen = parser.parse_args()
    if chosen.frames:
        velocity_frames.main(benches.build(instruments.load("nres01")), chosen.cache, verdict)
    else:
        main(chosen.epochs, chosen.stars.split(","), chosen.seeds)
