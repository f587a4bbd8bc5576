"""Which lines of a mask are fit to measure a velocity with, and a first velocity."""

import numpy as np

from nrespipe.engine import ccf
from nrespipe.engine.ccf import Lines

_LIGHT_MS = 299792458.0

#: Lines that answer to the chromosphere, to the gas between the stars or to sodium in our own atmosphere, with half
#: the width that they spoil: Ca K, Ca H, H gamma, H beta, Na D, H alpha [angstrom]
_UNSTEADY = (
    (3934.78, 3.0), (3969.59, 3.0), (4341.69, 2.0), (4862.69, 3.0), (5891.58, 1.5), (5897.56, 1.5), (6564.61, 4.0),
)  # fmt: skip

#: Stretches where water and oxygen leave nothing between their lines [angstrom]
_OPAQUE = ((6867.0, 6929.0), (7160.0, 7345.0), (7590.0, 7710.0), (8125.0, 8355.0), (8930.0, 9900.0))


def clear(mask, orders, velocity_ms, reach_ms, tellurics=None, *, motion_ms=31000.0, shallowest=0.05, margin=20):
    """Return the lines that stay clear of the atmosphere and of the ends of orders the whole year round.

    Parameters
    ----------
    mask : LineMask
        All lines.
    orders : Orders
        The spectrum.
    velocity_ms : float
        Barycentric velocity of the star [m / s].
    reach_ms : float
        How far from its center a line is looked at [m / s].
    tellurics : Tellurics or None, optional
        Where the atmosphere absorbs.
    motion_ms : float, optional
        Largest motion of the observer: with the room it needs, every frame of a star uses the same lines [m / s].
    shallowest : float, optional
        Depth below which a line is not worth its noise.
    margin : int, optional
        Pixels at either end of an order that are not used.

    Returns
    -------
    Lines
        Weights are depth times the square of the signal-to-noise ratio of the continuum, the optimum for the sum of
        lines of equal shape.
    """
    center = mask.vacuum_angstrom * (1 + velocity_ms / _LIGHT_MS)
    room = (motion_ms + reach_ms) / _LIGHT_MS
    low, high = center * (1 - room), center * (1 + room)
    usable = (mask.depth > shallowest) & ~_spoiled(mask.vacuum_angstrom, low, high, tellurics)
    snr2 = smooth_snr2(orders)
    found = []
    for order in range(len(orders.wavelength)):
        seen = np.flatnonzero(snr2[order] > 0)
        if len(seen) == 0:
            continue
        first, last = max(seen[0], margin), min(seen[-1], orders.wavelength.shape[1] - 1 - margin)
        wavelength = orders.wavelength[order]
        here = np.flatnonzero(usable & (low > wavelength[first]) & (high < wavelength[last]))
        weight = mask.depth[here] * np.interp(center[here], wavelength, snr2[order])
        found.append((np.full(len(here), order), mask.vacuum_angstrom[here], weight))
    order, angstrom, weight = (np.concatenate(part) if found else np.zeros(0) for part in zip(*found))
    kept = weight > 0
    return Lines(order=order[kept].astype(np.int64), angstrom=angstrom[kept], weight=weight[kept])


