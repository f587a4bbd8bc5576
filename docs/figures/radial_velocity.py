"""Radial velocity."""

from dataclasses import replace

import numpy as np

from figures import figure, style
from nrespipe import data, instruments
from nrespipe.engine.velocity import measurement, template, template_fit
from nrespipe.frames.velocity import Barycentric
from nrespipe.simulator import bench as benches
from nrespipe.simulator import extracted_stars, stars


@figure("star")
def orders(night):
    """Show the cross-correlation function, and the velocity of each order against the truth.

    Parameters
    ----------
    night : Night
        Simulated frames.

    Returns
    -------
    matplotlib.figure.Figure
    """
    target, refs = stars.target(night.star.raw.objects[0]), night.references
    motion = Barycentric(night.star.raw.start_mjd, night.star.raw.start_mjd + 2400000.5, night.berv_ms, False)
    found = measurement.measure(
        night.star_spectra, night.star_wavelengths, 0, target.star, refs.masks, refs.tellurics, motion,
        spare_masks=refs.spare_masks,
    )  # fmt: skip
    result, (function, single) = style.panels(1, 2, 2.8, width_ratios=(1, 1.4))
    function.plot(found.grid_ms / 1e3, found.ccf.sum(axis=0), color=style.BLUE)
    function.axvline(target.rv_ms / 1e3, color=style.VERMILION, lw=0.9, label="true velocity")
    function.set(xlim=(target.rv_ms / 1e3 - 25, target.rv_ms / 1e3 + 25))
    function.legend(loc="lower left")
    style.label(function, "velocity [km/s]", "cross-correlation function")
    known = np.isfinite(found.by_order.rv_ms) & (found.by_order.error_ms < 200)
    single.errorbar(
        found.orders[known],
        found.by_order.rv_ms[known] - target.rv_ms,
        found.by_order.error_ms[known],
        fmt="o",
        ms=3,
        lw=0.8,
        color=style.BLUE,
    )
    single.axhline(0, color=style.VERMILION, lw=0.9)
    single.set(ylim=(-160, 160))
    total = f"all: {found.rv_ms - target.rv_ms:+.1f} ± {found.error_ms:.1f} m/s".replace("-", "−")
    style.label(single, "order", "velocity − truth [m/s]", total)
    return result


@figure()
def by_template():
    """Show an exposure over the template of nine others, and the velocity of each order by it.

    Returns
    -------
    matplotlib.figure.Figure
    """
    bench, target = benches.build(instruments.load("nres01")), replace(stars.target("HD22049"), snr=60.0)
    wavelengths, exposures = extracted_stars.wavelengths(bench), []
    for seed, berv_ms in enumerate(np.linspace(-24e3, 24e3, 10)):
        spectrum, numbers = measurement.prepared(
            extracted_stars.expose(bench, target, berv_ms, seed=seed), wavelengths, 0
        )
        exposures.append(template.Exposure(spectrum, numbers, target.rv_ms, berv_ms, str(seed)))
    made = template.build(exposures[:9], target.star, tellurics=data.tellurics())
    last = exposures[9]
    found = template_fit.fit(last.spectrum, numbers, made, target.rv_ms, last.berv_ms, tellurics=data.tellurics())
    expected, *_ = template_fit.expected(last.spectrum, numbers, made, found.rv_ms, last.berv_ms)
    result, (light, single) = style.panels(1, 2, 2.8, width_ratios=(1.3, 1))
    row, near = int(np.flatnonzero(numbers == 97)[0]), slice(1700, 1830)
    angstrom, level = last.spectrum.wavelength[row, near], last.spectrum.continuum[row, near]
    good = last.spectrum.good[row, near]
    ratio = np.median((last.spectrum.flux[row, near] / level / expected[row, near])[good])
    light.plot(angstrom[good], (last.spectrum.flux[row, near] / level)[good] / ratio, ".", color=style.BLUE)
    light.plot(angstrom, expected[row, near], color=style.VERMILION, lw=0.9, label="template of nine others")
    light.set(ylim=(0.42, 1.08))
    light.legend(loc="lower left")
    style.label(light, "wavelength [Å]", "flux / continuum")
    known = np.isfinite(found.by_order.rv_ms) & (found.by_order.error_ms < 60)
    single.errorbar(
        numbers[known], found.by_order.rv_ms[known] - target.rv_ms, found.by_order.error_ms[known], fmt="o", ms=3,
        lw=0.8, color=style.BLUE,
    )  # fmt: skip
    single.axhline(0, color=style.VERMILION, lw=0.9)
    total = f"all: {found.rv_ms - target.rv_ms:+.1f} ± {found.photon_error_ms:.1f} m/s".replace("-", "−")
    style.label(single, "order", "velocity − truth [m/s]", total)
    return result
