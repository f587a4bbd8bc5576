"""Profile across the orders."""

import numpy as np

from figures import figure, style
from nrespipe.engine.extraction import optimal_extraction, scattered_light
from nrespipe.frames.traces import Profile
from nrespipe.simulator import detector as simulated


@figure("flat", "flats")
def shape(night):
    """Show the pixels of an order against the fitted profile, with its wings, and the response of the pixels.

    Parameters
    ----------
    night : Night
        Simulated frames.

    Returns
    -------
    matplotlib.figure.Figure
    """
    result, (points, wings, response) = style.panels(1, 3, 2.8, width_ratios=(1.1, 1.1, 1))
    profile, distance, share = night.references.flat.profile, *_pixels(night)
    table = profile.values[0, _order(night), 8]
    inside = np.abs(profile.offsets) <= 8.5
    points.plot(distance, share, ".", ms=1, color=style.GREY, rasterized=True, label="pixels")
    wings.plot(*_medians(distance, share), ".", ms=3, color=style.GREY, label="pixels (median)")
    for axes, reach in ((points, 9), (wings, 22)):
        axes.plot(profile.offsets[inside], table[inside], color=style.BLUE, label="profile")
        axes.set(xlim=(-reach, reach))
    sides = np.concatenate([-profile.distances[::-1], profile.distances])
    values = np.concatenate([profile.wings[0][::-1], profile.wings[1]])
    for part in (sides < -8.5, sides > 8.5):
        wings.plot(sides[part], values[part], color=style.VERMILION, label="wings" if part[0] else None)
    wings.set(yscale="log", ylim=(1e-5, 20), xlim=(-12, 22))
    points.set(ylim=(-0.02, 0.26))
    points.legend(loc="upper right", markerscale=5)
    wings.legend(loc="upper right")
    style.label(points, "distance from the center [pixel]", "fraction of the flux")
    style.label(wings, "distance from the center [pixel]", "fraction of the flux")
    _response(response, night)
    return result


def _order(night, order=108):
    return int(np.flatnonzero(night.references.flat.traces.orders == order)[0])


def _pixels(night, columns=slice(1920, 2560)):
    """Distance from the center, and share of the light, of the pixels about a piece of an order."""
    refs, lit = night.references, (0, 1)
    clean = scattered_light.subtract(night.corrected(night.flat), refs.flat.traces, refs.flat, lit)
    flux = optimal_extraction.optimal(clean, refs.flat.traces, refs.flat, lit, ()).flux[0, _order(night), columns]
    center = refs.flat.traces.centers[0, _order(night), columns]
    rows = np.round(center).astype(int) + np.arange(-22, 23)[:, np.newaxis]
    x = np.broadcast_to(np.arange(columns.start, columns.stop), rows.shape)
    light = clean.electrons[rows, x] / refs.flat.profile.response[rows, x]
    # the light of the other fiber lies below
    mine = (rows - center > -11) & (clean.mask[rows, x] == 0)
    return (rows - center)[mine], (light / flux)[mine]


def _medians(distance, share, step=0.5):
    """Median share of the pixels in bins of the distance."""
    place = np.round(distance / step)
    bins = np.unique(place)
    return bins * step, [np.median(share[place == k]) for k in bins]


def _response(axes, night):
    profile: Profile = night.references.flat.profile
    true = simulated.pattern(night.bench.seed).response
    lit = (profile.response_error < 0.003) & (night.references.flat.mask == 0)
    edges = np.linspace(-0.03, 0.03, 61)
    for values, color, name in (
        (true[lit] - 1, style.GREY, "true − 1"),
        (profile.response[lit] - true[lit], style.BLUE, "found − true"),
    ):
        axes.stairs(
            np.histogram(values, edges)[0], 100 * edges, color=color, label=f"{name}: {100 * np.std(values):.2f} %"
        )
    axes.set(yscale="log")
    axes.set_ylim(top=axes.get_ylim()[1] * 20)
    axes.legend(loc="upper center")
    style.label(axes, "response [percent]", "illuminated pixels")
