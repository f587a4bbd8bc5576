"""Wavelength solution of a lamp spectrum in plain arrays, extracted by any program."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike

from nrespipe import data, doppler, instruments
from nrespipe.engine.wavelength import arc_lines, identify, line_spread, match_lines, order_numbers, solution
from nrespipe.errors import BadFrame
from nrespipe.frames.quality import Pixel
from nrespipe.frames.spectra import Spectra
from nrespipe.frames.spectrograph import Spectrograph
from nrespipe.frames.wavelength import ArcLines, LampLines, Solution
from nrespipe.numerics import legendre2d

#: Read noise of an extracted pixel [electron]; it gives the unit of a spectrum by its noise between the lines.
_READ_NOISE_E = 33.0
_BLOCK = 256
#: Significance of a vote from which on the direction of the rows is certain [standard deviations].
_CLEAR = 12.0
#: Error of the wavelength by an imperfect profile with three orders or fewer, in units of the scatter of the lines
#: (measured); with more orders the covariance of the solution includes it.
_UNSEEN, _FEW_ORDERS = 0.33, 3
#: Largest difference of the length of an array from that of the detector [pixel].
_ODD_PIXELS = 150


@dataclass(frozen=True)
class Found:
    """Wavelength solution of a lamp spectrum.

    Attributes
    ----------
    orders : shape (n_orders,)
        True diffraction order of each row, in the sequence of the rows as they came.
    vacuum_angstrom : shape (n_orders, n_pixels)
        Vacuum wavelength of the middle of each pixel [angstrom].
    error_ms : shape (n_orders, n_pixels)
        Its error, without the common errors of all lines: their asymmetry, and the laboratory scale [m / s].
    share : shape (n_orders,)
        Fraction of the 25 brightest peaks of each row within a quarter of a pixel of a lamp line; normally 0.65 or
        more; NaN for a row with fewer than ten peaks.
    solution
        The same wavelengths as a polynomial; its orders increase.
    lines
        All measured lines, with the laboratory wavelengths of the identified ones.
    residual_ms : shape (n_lines,)
        Wavelength of each of `lines` by the solution minus that of the laboratory; NaN where not identified [m / s].
    rms_ms, bright_rms_ms
        Root of the mean square of the residuals of the lines that were used, and of the brighter half of them, which
        carry the solution [m / s].
    centroid_ms
        Centroid of a line minus its center, the median over the pixels. The wavelengths are those of the centers, as of
        lines of a star; a scale that is defined by the centroids of asymmetric lines is lower by this [m / s].
    """

    orders: np.ndarray
    vacuum_angstrom: np.ndarray
    error_ms: np.ndarray
    share: np.ndarray
    solution: Solution
    lines: ArcLines
    residual_ms: np.ndarray
    rms_ms: float
    bright_rms_ms: float
    centroid_ms: float


def solve(
    flux: ArrayLike,
    spectrograph: str | Spectrograph,
    *,
    fiber: int | None = None,
    orders: ArrayLike | None = None,
    variance: ArrayLike | None = None,
    lamp: LampLines | None = None,
) -> Found:
    """Find the wavelength solution of an extracted lamp spectrum, without an earlier solution.

    Parameters
    ----------
    flux : shape (n_orders, n_pixels)
        Spectrum of one fiber in any unit, divided by the blaze or not, with or without its background; NaN, or a run of
        one value, where there is none. Three orders are enough. Wavelengths increase along the rows.
    spectrograph
        Optical model to start from: ``"nres03"`` or a result of ``nrespipe.instruments.load``. The spectrum may lie up
        to 100 px from the prediction of the model.
    fiber
        Fiber of the model; that of the reference lamp where absent. Fibers differ by a few pixels only.
    orders : shape (n_orders,)
        First guess of the diffraction orders; it may be off by a constant, decrease, and have gaps. Where absent, the
        lines identify each row.
    variance : shape (n_orders, n_pixels)
        Variance of `flux`; estimated from the noise between the lines where absent.
    lamp
        Laboratory lines; those of the spectrograph's lamp where absent.

    Raises
    ------
    BadFrame
        If no reliable solution is found; the message lists the attempts, and whether a mirrored or inverted spectrum
        would fit.
    ValueError
        If the arrays do not have the shapes above.

    Notes
    -----
    The numbering of all rows at once is tried first, then that of each row by itself.
    """
    spectrograph = instruments.load(spectrograph) if isinstance(spectrograph, str) else spectrograph
    fiber = spectrograph.fibers.reference if fiber is None else fiber
    lamp = data.lamp_lines(spectrograph.line_list) if lamp is None else lamp
    values, noise2, guess = _arrays(flux, variance, orders, spectrograph)
    task = _Task(spectrograph, fiber, lamp, orders is not None)
    try:
        true, one, lines, centroid_ms = _numbered(values, noise2, guess, task)
    except BadFrame as error:
        turned = _turned(values, noise2, guess, task)
        raise BadFrame(f"{error}{turned}") from None
    wavelength, error_ms = _pixels(one, true, values.shape[1])
    residual_ms = doppler.velocity_ms(solution.evaluate(one, fiber, lines.order, lines.x) / lines.vacuum_angstrom)
    bright = lines.used & (lines.flux >= np.median(lines.flux[lines.used]))
    rms_ms, bright_rms_ms = (float(np.sqrt(np.mean(residual_ms[some] ** 2))) for some in (lines.used, bright))
    share = match_lines.identified_fractions(lines, true, lamp, one)
    return Found(true, wavelength, error_ms, share, one, lines, residual_ms, rms_ms, bright_rms_ms, centroid_ms)


@dataclass(frozen=True)
class _Task:
    spectrograph: object
    fiber: int
    lamp: object
    trusted: bool


def _arrays(flux, variance, orders, spectrograph):
    """Check the arguments; return flux, variance and the first guess of the orders."""
    flux = np.ma.filled(np.ma.asarray(flux).astype(float), np.nan)
    if flux.ndim != 2:
        raise ValueError(f"flux must have the axes (order, pixel), got the shape {flux.shape}")
    columns = spectrograph.detector.columns
    if abs(flux.shape[1] - columns) > _ODD_PIXELS:
        raise ValueError(
            f"flux must have a pixel for each of the {columns} columns of {spectrograph.name}, got the shape "
            f"{flux.shape}: fill what is not there with NaN, undo any binning, and put the pixels on the last axis"
        )
    flux = np.where(_valid(flux), flux, np.nan)
    variance = _estimated(flux) if variance is None else np.ma.filled(np.ma.asarray(variance).astype(float), np.nan)
    if variance.shape != flux.shape:
        raise ValueError(f"variance must have the shape of flux {flux.shape}, got {variance.shape}")
    guess = spectrograph.first_order + np.arange(len(flux)) if orders is None else np.asarray(orders)
    if guess.shape != flux.shape[:1] or len(np.unique(guess)) != len(guess):
        raise ValueError(f"orders must have {len(flux)} numbers, each another, got {guess}")
    return flux, variance, guess.astype(int)


def _valid(flux, longest=7):
    """Pixels with data: neither NaN nor in a run of one value, as filled edges are."""
    valid = np.isfinite(flux)
    for row, good in zip(flux, valid):
        starts = np.flatnonzero(np.append(True, row[1:] != row[:-1]))
        lengths = np.diff(np.append(starts, len(row)))
        good &= np.repeat(lengths <= longest, lengths)
    return valid


def _estimated(flux):
    """Variance of a spectrum of unknown unit, by its noise between the lines, which also gives its photon noise."""
    variance = np.full(flux.shape, np.nan)
    n = flux.shape[1]
    middles = np.arange(0, n, _BLOCK) + _BLOCK / 2
    for i, row in enumerate(flux):
        noise, level = np.array([_quiet(row[start : start + _BLOCK]) for start in range(0, n, _BLOCK)]).T
        known = noise > 0
        if not known.any():
            continue
        filled = np.pad(np.interp(middles, middles[known], noise[known]), 2, mode="edge")
        smooth = np.median([filled[k : k + len(middles)] for k in range(5)], axis=0)
        sigma = np.interp(np.arange(n), middles, smooth)
        light = row - np.interp(np.arange(n), middles[known], level[known])
        variance[i] = sigma**2 + np.maximum(light, 0) * sigma / _READ_NOISE_E
    return variance


def _quiet(values, rounds=6):
    """Return noise and level of a stretch of spectrum, without the lines that stand out of it."""
    values = values[np.isfinite(values)]
    if len(values) < 16:
        return 0.0, 0.0
    for _ in range(rounds):
        level = np.median(values)
        noise = 1.4826 * np.median(level - values[values <= level])
        values = values[values <= level + 3 * noise]
    return noise, level


def _numbered(flux, variance, guess, task):
    """Return the true orders of the rows, the solution, its lines, and how far their centroids are off [m / s]."""
    lines = arc_lines.find(_spectra(flux, variance, guess, task.fiber), task.fiber)
    given = task.spectrograph, task.lamp, task.fiber
    numbers, start = guess, identify.blindly(lines, np.sort(guess), *given, trusted=task.trusted)
    if not task.trusted and (start.significance < _CLEAR or start.at_border):
        other = identify.blindly(_renumbered(lines, guess, guess[::-1]), np.sort(guess), *given, trusted=False)
        numbers, start = max((guess, start), (guess[::-1], other), key=lambda each: each[1].significance)
    try:
        return _solved(flux, variance, _renumbered(lines, guess, numbers + start.renumber), start, task, numbers)
    except BadFrame as error:
        own = _filled(order_numbers.of_rows(lines, guess, *given))
        if task.trusted or not _usable(own):
            shown = order_numbers.describe(range(len(own)), own)
            raise BadFrame(f"{error}; by its own lines, {shown}" if shown else str(error)) from None
    lines = _renumbered(lines, guess, own)
    start = identify.blindly(lines, np.sort(own), *given)
    return _solved(flux, variance, _renumbered(lines, own, own + start.renumber), start, task, own)


def _renumbered(lines, now, then):
    """Change the order numbers of lines."""
    places = np.argsort(now)
    return replace(lines, order=then[places[np.searchsorted(now[places], lines.order)]])


def _filled(own):
    """Number the unidentified rows by their neighbors, where those agree on the step from row to row."""
    known = np.flatnonzero(own)
    if len(known) < 2:
        return own
    step = np.median(np.diff(own[known]) / np.diff(known))
    rows = np.arange(len(own))
    before = known[np.clip(np.searchsorted(known, rows, "right") - 1, 0, None)]
    after = known[np.clip(np.searchsorted(known, rows), None, len(known) - 1)]
    filled, again = (own[near] + step * (rows - near) for near in (before, after))
    return np.where((own == 0) & (filled == again), filled.astype(int), own)


def _usable(own):
    """Whether all rows are identified, and run in one direction."""
    step = np.diff(own)
    return np.all(own > 0) and (np.all(step > 0) or np.all(step < 0))


def _spectra(flux, variance, orders, fiber):
    """Return arrays as `Spectra`, with increasing orders."""
    rows = np.argsort(orders)
    flux, variance = flux[rows][None], variance[rows][None]
    quality = np.where(np.isfinite(flux), 0, Pixel.BAD).astype(np.uint8)
    quality[_flat_topped(flux, variance)] |= np.uint8(Pixel.SATURATED)
    return Spectra((fiber,), orders[rows], flux, variance, quality, np.ones(flux.shape))


def _flat_topped(flux, variance):
    """Pixels far above the noise that equal both neighbors, as where the detector is saturated."""
    with np.errstate(invalid="ignore"):
        same = np.abs(np.diff(flux, axis=-1)) < 1e-3 * np.sqrt(variance[..., 1:])
        flat = np.zeros(flux.shape, bool)
        flat[..., 1:-1] = same[..., 1:] & same[..., :-1] & (flux[..., 1:-1] > 30 * np.sqrt(variance[..., 1:-1]))
    flat[..., 1:-1] |= flat[..., 2:] | flat[..., :-2]
    return flat


def _solved(flux, variance, lines, start, task, numbers):
    orders = numbers + start.renumber
    spectra = _spectra(flux, variance, orders, task.fiber)
    given = task.spectrograph, task.lamp, start, task.fiber
    # the line-spread function takes most of the time, and is useless for a spectrum of another source
    if not match_lines.plausible(lines, spectra.orders, *given):
        raise BadFrame(
            f"no wavelength solution to trust, orders numbered {spectra.orders[0]} to {spectra.orders[-1]}: not even "
            "20 % of the brightest peaks are within half a pixel of lines of the lamp; the vote stands "
            f"{start.significance:.0f} standard deviations high"
        )
    shape = arc_lines.line_shape(spectra, task.fiber)
    lines = arc_lines.find(spectra, task.fiber, shape)
    one, lines = match_lines.solve(lines, spectra.orders, *given)
    columns = np.linspace(0, one.n_pixels - 1, 65)
    dispersion_ms = solution.velocity_per_pixel(one, task.fiber, spectra.orders[:, None], columns)
    off_ms = line_spread.centroid_px(shape, task.fiber, columns) * dispersion_ms
    return orders, one, lines, float(np.median(off_ms))


def _turned(flux, variance, guess, task):
    """Describe how a mirrored or inverted spectrum would fit; '' where none does."""
    ways = [
        ("the columns mirrored: wavelengths must increase along a row", np.s_[:, ::-1]),
        ("the rows in the reverse sequence", np.s_[::-1]),
        ("the columns mirrored and the rows in the reverse sequence", np.s_[::-1, ::-1]),
    ]
    for words, turn in ways:
        if not task.trusted and turn != np.s_[:, ::-1]:
            continue
        try:
            _numbered(flux[turn], variance[turn], guess, task)
        except BadFrame:
            continue
        return f". There is a solution with {words}"
    return ""


def _pixels(one, orders, n_pixels):
    """Return the wavelengths of all pixels, and their errors."""
    columns = np.arange(float(n_pixels))
    wavelength = solution.on_grid(one, one.fibers[0], orders, columns)
    x = legendre2d.scaled(columns, 0, one.n_pixels - 1)
    error = np.empty(wavelength.shape)
    for i, m in enumerate(legendre2d.scaled(orders, one.orders.min(), one.orders.max())):
        design = legendre2d.design(one.degrees, x, np.full(n_pixels, m))
        error[i] = np.sqrt(np.sum((design @ one.covariance[0]) * design, axis=1)) / orders[i]
    error_ms = doppler.C_MS * error / wavelength
    unseen = _UNSEEN * min(1.0, _FEW_ORDERS / len(orders)) ** 2
    return wavelength, np.hypot(error_ms, unseen * one.scatter_ms[0])