def smooth_snr2(orders, *, bin_pixels=64):
    """Return the square of the signal-to-noise ratio of each pixel, smoothed over noise and lines.

    Parameters
    ----------
    orders : Orders
        The spectrum.
    bin_pixels : int, optional
        Length of the bins whose medians are joined.

    Returns
    -------
    ndarray of float, shape (n_orders, n_pixels)
        0 where there is no light.
    """
    n_orders, n_pixels = orders.flux.shape
    n_bins = max(n_pixels // bin_pixels, 1)
    ratio = np.where(orders.good, orders.continuum**2 / orders.variance, np.nan)
    ratio = ratio[:, : n_bins * bin_pixels].reshape(n_orders, n_bins, -1)
    counts = np.isfinite(ratio).sum(axis=2)
    sorted_ratio = np.sort(ratio, axis=2)
    middle = np.take_along_axis(sorted_ratio, np.maximum(counts // 2, 0)[:, :, None], axis=2)[:, :, 0]
    middle = np.where(counts > bin_pixels // 4, middle, 0.0)
    centers = (np.arange(n_bins) + 0.5) * bin_pixels - 0.5
    return np.stack([np.interp(np.arange(n_pixels), centers, row) for row in middle])


def search(mask, orders, berv_ms, tellurics=None, *, half_range_ms=300e3, step_ms=1500.0, shallowest=0.3):
    """Return the velocity at which a mask finds most absorption, without a first guess.

    Parameters
    ----------
    mask : LineMask
        All lines.
    orders : Orders
        The spectrum.
    berv_ms : float
        Barycentric correction [m / s].
    tellurics : Tellurics or None, optional
        Where the atmosphere absorbs; those pixels do not count.
    half_range_ms, step_ms : float, optional
        Velocities tried, barycentric [m / s].
    shallowest : float, optional
        Depth of the shallowest line used.

    Returns
    -------
    velocity_ms : float
        Barycentric [m / s].
    significance : float
        Height of the peak over the robust scatter of the rest of the function.
    match : float
        Likeness of mask and spectrum, to compare masks by.
    """
    snr2 = smooth_snr2(orders)
    counted = orders.good & (snr2 > 0) & ~_telluric_pixels(orders.wavelength, tellurics)
    level = np.where(orders.continuum > 0, orders.continuum, 1.0)
    absorbed = np.where(counted, np.clip(1 - orders.flux / level, -1, 1) * snr2, 0.0)
    order, angstrom, weight = _deep_lines(mask, orders.wavelength, shallowest)
    edges, lines = ccf.pixel_edges(orders.wavelength), Lines(order, angstrom, weight)
    grid_ms = np.arange(-half_range_ms, half_range_ms + step_ms / 2, step_ms)
    factors = (1 + grid_ms / _LIGHT_MS) / (1 + berv_ms / _LIGHT_MS)
    seen_ms = (factors - 1) * _LIGHT_MS
    sums = ccf.correlate(np.stack([absorbed, np.where(counted, snr2, 0.0)]), edges, lines, seen_ms, step_ms).sum(axis=1)
    norm = np.sum(snr2[counted])
    height = sums[0] - np.median(sums[0])
    best = int(np.argmax(height))
    spread = 1.4826 * np.median(np.abs(height))
    match = height[best] / np.sqrt(max(np.sum(weight**2), 1e-30) * max(norm, 1e-30))
    return float(grid_ms[best]), float(height[best] / spread) if spread > 0 else 0.0, float(match)


def _spoiled(vacuum_angstrom, low, high, tellurics):
    spoiled = np.zeros(len(low), bool)
    for center, half_width in _UNSTEADY:
        spoiled |= np.abs(vacuum_angstrom - center) < half_width
    for start, end in _OPAQUE:
        spoiled |= (high > start) & (low < end)
    if tellurics is not None and len(tellurics.start_angstrom):
        next_band = np.searchsorted(tellurics.end_angstrom, low)
        start = np.append(tellurics.start_angstrom, np.inf)[next_band]
        spoiled |= start < high
    return spoiled


def _telluric_pixels(wavelength, tellurics):
    inside = np.zeros(wavelength.shape, bool)
    for start, end in _OPAQUE:
        inside |= (wavelength > start) & (wavelength < end)
    if tellurics is not None and len(tellurics.start_angstrom):
        next_band = np.searchsorted(tellurics.end_angstrom, wavelength)
        inside |= np.append(tellurics.start_angstrom, np.inf)[next_band] < wavelength
    return inside


def _deep_lines(mask, wavelength, shallowest):
    deep = mask.depth > shallowest
    for center, half_width in _UNSTEADY:
        deep &= np.abs(mask.vacuum_angstrom - center) > half_width
    angstrom, depth = mask.vacuum_angstrom[deep], mask.depth[deep]
    slices = [np.searchsorted(angstrom, (row[0], row[-1])) for row in wavelength]
    order = np.concatenate([np.full(b - a, i, np.int64) for i, (a, b) in enumerate(slices)])
    where = np.concatenate([np.arange(a, b) for a, b in slices])
    return order, angstrom[where], depth[where]
