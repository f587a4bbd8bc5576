"""Velocities of raw frames of three nights through the whole recipe; ``velocities.py --frames`` prints them."""

import time
from dataclasses import replace

import numpy as np
from frame_archive import NIGHTS, QUIET, Archive, plan, reduced

from nrespipe import data
from nrespipe.engine.velocity import template
from nrespipe.frames.quality import Quality


def _chi(values, errors):
    """Root of the reduced chi-square about the weighted mean, and its degrees of freedom."""
    values, errors = np.asarray(values), np.asarray(errors)
    mean = np.average(values, weights=errors**-2.0)
    return np.sqrt(np.sum(((values - mean) / errors) ** 2) / (len(values) - 1)), len(values) - 1


def _pooled(chis):
    return np.sqrt(sum(chi**2 * n for chi, n in chis) / sum(n for _, n in chis))


def _absolute_ms(found):
    """Error of a velocity with what is the same in every frame."""
    return np.linalg.norm([found.error_ms, found.mask_error_ms, found.scale_error_ms])


def of_series(every):
    """Print the series of each star by both engines; return the roots of reduced chi-squares by engine."""
    print("\nscatter over photon error, the errors of the wavelengths set aside; pulls of the total error")
    ratios, largest, worst = {}, 0.0, 0
    for name in sorted({one.found.star.name for one in every}):
        mine = [one for one in every if one.found.star.name == name]
        truth, made = np.array([one.truth_ms for one in mine]), np.array([one.made_ms for one in mine])
        fits = template.leave_one_out([one.exposure for one in mine], mine[0].found.star, tellurics=data.tellurics())
        for engine, velocities in (("mask", [one.found for one in mine]), ("template", fits)):
            rv_ms, photon_ms = (np.array([getattr(v, a) for v in velocities]) for a in ("rv_ms", "photon_error_ms"))
            chi = _chi(rv_ms - truth - made, photon_ms)
            ratios.setdefault(engine, []).append(chi)
            others = [np.hypot(one.found.wavelength_error_ms, one.found.transfer_error_ms) for one in mine]
            drifts = [one.found.drift_error_ms for one in mine]
            mismatch = [getattr(v, "mismatch_ms", 0.0) for v in velocities]
            total, _ = _chi(rv_ms - truth, np.linalg.norm([photon_ms, mismatch, drifts, others], axis=0))
            ratios.setdefault(f"{engine} total", []).append((total, chi[1]))
            print(
                f"  {name} {engine:9} {len(mine)} frames, photon error {photon_ms.min():.2f} to {photon_ms.max():.2f}: "
                f"scatter / photon {chi[0]:.2f}, pulls of the total {total:.2f}, mean {np.mean(rv_ms - truth):+.2f} m/s"
            )
        gap = [
            (fit.rv_ms - one.found.rv_ms) / np.hypot(fit.photon_error_ms, one.found.photon_error_ms)
            for fit, one in zip(fits, mine)
        ]
        largest = max(largest, float(np.max(np.abs(gap - np.mean(gap)))))
        worst += sum(fit.order_chi2 > 2 for fit in fits)
    print(f"  mask and left-out template differ by {largest:.1f} photon errors at most; {worst} alarms of the orders")
    return ratios


def of_wavelengths(every):
    """Print what the wavelengths of each night and fiber do to the velocities; return its scatters."""
    print("\nvelocities less those with the true wavelengths [m / s]")
    nights, frames_ms, claimed = {}, [], []
    for one in every:
        nights.setdefault((one.epoch.night, one.found.fiber, one.found.star.name), []).append(one)
    means = {}
    for (night, fiber, name), some in nights.items():
        made = np.array([one.made_ms for one in some])
        means.setdefault((fiber, name), []).append(made.mean())
        frames_ms += list((made - made.mean()) * np.sqrt(len(made) / (len(made) - 1)))
        claimed += [one.found.drift_error_ms for one in some]
        parts = [np.mean([getattr(one.found, f"{p}_error_ms") for one in some]) for p in ("wavelength", "transfer")]
        print(
            f"  {night} fiber {fiber} {name}: {made.mean():+.2f}, frame to frame {made.std(ddof=1):.2f}; "
            f"claimed: wavelengths {parts[0]:.2f}, fiber {parts[1]:.2f}, drift {claimed[-1]:.2f}"
        )
    scatter = np.sqrt(np.mean([np.var(rows, ddof=1) for rows in means.values()]))
    return {
        "night": scatter,
        "common": np.mean([np.mean(rows) for rows in means.values()]),
        "drift": np.sqrt(np.mean(np.square(frames_ms))),
        "drift pull": np.sqrt(np.mean((np.array(frames_ms) / claimed) ** 2)),
    }


def of_brightness(archive, refs):
    """Print how far frames without noise move from a signal-to-noise ratio of 20 to one of 150; return the largest."""
    print("\nframes without noise through the whole recipe, S/N 20 against 150")
    seen = {}
    for snr in (20.0, 150.0):
        for epoch in plan(archive.bench, snr)[:2]:
            raw = archive.of_epoch(epoch, QUIET, f"_quiet{snr:.0f}")
            for one in reduced(archive.bench, refs[epoch.night], raw, epoch)[0]:
                seen[one.found.star.name, snr] = one
    differences = []
    for name in sorted({name for name, _ in seen}):
        faint, bright = seen[name, 20.0], seen[name, 150.0]
        all_ms = faint.found.rv_ms - bright.found.rv_ms
        differences.append(faint.ideal.rv_ms - bright.ideal.rv_ms)
        print(f"  {name}: {all_ms:+.2f} m/s, with the true wavelengths {differences[-1]:+.2f}")
    return float(np.max(np.abs(differences)))


