"""Activity of a star."""

import numpy as np

from figures import figure, style
from nrespipe import doppler
from nrespipe.engine.spectrum import continuum
from nrespipe.engine.star import activity
from nrespipe.simulator import stars


@figure("star")
def bands(night):
    """Show the lines and the references of the indices in the spectrum of a star.

    Parameters
    ----------
    night : Night
        Simulated frames.

    Returns
    -------
    matplotlib.figure.Figure
    """
    spectra, wavelengths = night.star_spectra, night.star_wavelengths
    rv_ms = stars.target(night.star.raw.objects[0]).rv_ms
    found = {i.name: i for i in activity.measure_bands(spectra, wavelengths, 0, rv_ms, night.berv_ms)}
    flux, _, good = continuum.above_blaze(*spectra.of(0))
    rest = wavelengths.vacuum_angstrom[wavelengths.fibers.index(0)] / doppler.seen(rv_ms, night.berv_ms)
    result, panels = style.panels(1, 3, 2.8)
    places = (("s_index_r", 3934.777, 2.6), ("h_alpha", 6564.614, 24.0), ("na_d", 5894.57, 6.0))
    for axes, (name, center, half) in zip(panels, places):
        order = int(np.argmin(np.abs(rest[:, rest.shape[1] // 2] - center)))
        near = good[order] & (np.abs(rest[order] - center) < half)
        axes.plot(rest[order][near], flux[order][near], color=style.BLUE, lw=0.7)
        _, lines, references, _ = next(d for d in activity.INDICES if d[0] == name)
        for color, some in ((style.VERMILION, lines), (style.GREEN, references)):
            for band in some:
                low, high = (band.center_angstrom + side * band.reach_angstrom for side in (-1, 1))
                axes.axvspan(low, high, color=color, alpha=0.25, lw=0)
        axes.set(xlim=(center - half, center + half), ylim=(0, None))
        axes.locator_params(axis="x", nbins=4)
        index = found[name]
        told = index.reason or f"{name} {index.value:.3f} ± {index.error:.3f}"
        style.label(axes, "wavelength at rest [Å]", "flux / blaze [electron]", told)
    return result
