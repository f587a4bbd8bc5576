"""Activity indices of a star: lines of the chromosphere relative to the flux next to them, color of the velocity."""

from collections import Counter
from dataclasses import dataclass

import numpy as np
from scipy.interpolate import lagrange

from nrespipe import doppler
from nrespipe.engine.spectrum import ccf, continuum
from nrespipe.frames.arrays import Booleans, Floats
from nrespipe.frames.quality import Pixel
from nrespipe.frames.spectra import Spectra
from nrespipe.frames.star import Index
from nrespipe.frames.velocity import Velocity
from nrespipe.frames.wavelength import Wavelengths

#: Pixels where the blaze is below this share of its peak are not used
_FAINTEST = 0.05


@dataclass(frozen=True)
class Band:
    """A band of the spectrum in which the flux is averaged.

    Attributes
    ----------
    center_angstrom
        Vacuum, at rest [angstrom].
    width_angstrom
        Full width; of a triangle the full width at half maximum [angstrom].
    triangular
        Whether the weight falls off from the center to both sides.
    """

    center_angstrom: float
    width_angstrom: float
    triangular: bool = False

    @property
    def reach_angstrom(self) -> float:
        """Half width beyond which the weight is 0 [angstrom]."""
        return self.width_angstrom * (1.0 if self.triangular else 0.5)


_K, _H = Band(3934.777, 1.09, triangular=True), Band(3969.591, 1.09, triangular=True)
_V, _R = Band(3902.175, 20.0), Band(4002.201, 20.0)
#: 8 alpha with alpha = 2.4, and the widths of the bands (Duncan et al. 1991, ApJS 76, 383)
_MOUNT_WILSON = 8 * 2.4 * 1.09 / 20

#: Name, lines, reference bands, factor. H alpha and sodium as in Gomes da Silva et al. 2011, A&A 534, A30, but vacuum
INDICES = (
    ("s_index", (_K, _H), (_V, _R), _MOUNT_WILSON),
    ("s_index_r", (_K, _H), (_R, _R), _MOUNT_WILSON),
    ("h_alpha", (Band(6564.614, 1.6),), (Band(6552.68, 10.75), Band(6582.13, 8.75)), 1.0),
    ("na_d", (Band(5891.583, 0.5), Band(5897.558, 0.5)), (Band(5806.61, 10.0), Band(6098.69, 20.0)), 0.5),
)


def measure_bands(
    spectra: Spectra,
    wavelengths: Wavelengths,
    fiber: int,
    rv_ms: float,
    berv_ms: float,
    *,
    faintest: float = 5.0,
    motion_ms: float = 31000.0,
) -> tuple[Index, ...]:
    """Measure the activity indices of the star in a fiber that are made of bands.

    Parameters
    ----------
    wavelengths
        Of the same fibers, orders and pixels.
    fiber
        Fiber of the star.
    rv_ms
        Barycentric radial velocity of the star [m / s].
    berv_ms
        Barycentric correction, as in ``Barycentric`` [m / s].
    faintest
        Signal-to-noise ratio that the reference bands of an index must reach.
    motion_ms
        Largest motion of the observer: with the room it needs, every frame of a star uses the same orders [m / s].

    Returns
    -------
    tuple of Index
        One for each of `INDICES`, in their order.

    Notes
    -----
    An index is ``factor * sum(lines) / sum(references)`` of the mean flux of its bands relative to the flat lamp. The
    bands may lie on several orders, which are brought to one scale where they overlap; a band on two orders is their
    weighted mean. The lamp is part of the scale of an index, so that a series of one spectrograph is consistent, and
    stars of known index are needed to compare it with another one.
    """
    if not np.isfinite(rv_ms):
        return tuple(Index(name, reason="the star has no velocity") for name, *_ in INDICES)
    shift = doppler.seen(rv_ms, berv_ms)
    light = _Light.of(spectra, wavelengths, fiber)
    room = doppler.factor(rv_ms) * np.array([doppler.factor(-motion_ms), doppler.factor(motion_ms)])
    return tuple(_index(light, shift, room, definition, faintest) for definition in INDICES)


def measure_all(velocity: Velocity, spectra: Spectra, wavelengths: Wavelengths) -> tuple[Index, ...]:
    """Measure all activity indices of a star whose velocity was measured.

    Parameters
    ----------
    velocity
        Of the star in a fiber.
    wavelengths
        Of the same fibers, orders and pixels.

    Returns
    -------
    tuple of Index
        Those of `measure_bands`, that of `chromatic`, and ``dlw``, the differential line width against the template.
    """
    indices = measure_bands(spectra, wavelengths, velocity.fiber, velocity.rv_ms, velocity.barycentric.berv_ms)
    middle = (velocity.order_start_angstrom + velocity.order_end_angstrom) / 2
    color = chromatic(velocity.by_order.rv_ms, velocity.by_order.error_ms, middle)
    return (*indices, color, _width_change(velocity.template))


