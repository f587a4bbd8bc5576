"""Radial velocity."""

import numpy as np

from figures import figure, style
from nrespipe.engine import velocity
from nrespipe.frames.velocity import Barycentric
from nrespipe.simulator import stars


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
    found = velocity.measure(
        night.star_spectra, night.star_wavelengths, 0, target.star, refs.masks, refs.tellurics, motion
    )
    result, (function, single) = style.panels(1, 2, 2.8, width_ratios=(1, 1.4))
    function.plot(found.grid_ms / 1e3, found.ccf.sum(axis=0), color=style.BLUE)
    function.axvline(target.rv_ms / 1e3, color=style.VERMILION, lw=0.9, label="true velocity")
    function.set(xlim=(target.rv_ms / 1e3 - 25, target.rv_ms / 1e3 + 25))
    function.legend(loc="lower left")
    style.label(function, "velocity [km/s]", "cross-correlation function")
    known = np.isfinite(found.order_rv_ms) & (found.order_error_ms < 200)
    single.errorbar(
        found.orders[known],
        found.order_rv_ms[known] - target.rv_ms,
        found.order_error_ms[known],
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
