"""Lamp flats: where the orders lie, how their light spreads, the blaze, the response of the pixels, the gain."""

from dataclasses import replace

import numpy as np

from nrespipe.engine import background, blaze, claims, company, detector, gain, profile, ridges, stack, trace
from nrespipe.engine.judge import master as judge  # noqa: F401
from nrespipe.errors import BadFrame
from nrespipe.frames.image import Image
from nrespipe.frames.masters import Flat
from nrespipe.frames.quality import Pixel, Quality
from nrespipe.frames.raw import Kind
from nrespipe.frames.reduction import Reduction
from nrespipe.frames.traces import Traces
from nrespipe.recipes.origin import origin_of

NEEDS = (Kind.BIAS, Kind.DARK)
MINIMUM, USUAL = 1, 5
#: The bench of another night is another one.
LOOKBACK_DAYS = 0
#: Orders of two flats of a night that are further apart were not taken with the same bench.
_MOVED_PX = 0.5
#: The light of two pairs of fibers lies some twenty pixels apart; what is nearer is the same light.
_TWIN_PX = 5.0


def reduce(raw, refs, spectrograph):
    """Check a flat.

    Parameters
    ----------
    raw : RawFrame
        The frame.
    refs : References
        With the masters bias and dark.
    spectrograph : Spectrograph
        Detector and pattern of the orders.

    Returns
    -------
    Reduction
        With doubts about header and noise, and the measurements ``brightest_adu``, ``middle_row_px``, ``ridges`` and
        ``saturated``.

    Raises
    ------
    BadFrame
        If the lamp was off, the orders are saturated, or they cannot be found and numbered.
    """
    if len(raw.lit_fibers) < 2:
        raise BadFrame(f"{raw.filename}: a flat must light two fibers, OBJECTS names {raw.objects}")
    image = detector.correct(raw, refs.bias, refs.dark, spectrograph.detector, 1.0)
    brightest = float(np.percentile(image.electrons[::4, ::4], 99))
    if brightest < 20 * refs.bias.read_noise_adu:
        raise BadFrame(f"{raw.filename}: the lamp was off: the brightest pixels have {brightest:.0f} ADU")
    saturated = float(np.mean(image.mask & Pixel.SATURATED > 0))
    if saturated > 0.005:
        raise BadFrame(f"{raw.filename}: saturated: {saturated:.1%} of the pixels")
    crossing = ridges.count(image.electrons)
    if crossing < 5 * len(raw.lit_fibers):
        raise BadFrame(f"{raw.filename}: only {crossing} orders with light cross the middle of the detector")
    quality = claims.doubts(raw, spectrograph.detector, refs.bias.read_noise_adu)
    try:
        traces = trace.find(image.electrons, raw.lit_fibers, spectrograph)
    except BadFrame as error:
        raise BadFrame(f"{raw.filename}: {error}") from error
    measurements = {
        "brightest_adu": brightest,
        "middle_row_px": _middle_row(traces, spectrograph),
        "ridges": float(crossing),
        "saturated": saturated,
    }
    return Reduction(quality=quality, measurements=measurements)


def odd(lit, measured):
    """Tell which flats of a night do not belong with the others.

    Parameters
    ----------
    lit : sequence of str
        What lights the fibers of each, as OBJECTS has it.
    measured : sequence of mapping of str to float
        Measurements of each.

    Returns
    -------
    list of str
        Reasons; '' for those that do.
    """
    rows = [each.get("middle_row_px", np.nan) for each in measured]
    others = {name: np.median([row for row, own in zip(rows, lit) if own != name] or [np.nan]) for name in set(lit)}
    twins = [abs(row - others[name]) < _TWIN_PX for row, name in zip(rows, lit)]
    if all(twins):
        # nobody can tell which pair it is
        twins = [False] * len(rows)
    rows = [np.nan if twin else row for row, twin in zip(rows, twins)]
    far = company.by_light(lit, _moved, rows)
    wrong = "its light lies in the fibers of another pair than its header says"
    return [wrong if twin else reason for twin, reason in zip(twins, far)]


def combine(frames, refs, spectrograph):
    """Make a master of the flats of all fiber pairs.

    Parameters
    ----------
    frames : sequence of RawFrame
        Checked flats of one camera.
    refs : References
        With the masters bias and dark.
    spectrograph : Spectrograph
        Detector and pattern of the orders.

    Returns
    -------
    Flat
        Of all fibers that the flats lit.

    Raises
    ------
    BadFrame
        If no trace can be found, or the fiber pairs contradict each other.
    """
    pairs = _by_fibers(frames, spectrograph)
    measured, error, levels = _samples(pairs, refs)
    gain_e, gain_error, quality = _trusted(measured, error, spectrograph.detector.gain_e_per_adu, frames)
    stacked = [_stack(group, refs, spectrograph, gain_e, levels) for group in pairs.values()]
    found = [trace.find(image.electrons, lit, spectrograph) for lit, image in zip(pairs, stacked)]
    if not trace.upright(found, spectrograph):
        found = [trace.turned(traces) for traces in found]
        quality |= Quality.FIBERS_REVERSED
    traces, shifts = trace.merge(found, spectrograph)
    mask = np.bitwise_and.reduce([image.mask for image in stacked]) & np.uint8(Pixel.BAD)
    pieces, best = [], ()
    for lit, shift in zip(pairs, shifts):
        here = Traces(traces.fibers, traces.orders, traces.centers + shift)
        # a stack is not needed any more once its background is gone
        image, wings = background.of_flat(stacked.pop(0), here, lit)
        shape, flux, variance = profile.measure(image, here, lit, wings)
        lamp = blaze.smooth(flux, variance)
        # the response is not known yet, and a stand-in needs no memory
        even = np.broadcast_to(np.float32(1), mask.shape)
        shape = replace(shape, response=even, response_error=even)
        pieces.append((lit, shape, lamp, variance, np.full(len(lit), image.exposure_s)))
        *response, flawed = profile.respond(image, here, shape, lamp, lit)
        del image
        mask |= flawed
        best = _better(best, response) if best else response
    values, lamp, variance, seconds = _merge(traces.fibers, pieces)
    wings = np.mean([piece[1].wings for piece in pieces], axis=0)
    shape = replace(pieces[0][1], values=values, wings=wings, response=best[0], response_error=best[1])
    if min(len(group) for group in pairs.values()) < USUAL:
        quality |= Quality.FEW_CALIBRATIONS
    origin = origin_of(Kind.FLAT, frames, quality)
    peak_e_per_s = blaze.peaks(lamp) / seconds[:, np.newaxis]
    return Flat(origin, traces, shape, blaze.normalise(lamp, variance), gain_e, gain_error, mask, peak_e_per_s)


