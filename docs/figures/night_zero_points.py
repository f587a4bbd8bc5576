"""Zero points of nights."""

import numpy as np

from figures import figure, style
from nrespipe.engine.velocity import night_zero_points

_SEED, _NIGHTS, _STARS = 16, 14, 6


@figure()
def fortnight():
    """Show simulated and measured zero points of a fortnight, and the velocities of each star.

    Returns
    -------
    matplotlib.figure.Figure
    """
    rng = np.random.default_rng(_SEED)
    true = rng.normal(0, 5, _NIGHTS)
    night, star = np.meshgrid(np.arange(_NIGHTS), np.arange(_STARS))
    error = np.full(night.shape, 2.5)
    velocity = true[night] + rng.normal(0, np.hypot(error, 2.0))
    velocity[0] += 40 * np.sin(2 * np.pi * np.arange(_NIGHTS) / 4.2)
    seen = rng.random(night.shape) < 0.8
    seen[:, 8] = star[:, 8] == 3
    found = night_zero_points.measure(star[seen].astype(str), night[seen], velocity[seen], error[seen])
    drawn, axes = style.panels(1, 1, 2.7)
    axes = np.ravel(axes)[0]
    for row, deviation in enumerate(found.deviation_ms):
        color = style.VERMILION if row == 0 else style.GREY
        axes.plot(found.nights + 1, deviation, "o", ms=3, color=color, alpha=0.6)
    axes.step(
        np.arange(_NIGHTS) + 1, true - np.median(true[found.is_own]), where="mid", color=style.GREEN, label="true"
    )
    axes.errorbar(found.nights + 1, found.value_ms, found.error_ms, fmt="s", ms=4, color=style.BLUE, label="measured")
    axes.set(ylim=(-25, 25))
    axes.legend(ncols=2)
    style.label(axes, "night", "zero point [m/s]")
    return drawn