def _width_change(by_template):
    if by_template is None or not np.isfinite(by_template.width_change_m2_s2):
        return Index("dlw", unit="m2/s2", reason="no template")
    return Index("dlw", by_template.width_change_m2_s2, by_template.width_change_error_m2_s2, "m2/s2")


def chromatic(order_rv_ms: Floats, order_error_ms: Floats, wavelength_angstrom: Floats, *, fewest: int = 10) -> Index:
    """Measure how the velocities of the orders change with wavelength.

    Parameters
    ----------
    order_rv_ms, order_error_ms : shape (n_orders,)
        Velocity of each order and its photon error, NaN where there is none [m / s].
    wavelength_angstrom : shape (n_orders,)
        Middle of each order [angstrom].
    fewest
        With fewer orders there is no index.

    Returns
    -------
    Index
        ``chromatic``: slope of the velocity against the natural logarithm of the wavelength [m / s].

    Notes
    -----
    Zechmeister et al. 2018, A&A 609, A12: spots shift the blue more than the red, a planet does not. By the line mask
    every star has a slope of its own, so that only its changes within a series count; the error is that of the photons.
    """
    usable = np.isfinite(order_rv_ms) & np.isfinite(order_error_ms) & np.isfinite(wavelength_angstrom)
    if usable.sum() < fewest:
        return Index("chromatic", unit="m/s", reason="too few orders have a velocity")
    weight = np.asarray(order_error_ms)[usable] ** -2.0
    color = np.log(np.asarray(wavelength_angstrom)[usable])
    color = color - np.average(color, weights=weight)
    leverage = np.sum(weight * color**2)
    slope = np.sum(weight * color * np.asarray(order_rv_ms)[usable]) / leverage
    return Index("chromatic", float(slope), float(leverage**-0.5), "m/s")


def band_weights(
    edges_angstrom: Floats,
    good: Booleans,
    center_angstrom: float,
    width_angstrom: float,
    triangular: bool = False,
    *,
    widest_gap: int = 6,
) -> Floats | None:
    """Return the weights of pixels in the mean flux of a band.

    Parameters
    ----------
    edges_angstrom : shape (n_pixels + 1,)
        Wavelengths of the edges of the pixels, increasing [angstrom].
    good : shape (n_pixels,)
        Pixels to use; another one is interpolated linearly between its neighbors.
    center_angstrom, width_angstrom
        Band; of a triangle the full width at half maximum [angstrom].
    triangular
        Whether the weight falls off from the center to both sides.
    widest_gap
        Largest distance of two good pixels between which others are interpolated.

    Returns
    -------
    ndarray of float, shape (n_pixels,) or None
        They add to 1; None where the pixels do not cover the band.
    """
    u = (np.asarray(edges_angstrom) - center_angstrom) / width_angstrom
    if triangular:
        inside = np.clip(u, -1, 1)
        below = 0.5 + inside - np.sign(inside) * inside**2 / 2
    else:
        below = np.clip(u + 0.5, 0, 1)
    weights = np.diff(below)
    if below[0] > 0 or below[-1] < 1 or not good.any():
        return None
    bad, kept = np.flatnonzero((weights > 0) & ~good), np.flatnonzero(good)
    if len(bad):
        right = np.searchsorted(kept, bad)
        if right.min() == 0 or right.max() == len(kept):
            return None
        left, right = kept[right - 1], kept[right]
        if np.max(right - left) > widest_gap:
            return None
        share = (bad - left) / (right - left)
        np.add.at(weights, left, weights[bad] * (1 - share))
        np.add.at(weights, right, weights[bad] * share)
        weights[bad] = 0.0
    return weights


