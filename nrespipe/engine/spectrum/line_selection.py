"""Selects the lines of a mask and the pixels for a velocity, and finds a first velocity."""

import numpy as np

from nrespipe import doppler
from nrespipe.engine.spectrum import ccf
from nrespipe.engine.spectrum.ccf import Lines
from nrespipe.engine.spectrum.order_spectra import OrderSpectra, smooth_snr2
from nrespipe.frames.arrays import Booleans, Floats
from nrespipe.frames.velocity import LineMask, Tellurics

#: Lines of the chromosphere, of the gas between the stars or of sodium in our own atmosphere, with half the width that
#: they affect: Ca K, Ca H, H gamma, H beta, Na D, H alpha [angstrom]
_UNSTEADY = (
    (3934.78, 3.0), (3969.59, 3.0), (4341.69, 2.0), (4862.69, 3.0), (5891.58, 1.5), (5897.56, 1.5), (6564.61, 4.0),
)  # fmt: skip

#: Largest motion of an observer on the Earth about the barycenter [m / s]
MOTION_MS = 31000.0

#: Stretches where water and oxygen leave nothing between their lines [angstrom]
_OPAQUE = ((6867.0, 6929.0), (7160.0, 7345.0), (7590.0, 7710.0), (8125.0, 8355.0), (8930.0, 9900.0))


def clear_lines(
    mask: LineMask,
    spectrum: OrderSpectra,
    velocity_ms: float,
    reach_ms: float,
    tellurics: Tellurics | None = None,
    *,
    motion_ms: float = MOTION_MS,
    shallowest: float = 0.05,
    margin: int = 20,
) -> Lines:
    """Return the lines that stay clear of the atmosphere and of the ends of orders all year.

    Parameters
    ----------
    velocity_ms
        Barycentric velocity of the star [m / s].
    reach_ms
        Half width of a line on either side of its center [m / s].
    tellurics
        Where the atmosphere absorbs.
    motion_ms
        Largest motion of the observer: with the room it needs, every frame of a star uses the same lines [m / s].
    shallowest
        Depth below which a line adds more noise than signal.
    margin
        Pixels at either end of an order that are not used.

    Returns
    -------
    Lines
        Weights are depth times the square of the signal-to-noise ratio of the continuum, the optimum for the sum of
        lines of equal shape.
    """
    center = mask.vacuum_angstrom * doppler.factor(velocity_ms)
    room = (motion_ms + reach_ms) / doppler.C_MS
    low, high = center * (1 - room), center * (1 + room)
    usable = (mask.depth > shallowest) & ~_affected(mask.vacuum_angstrom, low, high, tellurics)
    snr2 = smooth_snr2(spectrum)
    found = [(np.zeros(0, np.int64), np.zeros(0), np.zeros(0))]
    for row, wavelength in enumerate(spectrum.wavelength):
        seen = np.flatnonzero(snr2[row] > 0)
        if len(seen) == 0:
            continue
        first, last = max(seen[0], margin), min(seen[-1], len(wavelength) - 1 - margin)
        here = np.flatnonzero(usable & (low > wavelength[first]) & (high < wavelength[last]))
        weight = mask.depth[here] * np.interp(center[here], wavelength, snr2[row])
        found.append((np.full(len(here), row), mask.vacuum_angstrom[here], weight))
    order, angstrom, weight = (np.concatenate(part) for part in zip(*found))
    kept = weight > 0
    return Lines(order=order[kept], angstrom=angstrom[kept], weight=weight[kept])


def clear_pixels(
    wavelength: Floats,
    berv_ms: float,
    velocity_ms: float,
    tellurics: Tellurics | None = None,
    *,
    motion_ms: float = MOTION_MS,
    margin: int = 20,
) -> Booleans:
    """Return the pixels that stay clear of the atmosphere, the ends of orders and the chromosphere all year.

    Parameters
    ----------
    wavelength : shape (n_orders, n_pixels)
        Vacuum, frame of the observer, increasing; NaN in an order without wavelengths [angstrom].
    berv_ms
        Barycentric correction [m / s].
    velocity_ms
        Barycentric velocity of the star [m / s].
    tellurics
        Where the atmosphere absorbs.
    motion_ms
        Largest motion of the observer [m / s].
    margin
        Pixels at either end of an order that are not used.

    Returns
    -------
    ndarray of bool, shape (n_orders, n_pixels)
        They follow from the barycentric wavelength: every frame of a star uses the same ones.
    """
    seen, room = wavelength * doppler.factor(berv_ms), motion_ms / doppler.C_MS
    with np.errstate(invalid="ignore"):
        clear_ = seen * (1 - room) > wavelength[:, [margin]]
        clear_ &= seen * (1 + room) < wavelength[:, [-1 - margin]]
    rest = seen / doppler.factor(velocity_ms)
    return clear_ & ~_affected(rest, seen * (1 - room), seen * (1 + room), tellurics)


def telluric_pixels(wavelength: Floats, tellurics: Tellurics | None) -> Booleans:
    """Return the pixels in which the atmosphere absorbs.

    Parameters
    ----------
    wavelength : shape (n_orders, n_pixels)
        Vacuum, frame of the observer [angstrom].
    tellurics
        Intervals in which the atmosphere absorbs, besides those where it is opaque.

    Returns
    -------
    ndarray of bool, shape (n_orders, n_pixels)
    """
    inside = np.zeros(wavelength.shape, bool)
    for start, end in _OPAQUE:
        inside |= (wavelength > start) & (wavelength < end)
    if tellurics is not None and len(tellurics.start_angstrom):
        next_band = np.searchsorted(tellurics.end_angstrom, wavelength)
        inside |= np.append(tellurics.start_angstrom, np.inf)[next_band] < wavelength
    return inside


