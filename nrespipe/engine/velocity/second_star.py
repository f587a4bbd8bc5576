"""A second dip in the cross-correlation function: another star, or the sky, in the same fiber."""

import numpy as np

from nrespipe import doppler
from nrespipe.engine.spectrum import ccf, line_selection
from nrespipe.engine.velocity.mask_fit import Fit
from nrespipe.frames.arrays import Booleans, Floats
from nrespipe.frames.velocity import SecondDip, Tellurics

#: Nearer than this, in widths of the CCF, the wings of the dip of the star are as deep as a faint star: by lists of any
#: type HARPS's spectra of the Sun and of GJ 581 have a third of the dip there, at a significance of 12, and of 6.4 at
#: most further out
_WINGS, _LEAST_SHARE = 2.5, 0.35
_SIGNIFICANT, _SIGNIFICANT_IN_WINGS = 8.0, 20.0


def search(
    found: Fit,
    berv_ms: float,
    tellurics: Tellurics | None = None,
    *,
    reach_ms: float = 250e3,
    apart: float = 1.25,
) -> SecondDip | None:
    """Search a significant dip besides that of the star.

    Parameters
    ----------
    found
        The star.
    berv_ms
        Barycentric correction [m / s].
    tellurics
        Where the atmosphere absorbs; those pixels do not count.
    reach_ms
        Velocities searched, either side of the star [m / s].
    apart
        Least distance from the star in widths of its CCF: nearer, a wider or a narrower line of the star looks alike.

    Returns
    -------
    SecondDip or None
        The deepest; None where none is significant.

    Notes
    -----
    The CCF is that of the spectrum less the model of the star, so that its own lines leave no lobes in it. Significance
    is depth over noise: that of the photons, or the scatter of the rest of the CCF (median of the absolute values),
    which has the chance coincidences of the mask with lines that no list has. Significant is 8; within 2.5 widths of
    the star 20, and a third of its contrast.
    """
    step_ms = found.fwhm_ms / 4
    steps = np.ceil(reach_ms / step_ms)
    away_ms = np.arange(-steps, steps + 1) * step_ms
    depth, error, seen = _rest(found, berv_ms, tellurics, away_ms, 2 * step_ms)
    widths = np.abs(away_ms) / found.fwhm_ms
    searched = seen & (widths > apart)
    if searched.sum() < 20:
        return None
    middle = np.median(depth[searched])
    scatter = 1.4826 * np.median(np.abs(depth[searched] - middle))
    significance = (depth - middle) / np.maximum(scatter, error)
    enough = significance > _SIGNIFICANT_IN_WINGS
    enough = np.where(widths > _WINGS, significance > _SIGNIFICANT, enough & (depth > _LEAST_SHARE * found.contrast))
    # a flank of a dip that is not deep enough where it lies is none
    peak = depth >= np.maximum(np.append(-np.inf, depth[:-1]), np.append(depth[1:], -np.inf))
    deepest = searched & enough & peak
    if not np.any(deepest):
        return None
    best = int(np.argmax(np.where(deepest, depth, -np.inf)))
    place_ms = float(found.rv_ms + _top(away_ms, depth, best))
    return SecondDip(place_ms, float(depth[best] - middle), float(significance[best]))


def _rest(
    found: Fit, berv_ms: float, tellurics: Tellurics | None, away_ms: Floats, box_ms: float
) -> tuple[Floats, Floats, Booleans]:
    """Return the depth of what the model leaves, its photon error, and where enough lines are on the orders."""
    spectrum = found.spectrum
    counted = spectrum.good & (spectrum.continuum > 0)
    counted &= ~line_selection.telluric_pixels(spectrum.wavelength, tellurics)
    level = np.where(counted, spectrum.continuum, 1.0)
    absorbed = np.where(counted, found.model - spectrum.flux / level, 0.0)
    noise = np.where(counted, spectrum.variance / level**2, 0.0)
    given = ccf.pixel_edges(spectrum.wavelength), found.lines, doppler.seen_ms(found.rv_ms + away_ms, berv_ms), box_ms
    depth, weight = ccf.correlate(np.stack([absorbed, counted.astype(float)]), *given).sum(axis=1)
    error = np.sqrt(ccf.variance(noise, *given).sum(axis=0))
    seen = weight > 0.3 * weight.max()
    weight = np.where(seen, weight, 1.0)
    return depth / weight, error / weight, seen


def _top(grid, values, best):
    """Return the place of the vertex of the parabola through the highest point and its neighbors."""
    if not 0 < best < len(grid) - 1:
        return grid[best]
    before, here, after = values[best - 1 : best + 2]
    curvature = before - 2 * here + after
    return grid[best] + (0.5 * (before - after) / curvature * (grid[1] - grid[0]) if curvature < 0 else 0.0)