def _moved(rows):
    return company.odd(rows, _MOVED_PX, "its orders lie at {value:.2f} px, those of the other flats at {usual:.2f} px")


def _middle_row(traces, spectrograph):
    """Median distance of the traces from the pattern of the spectrograph, in the middle of the detector [pixel]."""
    middle = traces.centers[:, :, traces.centers.shape[2] // 2]
    pattern = np.polynomial.polynomial.polyval(traces.orders - spectrograph.first_order, spectrograph.order_rows)
    return float(np.nanmedian(middle - pattern))


def _by_fibers(frames, spectrograph):
    """Sort flats by the fibers they light; the pair with the highest fiber on the detector first."""
    pairs = {}
    for raw in sorted(frames, key=lambda raw: raw.start_mjd):
        pairs.setdefault(raw.lit_fibers, []).append(raw)
    top = spectrograph.fibers.upward[-1]
    return dict(sorted(pairs.items(), key=lambda item: (top not in item[0], item[0])))


def _samples(pairs, refs):
    """Gain by photon transfer, its error, and the level of each flat by its name, all from a part of the rows."""
    levels = {}

    def bands(raw):
        parts = [detector.trim(raw, rows) - refs.bias.adu[rows] for rows in stack.samples(len(refs.bias.adu))]
        levels[raw.filename] = float(np.percentile([part[::4, ::4] for part in parts], 98))
        return parts

    def doubles():
        for group in pairs.values():
            for i in range(0, len(group) - 1, 2):
                yield from zip(bands(group[i]), bands(group[i + 1]))
            if len(group) % 2:
                bands(group[-1])

    return *gain.measure(doubles(), refs.bias.read_noise_adu), levels


def _trusted(measured, error, nominal, frames):
    """Gain and its error, those of the table where the flats do not allow to measure it, and what speaks against it."""
    if not error < 0.05 * measured:
        return nominal, 0.2 * nominal, Quality.GAIN_ASSUMED
    quality = Quality.GAIN_DISAGREES if abs(measured / nominal - 1) > 0.1 else Quality(0)
    return measured, error, quality | claims.header_gain(frames, measured)


def _stack(frames, refs, spectrograph, gain_e_per_adu, levels):
    bias, dark, shape = refs.bias, refs.dark, refs.bias.adu.shape
    scales = np.array([levels[raw.filename] for raw in frames])
    scales /= scales.mean()
    mask = bias.mask | dark.mask
    electron = np.float32(gain_e_per_adu)

    def band_of(raw, rows):
        adu, level = detector.counts(raw, rows)
        mask[rows] |= detector.flags(adu, raw, spectrograph.detector)
        return (adu - level[:, np.newaxis] - bias.adu[rows] - dark.adu_per_s[rows] * raw.exposure_s) * electron

    n, mean_s = len(frames), float(np.mean([raw.exposure_s for raw in frames]))
    noise = (bias.read_noise_adu * electron) ** 2 + np.maximum(dark.adu_per_s, 0) * np.float32(mean_s * electron)
    light, variance, _, unsteady = stack.mean(
        frames, band_of, shape, noise, 1.0, scales=scales, threshold=6.0, mismatch=0.01
    )
    mask[unsteady] |= np.uint8(Pixel.BAD)
    # light of n exposures in electrons, so that photon noise stays Poisson; where values were left out the noise of it
    # is more than Poisson's, and the error of the other masters is the same in all exposures
    variance = n**2 * (variance + electron**2 * (bias.variance + dark.variance * mean_s**2))
    light *= n
    floor = np.maximum(variance - np.maximum(light, 0), n * noise)
    return Image(light, floor, mask, n * mean_s)


def _merge(fibers, pieces):
    """Take each fiber from the first pair that lit it."""
    chosen = {}
    for lit, shape, *others in pieces:
        for i, fiber in enumerate(lit):
            chosen.setdefault(fiber, (shape.values[i], *(each[i] for each in others)))
    return (np.stack(each) for each in zip(*(chosen[fiber] for fiber in fibers)))


def _better(maps, others):
    """Take each pixel from the pair whose flat decided most of its response; the maps are changed in place."""
    better = others[2] > maps[2]
    for one, other in zip(maps, others):
        np.copyto(one, other, where=better)
    return maps
