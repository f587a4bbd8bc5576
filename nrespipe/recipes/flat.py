"""Lamp flats: where the orders lie, how their light spreads, the blaze, the response of the pixels, the gain."""

import numpy as np

from nrespipe.engine import background, blaze, detector, profile, ridges, stack, trace
from nrespipe.errors import BadFrame
from nrespipe.frames.image import Image
from nrespipe.frames.masters import Flat
from nrespipe.frames.quality import Pixel, Quality
from nrespipe.frames.raw import Kind
from nrespipe.frames.reduction import Reduction
from nrespipe.frames.traces import Profile, Traces
from nrespipe.recipes.origin import origin_of

NEEDS = (Kind.BIAS, Kind.DARK)
MINIMUM, USUAL = 1, 5


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
        With the measurements ``brightest_adu``, ``ridges`` and ``saturated``.

    Raises
    ------
    BadFrame
        If the lamp was off, or the orders are saturated.
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
    measurements = {"brightest_adu": brightest, "ridges": float(crossing), "saturated": saturated}
    return Reduction(measurements=measurements)


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
    gain, gain_error, quality = _gain(pairs, refs, spectrograph)
    stacked = [_stack(group, refs, spectrograph, gain) for group in pairs.values()]
    found = [trace.find(image.electrons, lit, spectrograph) for lit, image in zip(pairs, stacked)]
    if not trace.upright(found, spectrograph):
        found = [trace.turned(traces) for traces in found]
        quality |= Quality.FIBERS_REVERSED
    traces, shifts = trace.merge(found, spectrograph)
    pieces = []
    for lit, image, shift in zip(pairs, stacked, shifts):
        here = Traces(traces.fibers, traces.orders, traces.centers + shift)
        image = background.subtract(image, here, lit)
        shape, flux, variance = profile.measure(image, here, lit)
        pieces.append((lit, shape, flux, variance, *profile.respond(image, here, shape, flux, lit)))
    values, lamp, variance, response, error = _merge(traces.fibers, pieces)
    shape = Profile(pieces[0][1].offsets, pieces[0][1].columns, values, response, error)
    if min(len(group) for group in pairs.values()) < USUAL:
        quality |= Quality.FEW_CALIBRATIONS
    mask = np.bitwise_and.reduce([image.mask for image in stacked]) & np.uint8(Pixel.BAD)
    mask = np.bitwise_or.reduce([mask, *(piece[6] for piece in pieces)])
    origin = origin_of(Kind.FLAT, frames, quality)
    return Flat(origin, traces, shape, blaze.normalise(lamp, variance), gain, gain_error, mask)


def _by_fibers(frames, spectrograph):
    """Sort flats by the fibers they light; the pair with the highest fiber on the detector first."""
    pairs = {}
    for raw in sorted(frames, key=lambda raw: raw.start_mjd):
        pairs.setdefault(raw.lit_fibers, []).append(raw)
    top = spectrograph.fibers.upward[-1]
    return dict(sorted(pairs.items(), key=lambda item: (top not in item[0], item[0])))


def _gain(pairs, refs, spectrograph):
    """Gain by photon transfer where the flats allow it, else from the table; flagged when they disagree."""
    nominal = spectrograph.detector.gain_e_per_adu

    def doubles():
        for group in pairs.values():
            for first, second in zip(group[:-1:2], group[1::2]):
                yield tuple(detector.trim(raw) - refs.bias.adu for raw in (first, second))

    gain, error = detector.photon_transfer(doubles(), refs.bias.read_noise_adu)
    if not error < 0.05 * gain:
        return nominal, 0.2 * nominal, Quality.GAIN_DISAGREES
    return gain, error, Quality.GAIN_DISAGREES if abs(gain / nominal - 1) > 0.1 else Quality(0)


def _stack(frames, refs, spectrograph, gain):
    images = [detector.correct(raw, refs.bias, refs.dark, spectrograph.detector, gain) for raw in frames]
    levels = np.array([np.percentile(image.electrons[::4, ::4], 98) for image in images])
    scales = (levels / levels.mean()).astype(np.float32)
    floor = images[0].floor_variance
    scaled = [image.electrons / scale for image, scale in zip(images, scales)]
    mean, _variance, _ = stack.mean(scaled, float(np.median(floor)), 1.0, threshold=6.0)
    n = np.float32(len(images))
    # light of n exposures in electrons, so that photon noise stays Poisson
    return Image(
        mean * n,
        floor * n,
        np.bitwise_or.reduce([image.mask for image in images]),
        float(sum(image.exposure_s for image in images)),
    )


def _merge(fibers, pieces):
    """Take each fiber from the first pair that lit it, and each pixel's response from the pair that lit it best."""
    chosen = {}
    for lit, shape, flux, variance, *_ in pieces:
        for i, fiber in enumerate(lit):
            chosen.setdefault(fiber, (shape.values[i], flux[i], variance[i]))
    values, lamp, variance = (np.stack([chosen[fiber][k] for fiber in fibers]) for k in range(3))
    responses, errors = (np.stack([piece[k] for piece in pieces]) for k in (4, 5))
    best = np.argmin(errors, axis=0)[np.newaxis]
    response, error = (np.take_along_axis(maps, best, axis=0)[0] for maps in (responses, errors))
    return values, lamp, variance, response, error
