"""Lamp flats: the traces of the orders, their profiles, the blaze, the response of the pixels, the gain."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from nrespipe.engine.acceptance import frame_outliers
from nrespipe.engine.detector import correction, detector_values, gain, header_checks, stacking
from nrespipe.engine.extraction import blaze, pixel_response, profile, scattered_light
from nrespipe.engine.orders import ridges, trace
from nrespipe.errors import BadFrame, MissingCalibration
from nrespipe.frames.arrays import Floats
from nrespipe.frames.image import Image
from nrespipe.frames.masters import Flat
from nrespipe.frames.quality import Pixel, Quality
from nrespipe.frames.raw import Kind, RawFrame
from nrespipe.frames.reduction import Reduction, References
from nrespipe.frames.spectrograph import Spectrograph
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
#: Share of saturated pixels beyond which the profiles cannot be measured on the rest of a flat: with 1.1 percent the
#: flux of a star is as right as with none, with 3.2 percent it is off by a fifth of its error, with 8.8 percent no arc
#: can be solved.
_OVEREXPOSED = 0.02
#: Relative difference of the measured gain from that of header or table that is flagged.
_TOLERANCE = 0.1


def reduce(raw: RawFrame, refs: References, spectrograph: Spectrograph) -> Reduction:
    """Check a flat.

    Parameters
    ----------
    refs
        With the masters bias and dark.
    spectrograph
        Detector and pattern of the orders.

    Returns
    -------
    Reduction
        With flags of header and noise, and the measurements ``brightest_adu``, ``middle_row_px``, ``ridges`` and
        ``saturated``.

    Raises
    ------
    BadFrame
        If the lamp was off, the orders are saturated, or they cannot be found and numbered.
    MissingCalibration
        If there is no master bias.
    """
    if refs.bias is None:
        raise MissingCalibration(f"{raw.filename}: a flat needs a master bias")
    if len(raw.lit_fibers) < 2:
        raise BadFrame(f"{raw.filename}: a flat must light two fibers, OBJECTS names {raw.objects}")
    # the gain is not known yet, and does not matter but for the limits
    gain_e = detector_values.nominal_gain([raw], spectrograph.detector).e_per_adu
    image, state = correction.correct(raw, refs.bias, refs.dark, spectrograph.detector, gain_e)
    brightest = float(np.percentile(image.electrons[::4, ::4], 99)) / gain_e
    if brightest < 20 * refs.bias.read_noise_adu:
        raise BadFrame(f"{raw.filename}: the lamp was off: the brightest pixels have {brightest:.0f} ADU")
    saturated = float(np.mean(image.mask & Pixel.SATURATED > 0))
    if saturated > _OVEREXPOSED:
        raise BadFrame(f"{raw.filename}: saturated: {saturated:.1%} of the pixels")
    crossing = ridges.count(image.electrons)
    if crossing < 5 * len(raw.lit_fibers):
        raise BadFrame(f"{raw.filename}: only {crossing} orders with light cross the middle of the detector")
    quality = header_checks.flags(
        raw, spectrograph.detector, refs.bias.read_noise_adu, gain_e, state.overscan_noise_adu
    )
    if any(state.steps):
        quality |= Quality.LEVEL_JUMPED
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


def outlier_frames(objects: Sequence[str], measured: Sequence[Mapping[str, float]]) -> list[str]:
    """Return why flats of a night differ from the others.

    Parameters
    ----------
    objects
        OBJECTS of each: the lamp in each fiber.
    measured
        Measurements of each.

    Returns
    -------
    list of str
        The reason for each frame; '' for a frame that agrees with the others.
    """
    rows = [each.get("middle_row_px", np.nan) for each in measured]
    others = {
        name: np.median([row for row, other in zip(rows, objects) if other != name] or [np.nan])
        for name in set(objects)
    }
    twins = [abs(row - others[name]) < _TWIN_PX for row, name in zip(rows, objects)]
    if all(twins):
        # which pair it is cannot be decided
        twins = [False] * len(rows)
    rows = [np.nan if twin else row for row, twin in zip(rows, twins)]
    far = frame_outliers.by_objects(objects, _shifted, rows)
    wrong = "its light lies in the fibers of another pair than its header says"
    return [wrong if twin else reason for twin, reason in zip(twins, far)]


def combine(frames: Sequence[RawFrame], refs: References, spectrograph: Spectrograph) -> Flat:
    """Make a master of the flats of all fiber pairs.

    Parameters
    ----------
    frames
        Checked flats of one camera.
    refs
        With the masters bias and dark, and as `previous` the last good flat of the camera, whose gain is continued.
    spectrograph
        Detector and pattern of the orders.

    Returns
    -------
    Flat
        Of all fibers that the flats lit. Its gain is the mean of that of these flats and of the running value of the
        camera; where they do not measure it the running value, and without one that of the headers or of the table.

    Raises
    ------
    BadFrame
        If no trace can be found, or the fiber pairs contradict each other.
    MissingCalibration
        If there is no master bias.
    """
    if refs.bias is None:
        raise MissingCalibration("a master flat needs a master bias")
    pairs = _by_fibers(frames, spectrograph)
    samples, points, single = _samples(pairs, refs.bias)
    before = _running(refs.previous, frames)
    night = _night_gain(frames, samples, points, single, before, spectrograph.detector)
    adopted, quality = _adopted(night, single, before, frames, spectrograph.detector)
    stacked = [_stack(group, refs, spectrograph, adopted.e_per_adu, samples) for group in pairs.values()]
    found = [trace.find(image.electrons, lit, spectrograph) for lit, image in zip(pairs, stacked)]
    if not trace.fibers_agree(found, spectrograph):
        found = [trace.reversed_fibers(traces) for traces in found]
        quality |= Quality.FIBERS_REVERSED
    traces, shifts = trace.merge(found, spectrograph)
    mask = np.bitwise_and.reduce([image.mask for image in stacked]) & np.uint8(Pixel.BAD)
    pieces, best = [], list[Floats]()
    for lit, shift in zip(pairs, shifts):
        here = Traces(traces.fibers, traces.orders, traces.centers + shift)
        # a stack is not needed any more once its background is gone
        image, wings = scattered_light.of_flat(stacked.pop(0), here, lit)
        shape, flux, variance = profile.measure(image, here, lit, wings)
        lamp = blaze.smooth(flux, variance)
        # the response is not known yet, and this view of one number needs no memory
        even = np.broadcast_to(np.float32(1), mask.shape)
        shape = replace(shape, response=even, response_error=even)
        pieces.append((lit, shape, lamp, variance, np.full(len(lit), image.exposure_s)))
        *response, flawed = pixel_response.measure(image, here, shape, lamp, lit)
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
    header = detector_values.median_known([raw.header_gain_e_per_adu for raw in frames])
    return Flat(
        origin=origin,
        traces=traces,
        profile=shape,
        blaze=blaze.normalise(lamp, variance),
        gain_e_per_adu=adopted.e_per_adu,
        gain_error=adopted.error,
        mask=mask,
        peak_e_per_s=peak_e_per_s,
        night_gain_e_per_adu=night.e_per_adu if night.is_known else None,
        night_gain_error=night.error if night.is_known else None,
        header_gain_e_per_adu=header,
    )


def _shifted(rows):
    return frame_outliers.find(
        rows, _MOVED_PX, "its orders lie at {value:.2f} px, those of the other flats at {usual:.2f} px"
    )


def _middle_row(traces, spectrograph):
    """Return the median distance of the traces from the pattern of the spectrograph, at the middle column [pixel]."""
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


class _Sample(NamedTuple):
    """Bias level, flux, read noise, jumps of the level and level of saturation of a flat, measured on some rows."""

    level_adu: float
    light_adu: float
    read_noise_adu: float
    jumped: correction.LevelSteps
    pile_adu: float


def _samples(pairs, bias):
    """Return a sample of each flat by its name, bins of the photon transfer, and whether these are of single flats."""
    samples, points = {}, []
    bands = stacking.samples(len(bias.adu))

    def parts(raw):
        counts = [correction.counts(raw, rows) for rows in bands]
        level = float(np.median(np.concatenate([each for _, each in counts])))
        above = [
            np.asarray(adu, np.float32) - each[:, np.newaxis] - bias.adu[rows]
            for (adu, each), rows in zip(counts, bands)
        ]
        jumped = correction.level_steps(raw, bias, bands)
        above = [correction.subtract_steps(part, jumped, len(bias.adu), rows) for part, rows in zip(above, bands)]
        noise = float(np.median([detector_values.read_noise(raw, bias.read_noise_adu, rows) for rows in bands]))
        light = float(np.percentile([part[::4, ::4] for part in above], 98))
        pile = min(detector_values.pile(adu, level) for adu, _ in counts)
        samples[raw.filename] = _Sample(level, light, noise, jumped, pile)
        return above

    alone = all(len(group) == 1 for group in pairs.values())
    for group in pairs.values():
        for first, second in itertools.zip_longest(group[::2], group[1::2]):
            one, two = parts(first), parts(second) if second else ()
            points += [gain.pairs(*both) for both in zip(one, two)]
            if alone:
                points += [gain.single(part) for part in one]
    return samples, np.concatenate([np.empty((0, 5)), *points]), alone


def _running(previous, frames):
    """Return the gain of the last flat, and the days since; unknown for the first, and if these flats are in it."""
    names = {raw.filename for raw in frames}
    if previous is None or Quality.GAIN_ASSUMED in previous.origin.quality or names & set(previous.origin.inputs):
        return gain.Gain(), 0.0
    days = float(np.mean([raw.start_mjd for raw in frames])) - previous.origin.mean_mjd
    return gain.Gain(previous.gain_e_per_adu, previous.gain_error), days


def _night_gain(frames, samples, points, single, before, table):
    """Return the measured gain of the flats of a night."""
    running, _ = before
    noise = float(np.mean([sample.read_noise_adu for sample in samples.values()]))
    # the smallest gain that header and table may have: a limit in counts is that of the header then, or of the counter
    smallest = (
        running.e_per_adu if running.is_known else min(detector_values.nominal_gain(frames, table).e_per_adu, 0.5)
    )
    linear_adu = min(
        detector_values.limits(raw, table, smallest, samples[raw.filename].pile_adu).max_linear_adu
        - samples[raw.filename].level_adu
        for raw in frames
    )
    least = {"least": gain.SINGLE} if single else {}
    return gain.measure(points, noise, linear_adu, table.max_linear_adu * table.gain_e_per_adu, **least)


def _adopted(night, single, before, frames, table):
    """Return the gain to use, and quality flags."""
    assumed = detector_values.nominal_gain(frames, table)
    adopted, changed = gain.follow(night, *before, single)
    # a poor measurement is better than a nominal value that may be off by more
    if not adopted.is_known or adopted.error * assumed.e_per_adu > assumed.error * adopted.e_per_adu:
        return assumed, Quality.GAIN_ASSUMED
    quality = Quality.GAIN_CHANGED if changed else Quality(0)
    header = detector_values.median_known([raw.header_gain_e_per_adu for raw in frames])
    tolerance = max(_TOLERANCE, 3 * adopted.error / adopted.e_per_adu)
    quality |= header_checks.flag_difference(table.gain_e_per_adu, adopted.e_per_adu, tolerance, Quality.GAIN_DISAGREES)
    return adopted, quality | header_checks.flag_difference(
        header, adopted.e_per_adu, tolerance, Quality.HEADER_DISAGREES
    )


def _stack(frames, refs, spectrograph, gain_e_per_adu, samples):
    bias, dark, shape = refs.bias, refs.dark, refs.bias.adu.shape
    scales = np.array([samples[raw.filename].light_adu for raw in frames])
    scales /= scales.mean()
    mask = bias.mask | dark.mask
    electron = np.float32(gain_e_per_adu)
    limits = {
        raw.filename: detector_values.limits(raw, spectrograph.detector, gain_e_per_adu, samples[raw.filename].pile_adu)
        for raw in frames
    }

    def band_of(raw, rows):
        adu, level = correction.counts(raw, rows)
        mask[rows] |= correction.flags(adu, limits[raw.filename], spectrograph.detector)
        above = adu - level[:, np.newaxis] - bias.adu[rows] - dark.adu_per_s[rows] * raw.exposure_s
        return correction.subtract_steps(above, samples[raw.filename].jumped, len(bias.adu), rows) * electron

    n, mean_s = len(frames), float(np.mean([raw.exposure_s for raw in frames]))
    read_variance = np.mean([samples[raw.filename].read_noise_adu ** 2 for raw in frames])
    noise = np.float32(read_variance) * electron**2 + np.maximum(dark.adu_per_s, 0) * np.float32(mean_s * electron)
    light, variance, _, unsteady = stacking.mean(
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
    """Return the profiles, blaze, variance and exposure time of each fiber, from the first pair that lit it."""
    chosen = {}
    for lit, shape, *others in pieces:
        for i, fiber in enumerate(lit):
            chosen.setdefault(fiber, (shape.values[i], *(each[i] for each in others)))
    return (np.stack(each) for each in zip(*(chosen[fiber] for fiber in fibers)))


def _better(maps, others):
    """Take each pixel from the pair that measured its response best; the first maps are changed in place."""
    better = others[2] > maps[2]
    for one, other in zip(maps, others):
        np.copyto(one, other, where=better)
    return maps