def brightness_ratio(first: tuple[np.ndarray, ...], second: tuple[np.ndarray, ...]) -> tuple[float, float]:
    """Return the flux of an order relative to another one where both cover the same wavelengths.

    Parameters
    ----------
    first, second : shape (n_pixels,)
        Flux and variance above the blaze, good pixels, wavelength, blaze of either order.

    Returns
    -------
    ln_ratio, error : float
        Natural logarithm of first over second, and its error; NaN and infinite where they share too little flux.
    """
    flux, variance, good, wavelength, blaze = first
    flux2, variance2, good2, wavelength2, blaze2 = second
    here = good & (wavelength > wavelength2[0]) & (wavelength < wavelength2[-1])
    place = np.clip(np.searchsorted(wavelength2, wavelength), 1, len(wavelength2) - 1)
    here &= good2[place] & good2[place - 1]
    if here.sum() < 100:
        return float("nan"), float("inf")
    share = (wavelength - wavelength2[place - 1]) / (wavelength2[place] - wavelength2[place - 1])
    other = (1 - share) * flux2[place - 1] + share * flux2[place]
    blazes = blaze**2, blaze2[place] ** 2
    # from the lamp and not from the star: weights by the noise of a pixel would favor the faint ones
    weight = np.where(here, blazes[0] * blazes[1] / np.where(here, sum(blazes), 1.0), 0.0)
    one, two = np.sum(weight * flux), np.sum(weight * other)
    one_variance, two_variance = np.sum(weight**2 * variance), np.sum(weight**2 * variance2[place])
    if not (one > 5 * np.sqrt(one_variance) and two > 5 * np.sqrt(two_variance)):
        return float("nan"), float("inf")
    return float(np.log(one / two)), float(np.sqrt(one_variance / one**2 + two_variance / two**2))


def bright_range(wavelength: Floats, blaze: Floats) -> tuple[Floats, Floats]:
    """Return the wavelengths between which the lamp lights each order.

    Parameters
    ----------
    wavelength, blaze : shape (n_orders, n_pixels)
        Wavelengths, increasing [angstrom]; spectrum of the lamp, 1 at the peak.

    Returns
    -------
    start, end : ndarray of float, shape (n_orders,)
        NaN for an order that the lamp does not light [angstrom].
    """
    lit = (blaze > _FAINTEST) & np.isfinite(wavelength)
    some = lit.any(axis=1)
    rows = np.arange(len(lit))
    start = np.where(some, wavelength[rows, lit.argmax(axis=1)], np.nan)
    end = np.where(some, wavelength[rows, lit.shape[1] - 1 - lit[:, ::-1].argmax(axis=1)], np.nan)
    return start, end


@dataclass(frozen=True)
class _Light:
    """Flux divided by the blaze, and the range of each order that the lamp lights."""

    flux: np.ndarray
    variance: np.ndarray
    slope: np.ndarray
    good: np.ndarray
    wavelength: np.ndarray
    blaze: np.ndarray
    bright: tuple

    @classmethod
    def of(cls, spectra, wavelengths, fiber):
        flux, variance, good = _with_cosmic_rays(*spectra.of(fiber))
        wavelength = wavelengths.vacuum_angstrom[wavelengths.fibers.index(fiber)]
        known = np.all(np.diff(wavelength, axis=1) > 0, axis=1)
        blaze = np.where(known[:, None], spectra.of(fiber).blaze, 0.0)
        bright = bright_range(wavelength, blaze)
        slope = continuum.noise(flux, variance, good).slope
        return cls(flux, variance, slope, good & known[:, None], wavelength, blaze, bright)

    def order(self, o):
        return self.flux[o], self.variance[o], self.good[o], self.wavelength[o], self.blaze[o]


def _with_cosmic_rays(flux, variance, quality, blaze, *, errors=5.0, share=0.3):
    """Return flux divided by the blaze, including pixels with a cosmic ray whose flux is plausible.

    The extraction leaves the affected rows out, and the flux is right with a larger error. A straight line across such
    pixels cuts the core of a line off: 16 errors of an index in a simulated frame. Flux that lies further than `errors`
    and `share` from that line is that of the cosmic ray.
    """
    sure = continuum.above_blaze(flux, variance, quality, blaze)[2]
    flux, variance, able = continuum.above_blaze(flux, variance, quality & ~np.uint8(Pixel.COSMIC), blaze)
    good = sure.copy()
    for o in np.flatnonzero((able & ~sure).any(axis=1) & sure.any(axis=1)):
        struck = np.flatnonzero(able[o] & ~sure[o])
        line = np.interp(struck, np.flatnonzero(sure[o]), flux[o, sure[o]])
        limit = errors * np.sqrt(variance[o, struck]) + share * np.abs(line)
        good[o, struck] = np.abs(flux[o, struck] - line) < limit
    return flux, variance, good


