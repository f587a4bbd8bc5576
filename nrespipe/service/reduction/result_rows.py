"""What a reduction leaves, as columns of the database."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from nrespipe.frames.raw import Kind, RawFrame

if TYPE_CHECKING:
    from nrespipe.frames.reduction import Reduction
    from nrespipe.frames.velocity import Velocity


def of_velocity(raw: RawFrame, velocity: "Velocity", reduction: "Reduction") -> dict[str, object]:
    """Return the columns of the velocity of one star.

    Parameters
    ----------
    velocity
        One of the reduction.
    reduction
        What became of the frame.

    Returns
    -------
    dict of str to object
        Columns of ``StarVelocity``.
    """
    drift = reduction.wavelengths.drift if reduction.wavelengths else None
    return {
        "fiber": velocity.fiber,
        "object": raw.objects[velocity.fiber],
        "mask": velocity.mask,
        "bjd_tdb": velocity.barycentric.bjd_tdb,
        "rv_ms": velocity.rv_ms,
        "rv_err_ms": velocity.error_ms,
        "photon_err_ms": velocity.photon_error_ms,
        "wavelength_err_ms": velocity.wavelength_error_ms,
        "drift_err_ms": velocity.drift_error_ms,
        "mask_err_ms": velocity.mask_error_ms,
        "berv_ms": velocity.barycentric.berv_ms,
        "drift_ms": drift.velocity_ms if drift and drift.n_lines > 0 else None,
        "snr": velocity.snr,
        "fwhm_ms": velocity.fwhm_ms,
        "contrast": velocity.contrast,
        "bisector_ms": velocity.bisector_ms,
        "quality": int(velocity.quality),
        **_further(velocity),
    }


def _further(velocity):
    kind, second = velocity.stellar_type, velocity.template
    return {
        "star": "" if velocity.star.source == "telescope" else velocity.star.name,
        "transfer_err_ms": velocity.transfer_error_ms,
        "scale_err_ms": velocity.scale_error_ms,
        "fwhm_err_ms": velocity.fwhm_error_ms,
        "contrast_err": velocity.contrast_error,
        "bisector_err_ms": velocity.bisector_error_ms,
        "template": second.name if second else "",
        "template_rv_ms": second.rv_ms if second else None,
        "template_err_ms": second.error_ms if second else None,
        "teff_k": kind.teff_k,
        "teff_err_k": kind.teff_error_k,
        "vsini_ms": kind.vsini_ms,
        "vsini_err_ms": kind.vsini_error_ms,
        "activity": {i.name: [None, i.reason] if i.reason else [i.value, i.error] for i in velocity.activity},
    }


def of_drift(raw: RawFrame, reduction: "Reduction", masters: Mapping[Kind, str], output: Path) -> dict[str, object]:
    """Return the columns of the drift of a frame.

    Parameters
    ----------
    reduction
        What became of it.
    masters
        File of every master that was used.

    Returns
    -------
    dict of str to object
        Columns of ``FrameDrift``; empty for a frame without wavelengths.
    """
    if reduction.wavelengths is None:
        return {}
    drift = reduction.wavelengths.drift
    known = drift.n_lines > 0
    numbers = {
        "velocity_ms": drift.velocity_ms,
        "velocity_err_ms": drift.velocity_error_ms,
        "shift_px": drift.shift,
        "shift_err_px": drift.shift_error,
        "stretch_px": drift.stretch,
        "stretch_err_px": drift.stretch_error,
        "turn_px": drift.turn,
        "turn_err_px": drift.turn_error,
        "bend_ms": drift.pressure_ms,
        "bend_err_ms": drift.pressure_error_ms,
    }
    return {
        **{name: float(value) if known else None for name, value in numbers.items()},
        "mid_mjd": raw.start_mjd + raw.exposure_s / 2 / 86400,
        "n_lines": int(drift.n_lines),
        "pressure_psi": raw.pressure_psi,
        "temperature_c": raw.temperature_c,
        "arc": str(Path(masters[Kind.ARC]).relative_to(output)) if Kind.ARC in masters else "",
    }
