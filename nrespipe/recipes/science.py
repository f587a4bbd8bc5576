"""Stellar exposures: from a raw frame to spectra and velocities."""

import functools
import operator
from dataclasses import replace

import numpy as np

from nrespipe.engine.detector import header_checks
from nrespipe.engine.spectrum import stitching
from nrespipe.engine.star import activity
from nrespipe.engine.velocity import barycenter, measurement
from nrespipe.engine.wavelength import frame_wavelengths, order_numbers, wavelength_errors
from nrespipe.engine.wavelength.drift import measure as measure_drift
from nrespipe.errors import BadFrame, MissingCalibration
from nrespipe.frames.quality import Pixel, Quality
from nrespipe.frames.raw import Kind, RawFrame
from nrespipe.frames.reduction import Reduction, References
from nrespipe.frames.spectrograph import Spectrograph
from nrespipe.frames.star import REFLECTED
from nrespipe.recipes.extraction import extract_frame

#: Typical signal-to-noise ratio of a pixel above which a fiber has light, and below which it has none.
_LIT_SNR, _UNLIT_SNR = 3.0, 0.5
#: Typical signal-to-noise ratio of a pixel below which a fiber had no light at all: read noise alone scatters by 0.01.
_DARK_SNR = 0.1

NEEDS = (Kind.BIAS, Kind.DARK, Kind.FLAT, Kind.ARC)
#: Flags of masters that concern the camera, and so every frame that it takes.
_OF_THE_CAMERA = (
    Quality.GAIN_DISAGREES
    | Quality.GAIN_ASSUMED
    | Quality.GAIN_CHANGED
    | Quality.READ_NOISE_DISAGREES
    | Quality.HEADER_DISAGREES
)


def reduce(raw: RawFrame, refs: References, spectrograph: Spectrograph) -> Reduction:
    """Turn a stellar exposure into spectra, and a velocity for each star.

    Parameters
    ----------
    refs
        With all masters, the stars of the frame, masks, lamp lines and telluric intervals.
    spectrograph
        Detector, fibers and position.

    Returns
    -------
    Reduction
        With spectra, wavelengths, barycentric corrections and velocities; without velocities where `refs` has no masks.

    Raises
    ------
    BadFrame
        If no fiber carries a star, or if the orders cannot be numbered.
    MissingCalibration
        If a master is missing, or has nothing of a lit fiber.
    """
    if not raw.star_fibers:
        raise BadFrame(f"{raw.filename}: no fiber carries a star, OBJECTS names {raw.objects}")
    if refs.bias is None or refs.dark is None or refs.flat is None or refs.arc is None:
        raise MissingCalibration(f"{raw.filename}: a star needs a master bias, dark, flat and arc")
    spectra, motion, _, detector = extract_frame(raw, refs, spectrograph)
    spectra, added, shift_px = _numbered(raw, spectra, refs.arc)
    drift = measure_drift(spectra, refs.arc, shift_px)
    signal = _signal(spectra)
    if drift.n_lines == 0 and all(signal.get(fiber, 0.0) < _DARK_SNR for fiber in raw.lit_fibers):
        raise BadFrame(
            f"{raw.filename}: no light in the fibers {raw.lit_fibers}, which OBJECTS calls lit: shutter closed?"
        )
    _refuse_light_in_the_wrong_fiber(raw, signal, drift, refs.arc.reference.fibers[0])
    wavelengths = frame_wavelengths.compute(spectra, refs.arc, drift)
    barycentric = _barycentric(raw, refs.stars, spectrograph)
    velocities = _velocities(spectra, wavelengths, barycentric, refs)
    frame_flags = _detector_flags(raw, refs, spectrograph, detector) | _spectra_flags(raw, spectra, drift, motion, refs)
    if added:
        frame_flags |= Quality.ORDERS_RENUMBERED
    star_flags = {fiber: _star_flags(fiber, spectra, barycentric, refs.stars) for fiber in raw.star_fibers}
    return Reduction(
        quality=functools.reduce(operator.or_, star_flags.values(), frame_flags),
        measurements={
            **motion.shift_and_stretch,
            **_drift_measurements(drift, refs),
            "gain_e_per_adu": refs.flat.gain_e_per_adu,
            "gain_error": refs.flat.gain_error,
            "read_noise_adu": detector.read_noise_adu,
        },
        spectra=spectra,
        wavelengths=wavelengths,
        barycentric=barycentric,
        stitched={
            fiber: stitching.stitch(spectra, wavelengths, fiber, seen.berv_ms)
            for fiber, seen in barycentric.items()
            if stitching.has_light(spectra, wavelengths, fiber)
        },
        velocities=tuple(
            replace(
                velocity,
                quality=velocity.quality | frame_flags | star_flags[velocity.fiber],
                activity=activity.measure_all(velocity, spectra, wavelengths),
            )
            for velocity in velocities
        ),
    )