def search_velocity(
    mask: LineMask,
    spectrum: OrderSpectra,
    berv_ms: float,
    tellurics: Tellurics | None = None,
    *,
    half_range_ms: float = 300e3,
    step_ms: float = 1500.0,
    most: int = 1500,
    width_ms: float = 0.0,
) -> tuple[float, float, float]:
    """Search the velocity at which a mask finds most absorption, without a first guess.

    Parameters
    ----------
    berv_ms
        Barycentric correction [m / s].
    tellurics
        Where the atmosphere absorbs; those pixels do not count.
    half_range_ms
        Velocities tried, barycentric, either side of 0 [m / s].
    step_ms
        Step of them [m / s].
    most
        Largest number of lines to search with, those that stand out most: in the forest of a cool star all of them
        together find absorption everywhere.
    width_ms
        Half width of the lines of a star that rotates fast; the CCF is smoothed by it [m / s].

    Returns
    -------
    velocity_ms : float
        Barycentric [m / s].
    significance : float
        Height of the peak over the robust scatter of the rest of the CCF.
    match : float
        Likeness of the spectrum and all deep lines of the mask at that velocity, to compare masks by.
    """
    snr2 = smooth_snr2(spectrum)
    counted = spectrum.good & (snr2 > 0) & ~telluric_pixels(spectrum.wavelength, tellurics)
    level = np.where(spectrum.continuum > 0, spectrum.continuum, 1.0)
    absorbed = np.where(counted, np.clip(1 - spectrum.flux / level, -1, 1) * snr2, 0.0)[None]
    edges, lines = ccf.pixel_edges(spectrum.wavelength), _deep_lines(mask, spectrum.wavelength)
    if len(lines.order) == 0 or not counted.any():
        return 0.0, 0.0, 0.0
    seen = lambda grid_ms: doppler.seen_ms(grid_ms, berv_ms)  # noqa: E731
    grid_ms = np.arange(-half_range_ms, half_range_ms + step_ms / 2, step_ms)
    strongest = _most_significant(lines, spectrum.wavelength, snr2, most)
    height = ccf.correlate(absorbed, edges, strongest, seen(grid_ms), step_ms)[0].sum(axis=0)
    if width_ms > step_ms:
        height = _smoothed(height, width_ms / step_ms)
    height -= np.median(height)
    best, spread = int(np.argmax(height)), 1.4826 * np.median(np.abs(height))
    # the peak and forty velocities away from the star
    probes_ms = np.append(grid_ms[:: len(grid_ms) // 40], grid_ms[best])
    place = np.argsort(probes_ms, kind="stable")
    probed = np.empty(len(place))
    probed[place] = ccf.correlate(absorbed, edges, lines, seen(probes_ms[place]), step_ms)[0].sum(axis=0)
    match = (probed[-1] - np.median(probed[:-1])) / np.sqrt(np.sum(lines.weight**2) * np.sum(snr2[counted]))
    return float(grid_ms[best]), float(height[best] / spread) if spread > 0 else 0.0, float(match)


def _smoothed(values, half_width):
    """Return values smoothed with a parabola, the shape of a rotating star; ends count as often as they are there."""
    steps = np.arange(-int(half_width), int(half_width) + 1)
    kernel = np.clip(1 - (steps / half_width) ** 2, 0, None)
    total = np.convolve(np.ones(len(values)), kernel, mode="same")
    return np.convolve(values, kernel, mode="same") / total


def _affected(vacuum_angstrom, low, high, tellurics):
    affected = np.zeros(low.shape, bool)
    for center, half_width in _UNSTEADY:
        affected |= np.abs(vacuum_angstrom - center) < half_width
    for start, end in _OPAQUE:
        affected |= (high > start) & (low < end)
    if tellurics is not None and len(tellurics.start_angstrom):
        next_band = np.searchsorted(tellurics.end_angstrom, low)
        start = np.append(tellurics.start_angstrom, np.inf)[next_band]
        affected |= start < high
    return affected


def _deep_lines(mask, wavelength, shallowest=0.3):
    """Return the deep lines on each order, weighted by their depth."""
    deep = mask.depth > shallowest
    for center, half_width in _UNSTEADY:
        deep &= np.abs(mask.vacuum_angstrom - center) > half_width
    angstrom, depth = mask.vacuum_angstrom[deep], mask.depth[deep]
    slices = [np.searchsorted(angstrom, (row[0], row[-1])) for row in wavelength]
    order = np.concatenate([np.full(b - a, i, np.int64) for i, (a, b) in enumerate(slices)])
    where = np.concatenate([np.arange(a, b) for a, b in slices])
    return Lines(order, angstrom[where], depth[where])


def _most_significant(lines, wavelength, snr2, most):
    """Return the lines whose depth stands out most above the noise."""
    if len(lines.order) <= most:
        return lines
    significance = np.empty(len(lines.order))
    for order in np.unique(lines.order):
        here = lines.order == order
        significance[here] = lines.weight[here] ** 2 * np.interp(lines.angstrom[here], wavelength[order], snr2[order])
    kept = np.sort(np.argsort(significance, kind="stable")[::-1][:most])
    return Lines(lines.order[kept], lines.angstrom[kept], lines.weight[kept])