def _index(light, shift, room, definition, faintest):
    """Return one index, or why there is none."""
    name, lines, references, factor = definition
    bands = Counter(lines), Counter(references)
    seen = {}
    for band in (*bands[0], *bands[1]):
        seen[band] = _on_orders(light, band, shift, room)
        if isinstance(seen[band], str):
            return Index(name, reason=f"{seen[band]} {band.center_angstrom:.1f} angstrom")
    orders = sorted({order for found in seen.values() for order in found})
    steps = [brightness_ratio(light.order(o), light.order(o + 1)) for o in range(orders[0], orders[-1])]
    ln_steps, step_errors = np.array(steps).reshape(-1, 2).T
    if not np.all(np.isfinite(ln_steps)):
        return Index(name, reason="the orders of its bands share too little light")
    scale = dict(zip(range(orders[0], orders[-1] + 1), np.exp(np.append(0.0, np.cumsum(ln_steps)))))
    joined = {band: _join(found, scale) for band, found in seen.items()}
    above, below = (sum(n * joined[band][0] for band, n in counted.items()) for counted in bands)
    above_variance, below_variance = (
        sum(n**2 * joined[band][1] for band, n in counted.items()) for counted in bands
    )  # fmt: skip
    if not below > faintest * np.sqrt(below_variance):
        return Index(name, reason="too faint")
    value = factor * above / below
    variance = factor**2 * (above_variance + (above / below) ** 2 * below_variance) / below**2
    for step, error in enumerate(step_errors):
        variance += (_slope(joined, bands, orders[0] + step, value) * error) ** 2
    return Index(name, float(value), float(np.sqrt(variance)))


def _on_orders(light, band, shift, room):
    """Return mean flux of a band, its variance, and the slope of that with flux, on each order; or what is missing.

    An order must cover all of the band all year.
    """
    low, high = band.center_angstrom - band.reach_angstrom, band.center_angstrom + band.reach_angstrom
    start, end = light.bright
    complete = np.flatnonzero((start < low * room[0]) & (end > high * room[1]))
    found = {}
    for order in complete:
        edges = ccf.pixel_edges(light.wavelength[order][None])[0] / shift
        flux, good, shape = (
            light.flux[order],
            light.good[order],
            (band.center_angstrom, band.width_angstrom, band.triangular),
        )
        weights = band_weights(edges, good, *shape)
        if weights is not None:
            all_weights = band_weights(edges, np.ones(good.shape, bool), *shape)
            off = all_weights @ _bend_of_bridges(flux, good, all_weights)
            found[int(order)] = (
                weights @ flux, weights**2 @ light.variance[order] + off**2, weights**2 @ light.slope[order]
            )  # fmt: skip
    if found:
        return found
    if len(complete):
        return "too many pixels are missing at"
    reached = np.any((light.wavelength[:, 0] < low * room[0]) & (light.wavelength[:, -1] > high * room[1]))
    return "the lamp is too faint at" if reached else "no order shows all of the band at"


def _bend_of_bridges(flux, good, weights):
    """Return by how much a cubic through the four nearest good pixels differs from the line that bridges the others."""
    bent, kept = np.zeros(flux.shape), np.flatnonzero(good)
    bridged = np.flatnonzero(~good & (weights > 0))
    right = np.clip(np.searchsorted(kept, bridged), 2, len(kept) - 2)
    for x, near in zip(bridged, kept[right[:, None] + np.arange(-2, 2)]):
        cubic = lagrange(near - x, flux[near])(0.0)
        bent[x] = cubic - np.interp(x, near, flux[near])
    return bent


def _join(found, scale):
    """Return the weighted mean of a band over its orders, its variance, and the share of each order in it."""
    values = {order: value * scale[order] for order, (value, *_) in found.items()}
    variances = {order: variance * scale[order] ** 2 for order, (_, variance, _) in found.items()}
    mean = sum(values.values()) / len(values)
    for _ in range(2):
        # the variance of an order at the mean flux of all of them: that of its own flux would follow its noise
        weights = {
            order: 1 / max(variances[order] + slope * scale[order] * (mean - values[order]), 0.1 * variances[order])
            for order, (*_, slope) in found.items()
        }
        total = sum(weights.values())
        parts = {order: weights[order] / total * values[order] for order in found}
        mean = sum(parts.values())
    return mean, 1 / total, parts


def _slope(joined, bands, order, value):
    """Return the derivative of an index by the logarithm of the ratio of an order and the next one."""
    sums = []
    for counted in bands:
        moved = sum(n * part for band, n in counted.items() for o, part in joined[band][2].items() if o > order)
        sums.append(moved / sum(n * joined[band][0] for band, n in counted.items()))
    return value * (sums[0] - sums[1])