def _numbered(raw, spectra, arc):
    """Return spectra with true order numbers, the number that was added, and the shift of the lamp [pixel]."""
    try:
        return order_numbers.of_frame(spectra, arc)
    except BadFrame as error:
        raise BadFrame(f"{raw.filename}: {error}") from error


def _signal(spectra):
    """Return the typical signal-to-noise ratio of the pixels of each fiber."""
    ratio = spectra.flux / np.sqrt(spectra.variance)
    return {
        f: float(np.median(one[np.isfinite(one)])) for f, one in zip(spectra.fibers, ratio) if np.isfinite(one).any()
    }


def _refuse_light_in_the_wrong_fiber(raw, signal, drift, reference) -> None:
    """Raise BadFrame if the fiber of the lamp has flux but no lamp lines, and no star fiber has flux.

    If the bench moved by two fibers, the star's light lies in the lamp fiber. Without lamp lines nothing else shows it.
    """
    if drift.n_lines or reference in raw.star_fibers or reference not in signal:
        return
    if signal[reference] > _LIT_SNR and all(signal.get(fiber, 0.0) < _UNLIT_SNR for fiber in raw.star_fibers):
        raise BadFrame(
            f"{raw.filename}: the light lies in fiber {reference}, which shows no lamp (signal-to-noise ratio "
            f"{signal[reference]:.1f}), and not in the fibers of the stars {raw.star_fibers}; the orders have moved by "
            "the distance of two fibers since the flat, or OBJECTS names the wrong fibers"
        )


def _drift_measurements(drift, refs):
    """Return the measurements of the drift, or where none was measured its usual scatter."""
    known = {"drift_ms": drift.velocity_ms} if drift.n_lines > 0 else {"drift_scatter_ms": refs.drift_scatter_ms}
    return {**known, "drift_lines": float(drift.n_lines)}


def _velocities(spectra, wavelengths, barycentric, refs):
    """Return the velocity of each star that has coordinates; none without line masks."""
    if not refs.masks:
        return ()
    return tuple(
        measurement.measure(
            spectra, wavelengths, fiber, refs.stars[fiber], refs.masks, refs.tellurics, barycentric[fiber],
            spare_masks=refs.spare_masks, template=refs.templates.get(fiber),
            transfer_noise_ms=wavelength_errors.transfer_noise_ms(refs.arc, fiber),
            drift_scatter_ms=refs.drift_scatter_ms,
        )
        for fiber in sorted(barycentric)
    )  # fmt: skip


def _barycentric(raw, stars, spectrograph):
    """Return barycentric motion and time for each star with coordinates, at the telescope that feeds its fiber."""
    found = {}
    for fiber in raw.star_fibers:
        star = stars.get(fiber)
        if star is None or (star.source != REFLECTED and (star.ra_deg is None or star.dec_deg is None)):
            continue
        place = spectrograph.place(raw, fiber)
        if np.isnan(place.longitude_deg):
            # neither the header nor the table of the spectrograph has its position
            continue
        middle, from_meter = barycenter.midpoint(raw, fiber, spectrograph.fibers)
        if star.source == REFLECTED:
            found[fiber] = barycenter.of_body(star.name, middle, place, from_meter)
        else:
            found[fiber] = barycenter.at(star, middle, place, from_meter)
    return found


def _detector_flags(raw, refs, spectrograph, detector):
    """Return the flags of the masters of the camera, of the header, and of the level of the detector."""
    quality = header_checks.flags(
        raw, spectrograph.detector, refs.bias.read_noise_adu, refs.flat.gain_e_per_adu, detector.overscan_noise_adu
    )
    for master in (refs.bias, refs.dark, refs.flat):
        quality |= master.origin.quality & _OF_THE_CAMERA
    if any(detector.steps):
        quality |= Quality.LEVEL_JUMPED
    return quality


def _spectra_flags(raw, spectra, drift, motion, refs):
    """Return the flags of wavelengths, traces and drift, and of fibers that blend into those of stars."""
    quality = refs.arc.origin.quality & Quality.POOR_WAVELENGTHS
    if motion.farthest_px > 1:
        quality |= Quality.TRACE_SHIFTED
    if drift.n_lines == 0:
        quality |= Quality.NO_DRIFT
    stars = [spectra.fibers.index(fiber) for fiber in raw.star_fibers]
    if np.any(spectra.quality[stars] & np.uint8(Pixel.BLENDED)):
        quality |= Quality.BLENDED_FIBERS
    return quality


def _star_flags(fiber, spectra, barycentric, stars):
    """Return the flags of the star in one fiber alone."""
    quality = Quality(0)
    if fiber not in barycentric:
        quality |= Quality.NO_COORDINATES
    elif not barycentric[fiber].from_meter:
        quality |= Quality.NO_METER
    if fiber in stars:
        quality |= stars[fiber].quality
        if stars[fiber].source == "telescope":
            quality |= Quality.NO_CATALOG_STAR
    if np.mean(spectra.of(fiber).quality & np.uint8(Pixel.SATURATED) > 0) > 1e-3:
        quality |= Quality.SATURATED_STAR
    return quality
