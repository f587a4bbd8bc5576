"""Type of a star."""

import numpy as np

from figures import figure, style
from nrespipe.engine.star import stellar_type
from nrespipe.engine.velocity import mask_fit, measurement
from nrespipe.simulator import starlight, stars


@figure("star")
def lists(night):
    """Show a stretch of the spectrum of a star with the models of two lists of lines.

    Parameters
    ----------
    night : Night
        Simulated frames.

    Returns
    -------
    matplotlib.figure.Figure
    """
    target, refs = stars.target(night.star.raw.objects[0]), night.references
    spectrum, _ = measurement.prepared(night.star_spectra, night.star_wavelengths, 0)
    result, axes = style.panels(1, 1, 2.8)
    for name, color in (("G2", style.VERMILION), ("K5", style.GREEN)):
        found = mask_fit.fit(spectrum, refs.masks[name], target.rv_ms, night.berv_ms, tellurics=refs.tellurics)
        if name == "G2":
            kind = stellar_type.estimate(found, refs.masks, night.berv_ms, None, refs.tellurics)
        row = int(np.argmin(np.abs(found.spectrum.wavelength[:, 2048] - 5300.0)))
        wavelength, level = found.spectrum.wavelength[row], found.spectrum.continuum[row]
        near = found.spectrum.good[row] & (np.abs(wavelength - 5300.0) < 4.0) & (level > 0)
        if name == "G2":
            axes.plot(
                wavelength[near], (found.spectrum.flux[row] / level)[near], ".", ms=3, color=style.BLUE, label="star"
            )
        axes.plot(wavelength[near], found.model[row][near], lw=0.9, color=color, label=f"list of type {name}")
    axes.legend(loc="lower left", ncols=3)
    axes.set(ylim=(0, 1.15))
    truth_k = starlight.temperature_k(target)
    told = (
        f"{kind.spectral_type}, {kind.teff_k:.0f} ± {kind.teff_error_k:.0f} K; its lines are those of {truth_k:.0f} K"
    )
    style.label(axes, "wavelength [Å]", "flux / continuum", told)
    return result
