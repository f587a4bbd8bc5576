"""Products of a science frame read back: the spectra of level 2, the velocities of level 4."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from astropy.io import fits

from nrespipe.errors import BadFrame
from nrespipe.files import fits_io
from nrespipe.frames.quality import Quality
from nrespipe.frames.reduction import Reduction
from nrespipe.frames.spectra import Spectra
from nrespipe.frames.star import Index, Star, StellarType
from nrespipe.frames.velocity import Barycentric, OrderVelocities, SecondDip, TemplateVelocity, Velocity
from nrespipe.frames.wavelength import Drift, LineShape, Wavelengths

_NAN, _INF = float("nan"), float("inf")


def read(path: str | Path) -> Reduction:
    """Read a product of a science frame.

    Parameters
    ----------
    path
        A product of level 2 or 4.

    Returns
    -------
    Reduction
        Of level 2 its spectra, wavelengths and barycentric corrections; of level 4 its velocities, their barycentric
        corrections and the measurements of the frame; of both the quality flags. NaN, infinite or empty is what the
        product does not keep: the line-spread function and the error of the zero point of each fiber (level 2); the
        midpoint of the exposure in UTC, the coordinates of the star and its spectral type (level 4).

    Raises
    ------
    BadFrame
        If the file is damaged, or is no such product.
    Unavailable
        If the disk does not give the file.
    """
    with fits_io.reading(path) as hdus:
        fits_io.require_whole(hdus, path)
        level = hdus[0].header.get("DATALVL")
        if level == "L2":
            return _spectra(hdus)
        if level == "L4":
            return _velocities(hdus)
    raise BadFrame(f"{Path(path).name}: DATALVL is {level}; expected L2 or L4")


def _spectra(hdus: fits.HDUList) -> Reduction:
    traces = [hdu.name.removesuffix("_FLUX") for hdu in hdus if re.fullmatch(r"TRACE\d+_FLUX", hdu.name)]
    headers = [hdus[f"{trace}_FLUX"].header for trace in traces]
    fibers = tuple(int(header["FIBER"]) for header in headers)
    orders = np.asarray(hdus["ORDER_TABLE"].data["ECHELLE_ORDER"], np.int64)

    def stack(part: str, dtype: type) -> Any:
        return np.stack([np.asarray(hdus[f"{trace}_{part}"].data, dtype) for trace in traces])

    table = hdus["ORDER_TABLE"].data
    lamps = [f"{trace}_LAMP" for trace in traces]
    rejected = hdus["IMAGE_REJECTED"].data if "IMAGE_REJECTED" in hdus else np.zeros((0, 2))
    spectra = Spectra(
        fibers, orders, stack("FLUX", np.float64), stack("VAR", np.float64), stack("QUALITY", np.uint8),
        stack("BLAZE", np.float64),
        np.asarray(rejected, int),
        np.stack([_native(table[name]) for name in lamps]) if lamps[0] in table.names else None,
    )  # fmt: skip
    angstrom = stack("WAVE", np.float64)
    unknown = LineShape(
        fibers, orders, np.full(angstrom.shape, np.nan), np.zeros(1), np.zeros(1), np.ones((len(fibers), 1, 1))
    )
    drift = hdus[f"{traces[0]}_DRIFT"].header if f"{traces[0]}_DRIFT" in hdus else {}
    errors = stack("WAVE_ERR", np.float64) if f"{traces[0]}_WAVE_ERR" in hdus else None
    seen = {fiber: header for fiber, header in zip(fibers, headers) if "BERV" in header}
    return Reduction(
        quality=_quality(hdus),
        spectra=spectra,
        wavelengths=Wavelengths(
            fibers, orders, angstrom, np.full(len(fibers), np.inf), _drift(drift), unknown, errors
        ),
        barycentric={
            fiber: Barycentric(
                _number(header, "MJD-MID", _NAN),
                _number(header, "BJDTDB", _NAN),
                1e3 * _number(header, "BERV", _NAN),
                bool(header["EXPMETER"]),
                1e3 * _number(header, "RVPERSP", 0.0),
            )
            for fiber, header in seen.items()
        },
    )  # fmt: skip


def _drift(header: Mapping[str, Any]) -> Drift:
    """Return the drift; one that was not measured has no lines and infinite errors."""
    return Drift(
        shift_px=_number(header, "DRIFTPX", 0.0),
        shift_error_px=_number(header, "DRIFTPXE", _INF),
        stretch_px=_number(header, "STRETCH", 0.0),
        stretch_error_px=_number(header, "STRETCHE", _INF),
        velocity_ms=_number(header, "DRIFTV", 0.0),
        velocity_error_ms=_number(header, "DRIFTVE", _INF),
        n_lines=int(_number(header, "NLINES", 0)),
        turn_px=_number(header, "TURN", 0.0),
        turn_error_px=_number(header, "TURNE", _INF),
        bend_ms=_number(header, "BENDV", 0.0),
        bend_error_ms=_number(header, "BENDVE", _INF),
    )


class _Diagnostic(NamedTuple):
    """A row of the table of diagnostics, with velocities in m/s."""

    value: float = _NAN
    error: float = _INF
    unit: str = ""
    reason: str = ""


def _velocities(hdus: fits.HDUList) -> Reduction:
    rows = _diagnostics(hdus["DIAGNOSTICS1"].data)
    velocity = _velocity(hdus, rows)
    # numbers of the frame have no error, those of the star have one
    measurements = {name.lower(): row.value for name, row in rows.items() if name != "SNR" and row.error != row.error}
    return Reduction(
        quality=_quality(hdus),
        measurements=measurements,
        barycentric={velocity.fiber: velocity.barycentric},
        velocities=(velocity,),
    )


def _diagnostics(table: fits.FITS_rec) -> dict[str, _Diagnostic]:
    rows = {}
    for row in table:
        unit = str(row["UNIT"])
        scale, unit = (1e3, "m/s") if unit == "km/s" else (1.0, unit)
        numbers = scale * float(row["VALUE"]), scale * float(row["ERROR"])
        rows[str(row["METRIC"])] = _Diagnostic(*numbers, unit, str(row["REASON"]))
    return rows


def _second_dip(header: Mapping[str, Any]) -> SecondDip | None:
    numbers = [_number(header, keyword, _NAN) for keyword in ("RV2ND", "RV2NDCON", "RV2NDSIG")]
    return SecondDip(1e3 * numbers[0], *numbers[1:]) if "RV2ND" in header else None


def _velocity(hdus: fits.HDUList, rows: Mapping[str, _Diagnostic]) -> Velocity:
    table, header, ccf = hdus["RV1"].data, hdus["RV1"].header, hdus["CCF1"]
    start_ms, step_ms = (1e3 * float(ccf.header[keyword]) for keyword in ("VELSTART", "VELSTEP"))
    fwhm, contrast, bisector, teff, vsini = (
        rows.get(name, _Diagnostic()) for name in ("FWHM", "CONTRAST", "BISECTOR", "TEFF", "VSINI")
    )
    own = {"SNR", "FWHM", "CONTRAST", "BISECTOR", "TEFF", "VSINI"}
    return Velocity(
        fiber=int(header["FIBER"]),
        star=Star(str(header["OBJECT"])),
        mask=str(ccf.header["CCFMASK"]).removeprefix("nrespipe "),
        rv_ms=1e3 * _number(header, "RVSUM", _NAN),
        error_ms=1e3 * _number(header, "RVSUMERR", _INF),
        photon_error_ms=1e3 * _number(header, "RVERRPHO", _INF),
        wavelength_error_ms=1e3 * _number(header, "RVERRWAV", _INF),
        drift_error_ms=1e3 * _number(header, "RVERRDRI", _INF),
        transfer_error_ms=1e3 * _number(header, "RVERRTRA", _INF),
        mask_error_ms=1e3 * _number(header, "RVERRMSK", _INF),
        scale_error_ms=1e3 * _number(header, "RVERRSCL", _INF),
        barycentric=Barycentric(
            _NAN,
            float(table["BJD_TDB"][0]),
            1e3 * float(table["BERV"][0]),
            False,
            1e3 * _number(header, "RVPERSP", 0.0),
        ),
        second_dip=_second_dip(header),
        snr=rows.get("SNR", _Diagnostic()).value,
        fwhm_ms=fwhm.value,
        fwhm_error_ms=fwhm.error,
        contrast=contrast.value,
        contrast_error=contrast.error,
        bisector_ms=bisector.value,
        bisector_error_ms=bisector.error,
        grid_ms=start_ms + step_ms * np.arange(int(ccf.header["VELNSTEP"])),
        ccf=_native(ccf.data),
        ccf_variance=_native(hdus["CCF1_VAR"].data),
        orders=np.asarray(table["ECHELLE_ORDER"], np.int64),
        by_order=_by_order(table),
        order_start_angstrom=_native(table["WAVE_START"]),
        order_end_angstrom=_native(table["WAVE_END"]),
        quality=_flags(str(header["DQWORDS"])),
        template=_template(hdus["CUSTOM_RV1"], rows.get("DLW", _Diagnostic())) if "CUSTOM_RV1" in hdus else None,
        stellar_type=StellarType(
            teff.value, teff.error, vsini_ms=vsini.value, vsini_error_ms=vsini.error, reason=teff.reason
        ),
        **_model(hdus),
        activity=tuple(
            Index(name.lower(), *row) for name, row in rows.items() if name not in own and row.error == row.error
        ),
    )


def _model(hdus: fits.HDUList) -> dict[str, Any]:
    """Return the attributes of a velocity that describe the model of its lines."""
    header = hdus["RV1"].header
    return {
        "ccf_model": _native(hdus["CUSTOM_CCF1"].data)[0] if "CUSTOM_CCF1" in hdus else None,
        "broadening_ms": 1e3 * _number(header, "MODBROAD", _NAN),
        "thermal_ms": 1e3 * _number(header, "MODTHERM", _NAN),
        "line_strength": _number(header, "MODSTREN", _NAN),
    }


def _template(hdu: fits.BinTableHDU, width: _Diagnostic) -> TemplateVelocity:
    header = hdu.header
    return TemplateVelocity(
        name=str(header["TEMPLATE"]),
        fingerprint=str(header["TEMPLHSH"]),
        own=bool(header["TEMPLOWN"]),
        n_spectra=int(header["TEMPLNUM"]),
        rv_ms=1e3 * _number(header, "RVSUM", _NAN),
        error_ms=1e3 * _number(header, "RVSUMERR", _INF),
        photon_error_ms=1e3 * _number(header, "RVERRPHO", _INF),
        wavelength_error_ms=1e3 * _number(header, "RVERRWAV", _INF),
        drift_error_ms=1e3 * _number(header, "RVERRDRI", _INF),
        transfer_error_ms=1e3 * _number(header, "RVERRTRA", _INF),
        mismatch_error_ms=1e3 * _number(header, "RVERRMIS", _INF),
        order_chi2=_number(header, "ORDCHI2", _NAN),
        odd_even_ms=1e3 * _number(header, "ODDEVEN", _NAN),
        odd_even_error_ms=1e3 * _number(header, "ODDEVENE", _INF),
        by_order=_by_order(hdu.data),
        width_change_m2_s2=width.value,
        width_change_error_m2_s2=width.error,
    )


def _by_order(table: fits.FITS_rec) -> OrderVelocities:
    return OrderVelocities(1e3 * _native(table["RV"]), 1e3 * _native(table["RV_ERR"]), _native(table["WEIGHT"]))


def _quality(hdus: fits.HDUList) -> Quality:
    return Quality(int(hdus[0].header["DQLVL2"]))


def _flags(words: str) -> Quality:
    quality = Quality(0)
    for word in words.split():
        quality |= Quality[word.upper()]
    return quality


def _native(values: Any) -> Any:
    """Return numbers in the byte order of this machine; FITS has the other one."""
    return np.ascontiguousarray(values, np.float64)


def _number(header: Mapping[str, Any], keyword: str, unknown: float) -> float:
    """Return the value of a card, or `unknown` where there is no card, or one without a value."""
    value = header.get(keyword)
    return float(value) if isinstance(value, int | float) else unknown
