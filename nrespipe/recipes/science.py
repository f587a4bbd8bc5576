"""Stellar exposures: from a raw frame to spectra and velocities."""

import functools
import operator
from dataclasses import replace

import numpy as np

from nrespipe.engine import activity, barycenter, claims, detector, drift, velocity, wavelength
from nrespipe.errors import BadFrame
from nrespipe.frames.quality import Pixel, Quality
from nrespipe.frames.raw import Kind
from nrespipe.frames.reduction import Reduction
from nrespipe.recipes.spectra import extract_frame

NEEDS = (Kind.BIAS, Kind.DARK, Kind.FLAT, Kind.ARC)
#: What masters tell of the camera, and what is true of every frame that it takes.
_OF_THE_CAMERA = (
    Quality.GAIN_DISAGREES
    | Quality.GAIN_ASSUMED
    | Quality.GAIN_CHANGED
    | Quality.READ_NOISE_DISAGREES
    | Quality.HEADER_DISAGREES
)


def reduce(raw, refs, spectrograph):
    """Turn a stellar exposure into spectra, and a velocity for each star.

    Parameters
    ----------
    raw : RawFrame
        The frame.
    refs : References
        With all masters, the stars of the frame, masks, lamp lines and telluric intervals.
    spectrograph : Spectrograph
        Detector, fibers and position.

    Returns
    -------
    Reduction
        With spectra, wavelengths, barycentric corrections and velocities; without velocities where `refs` has no masks.

    Raises
    ------
    BadFrame
        If no fiber carries a star.
    MissingCalibration
        If a master does not know a lit fiber.
    """
    if not raw.star_fibers:
        raise BadFrame(f"{raw.filename}: no fiber carries a star, OBJECTS names {raw.objects}")
    spectra, motion, _ = extract_frame(raw, refs, spectrograph)
    moved = drift.measure(spectra, refs.arc)
    wavelengths = wavelength.of(spectra, refs.arc, moved)
    spectra = replace(spectra, orders=wavelengths.orders)
    barycentric = _barycentric(raw, refs.stars, spectrograph)
    velocities = _velocities(spectra, wavelengths, barycentric, refs)
    quality = _doubts(raw, spectra, moved, motion, refs)
    quality |= claims.doubts(raw, spectrograph.detector, refs.bias.read_noise_adu, refs.flat.gain_e_per_adu)
    if any(detector.jumps(raw, refs.bias)):
        quality |= Quality.LEVEL_JUMPED
    doubts = {fiber: _doubts_of_star(raw, fiber, spectra, barycentric, refs.stars) for fiber in raw.star_fibers}
    return Reduction(
        quality=functools.reduce(operator.or_, doubts.values(), quality),
        measurements={
            **motion.measurements,
            "drift_ms": moved.velocity_ms,
            "drift_lines": float(moved.n_lines),
            "gain_e_per_adu": refs.flat.gain_e_per_adu,
            "gain_error": refs.flat.gain_error,
            "read_noise_adu": claims.read_noise(raw, refs.bias.read_noise_adu),
        },
        spectra=spectra,
        wavelengths=wavelengths,
        barycentric=barycentric,
        velocities=tuple(
            replace(v, quality=v.quality | quality | doubts[v.fiber], activity=activity.of(v, spectra, wavelengths))
            for v in velocities
        ),
    )


def _velocities(spectra, wavelengths, barycentric, refs):
    """Velocity of each star that has coordinates."""
    if not refs.masks:
        return ()
    return tuple(
        velocity.measure(
            spectra, wavelengths, fiber, refs.stars[fiber], refs.masks, refs.tellurics, barycentric[fiber],
            template=refs.templates.get(fiber), transfer_ms=wavelength.transfer_noise_ms(refs.arc, fiber),
        )
        for fiber in sorted(barycentric)
    )  # fmt: skip


def _barycentric(raw, stars, spectrograph):
    """Motion and time for each star that has coordinates, seen from the telescope that feeds its fiber."""
    found = {}
    for fiber in raw.star_fibers:
        star = stars.get(fiber)
        if star is None or star.ra_deg is None or star.dec_deg is None:
            continue
        place = _place(raw, fiber, spectrograph)
        if np.isnan(place.longitude_deg):
            # neither the header nor the table of the spectrograph tells where it stands
            continue
        middle, from_meter = barycenter.midpoint(raw, fiber)
        found[fiber] = barycenter.at(star, middle, place, from_meter)
    return found


def _place(raw, fiber, spectrograph):
    """Return the telescope that feeds a fiber, or the spectrograph where the header does not say where it stands."""
    if fiber in spectrograph.fibers.star:
        number = spectrograph.fibers.star.index(fiber)
        telescope = raw.telescopes[number] if number < len(raw.telescopes) else None
        if telescope is not None and None not in (telescope.longitude_deg, telescope.latitude_deg, telescope.height_m):
            return telescope
    return spectrograph


def _doubts(raw, spectra, moved, motion, refs):
    """Doubts about the frame as a whole."""
    quality = refs.arc.origin.quality & (Quality.ORDERS_RENUMBERED | Quality.POOR_WAVELENGTHS)
    for master in (refs.bias, refs.dark, refs.flat):
        quality |= master.origin.quality & _OF_THE_CAMERA
    if motion.farthest_px > 1:
        quality |= Quality.TRACE_SHIFTED
    if moved.n_lines == 0:
        quality |= Quality.NO_DRIFT
    stars = [spectra.fibers.index(fiber) for fiber in raw.star_fibers]
    if np.any(spectra.quality[stars] & np.uint8(Pixel.BLENDED)):
        quality |= Quality.BLENDED_FIBERS
    return quality


def _doubts_of_star(raw, fiber, spectra, barycentric, stars):
    """Doubts about the star of one fiber alone."""
    quality = Quality(0)
    if fiber not in barycentric:
        quality |= Quality.NO_COORDINATES
    elif not barycentric[fiber].from_meter:
        quality |= Quality.NO_METER
    if fiber in stars and stars[fiber].source == "telescope":
        quality |= Quality.NO_CATALOG_STAR
    if np.mean(spectra.of(fiber)[2] & np.uint8(Pixel.SATURATED) > 0) > 1e-3:
        quality |= Quality.SATURATED_STAR
    return quality