def of_quiet(archive, refs, every):
    """Print what scatters in frames without noise, and what noise does to the activity; return the scatters."""
    print("\nframes without noise and hits, one star, through the whole recipe: velocity less the truth [m / s]")
    print("  as found; with the true wavelengths; and the line-spread function of one night; and pixels all alike")
    left, noisy, pulls = [], {one.epoch.name: one.found for one in every if one.epoch.scene.targets[0].snr == 100}, {}
    shape, alike = refs[NIGHTS[0]].arc.line_shape, replace(QUIET, response=False)
    refs_alike = {night: archive.references(night, flat_switches=alike) for night in NIGHTS}
    for epoch in plan(archive.bench, 100.0)[1::2]:
        raw, other = archive.of_epoch(epoch, QUIET, "_quiet"), archive.of_epoch(epoch, alike, "_alike")
        usual = refs[epoch.night], raw, epoch
        one, two, three = (
            reduced(archive.bench, *with_these)[0][0]
            for with_these in (usual, (*usual, shape), (refs_alike[epoch.night], other, epoch, shape))
        )
        left.append([v.rv_ms - one.truth_ms for v in (one.found, one.ideal, two.ideal, three.ideal)])
        berv_kms, told = one.found.barycentric.berv_ms / 1e3, " ".join(f"{off:+.2f}" for off in left[-1])
        print(f"  {epoch.night} {berv_kms:+.1f} km/s, airmass {epoch.scene.airmass:.2f}: {told}", flush=True)
        if epoch.name in noisy:
            for name, pull in activity_pulls(noisy[epoch.name], one.found):
                pulls.setdefault(name, []).append(pull)
    scatter = np.std(left, axis=0, ddof=1)
    print(f"  scatter: {' '.join(f'{ms:.2f}' for ms in scatter)}")
    told = ", ".join(f"{name} {np.sqrt(np.mean(np.square(some))):.2f}" for name, some in pulls.items())
    print(f"  activity of these frames at S/N 100, with noise less without, in errors (rms): {told}")
    return scatter


def activity_pulls(noisy, quiet):
    """Return by how many errors the activity of a frame differs from that of the same frame without noise."""
    for one, true in zip(noisy.activity, quiet.activity):
        if not one.reason and not true.reason:
            yield one.name, (one.value - true.value) / one.error
    shape = ("fwhm_ms", "fwhm_error_ms"), ("contrast", "contrast_error"), ("bisector_ms", "bisector_error_ms")
    for name, error in shape:
        yield name, (getattr(noisy, name) - getattr(quiet, name)) / getattr(noisy, error)


def main(bench, directory, verdict):
    """Print all, and which targets are met."""
    began = time.process_time()
    archive = Archive(bench, directory)
    refs = {night: archive.references(night) for night in NIGHTS}
    every, seconds = [], []
    for epoch in plan(bench):
        some, cpu = reduced(bench, refs[epoch.night], archive.of_epoch(epoch), epoch)
        every += some
        seconds.append(cpu / len(some))
    ratios, wavelengths = of_series(every), of_wavelengths(every)
    brightness, quiet = of_brightness(archive, refs), of_quiet(archive, refs, every)
    doubts = sum(bool(one.found.quality & Quality.ENGINES_DISAGREE) for one in every)
    off = [(one.found.rv_ms - one.truth_ms, _absolute_ms(one.found)) for one in every]
    dof = sum(n for _, n in ratios["mask"])
    print(f"\n{len(every)} velocities of {len(plan(bench))} frames; ratios are known to {1 / np.sqrt(2 * dof):.2f}")
    verdict("frames, mask: scatter / photon error", _pooled(ratios["mask"]), 0, 1.2)
    verdict("frames, template of the others: scatter / photon error", _pooled(ratios["template"]), 0, 1.2)
    verdict("frames: S/N 20 minus 150 [m/s]", brightness, 0, 1.0)
    verdict("frames without noise, true wavelengths: scatter [m/s]", quiet[1], 0, 1.0)
    verdict("frames without noise: scatter [m/s]", quiet[0], 0, 1.5)
    verdict("drift of a frame [m/s]", wavelengths["drift"], 0, 1.5)
    verdict("pulls of the drift", wavelengths["drift pull"], 0.75, 1.25)
    verdict("zero point from night to night [m/s]", wavelengths["night"], 0, 1.5)
    verdict("frames, mask: pulls of the total error in a series", _pooled(ratios["mask total"]), 0.9, 1.1)
    verdict("frames, template: pulls of the total error in a series", _pooled(ratios["template total"]), 0.9, 1.1)
    verdict(
        "absolute velocities: pulls, with the errors of mask and scale",
        np.sqrt(np.mean([(a / b) ** 2 for a, b in off])),
        0.5,
        1.5,
    )
    print(f"zero point that all nights share: {wavelengths['common']:+.2f} m/s; frames in doubt: {doubts}")
    print(f"CPU of a star: {np.median(seconds):.1f} s; all {time.process_time() - began:.0f} s")
