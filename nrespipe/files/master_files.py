"""Master calibrations as FITS files, without any loss.

Every array is an extension of its own; its name is the path of the field, ``TRACES_CENTERS`` for ``traces.centers``
of a ``Flat``. The lines of an arc are a table ``LINES``, and the numbers that are no arrays are in the one row of the
table ``VALUES``. The primary header lists the inputs of the master. An arc has three more tables for people, which
follow from the others and are not read again: residuals of its ``LINES`` (``LINE_RESIDUALS``), their statistics in each
order (``ORDER_QUALITY``), and differences of lines that two orders show (``ORDER_OVERLAPS``).
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from functools import partial
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, TypeAlias, Union, get_args, get_origin, get_type_hints

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

from nrespipe.errors import BadFrame, MissingCalibration
from nrespipe.files import fits_io, image_compression, unpacked_images
from nrespipe.files.layout import master_name
from nrespipe.frames.masters import Arc, Bias, Dark, Flat, Origin
from nrespipe.frames.quality import Quality
from nrespipe.frames.raw import Kind

_Extension: TypeAlias = fits.ImageHDU | fits.BinTableHDU
_Pixels: TypeAlias = Callable[[_Extension], NDArray[Any]]
_CLASSES: dict[Kind, type[Bias] | type[Dark] | type[Flat] | type[Arc]] = {
    Kind.BIAS: Bias,
    Kind.DARK: Dark,
    Kind.FLAT: Flat,
    Kind.ARC: Arc,
}

#: Arrays of fewer bytes are kept as plain images.
_SMALL_BYTES = 1 << 16

#: Numbers that are also in the primary header, for people, where they are known: field, keyword, comment.
_CARDS = (
    ("read_noise_adu", "RDNADU", "[ADU] read noise, measured"),
    ("header_read_noise_adu", "RDNADUHD", "[ADU] the same by the raw headers"),
    ("gain_e_per_adu", "GAINUSED", "[electron/ADU] gain in use, all nights together"),
    ("gain_error", "GAINERR", "[electron/ADU] its error"),
    ("night_gain_e_per_adu", "GAINNGT", "[electron/ADU] gain by these flats alone"),
    ("night_gain_error", "GAINNGTE", "[electron/ADU] its error"),
    ("header_gain_e_per_adu", "GAINHD", "[electron/ADU] gain by the raw headers"),
)

#: Unit of every field that has one.
UNITS = {
    Kind.BIAS: {"adu": "adu", "variance": "adu2", "read_noise_adu": "adu", "header_read_noise_adu": "adu"},
    Kind.DARK: {"adu_per_s": "adu s-1", "variance": "adu2 s-2"},
    Kind.FLAT: {
        "traces.centers": "pixel",
        "traces.errors": "pixel",
        "profile.offsets": "pixel",
        "profile.columns": "pixel",
        "gain_e_per_adu": "electron adu-1",
        "gain_error": "electron adu-1",
        "peak_e_per_s": "electron s-1",
        "night_gain_e_per_adu": "electron adu-1",
        "night_gain_error": "electron adu-1",
        "header_gain_e_per_adu": "electron adu-1",
    },
    Kind.ARC: {
        "solution.coefficients": "Angstrom",
        "solution.covariance": "Angstrom2",
        "solution.noise_covariance": "Angstrom2",
        "solution.scatter_ms": "m s-1",
        "lines.x": "pixel",
        "lines.x_error": "pixel",
        "lines.x_noise": "pixel",
        "lines.flux": "electron",
        "lines.fwhm": "pixel",
        "lines.vacuum_angstrom": "Angstrom",
        "line_shape.fwhm": "pixel",
        "line_shape.columns": "pixel",
        "reference.flux": "electron",
        "reference.variance": "electron2",
        "transfer_error_ms": "m s-1",
        "exposure_s": "s",
        **{f"line_residuals.{name}_ms": "m s-1" for name in ("residual", "photon")},
        **{f"order_quality.{name}_ms": "m s-1" for name in ("mean", "mean_error", "rms", "photon")},
        **{f"order_overlaps.{name}_ms": "m s-1" for name in ("difference", "error")},
        **{f"order_overlaps.{name}": "pixel" for name in ("x", "x_next")},
        "order_overlaps.vacuum_angstrom": "Angstrom",
    },
}


def write(master: Bias | Dark | Flat | Arc, path: str | Path, still_mine: Callable[[], bool] | None = None) -> None:
    """Write a master; the same master always gives the same bytes, and nobody ever sees a part of the file.

    Parameters
    ----------
    path
        File; one that exists is replaced.
    still_mine
        As for ``fits_io.write_together``.

    Raises
    ------
    Unavailable
        If the disk does not take it, or another process owns the work by now; then nothing was replaced.
    """
    units = UNITS[master.origin.kind]
    values: dict[str, Any] = {}
    hdus: list[_Extension] = []
    for field in fields(type(master)):
        if field.name != "origin":
            _collect(getattr(master, field.name), field.name, units, values, hdus)
    if isinstance(master, Arc):
        hdus += _for_people(master, units)
    table = [_values_table(values, units)] if values else []
    fits_io.write(fits.HDUList([_primary(master), *table, *hdus]), path, still_mine)


def read(path: str | Path, unpacked: Path | None = None) -> Bias | Dark | Flat | Arc:
    """Read a master.

    Parameters
    ----------
    path
        File that `write` made.
    unpacked
        Directory of the unpacked images of this very file. They are mapped into memory, which all processes of a
        machine share, and written first where there are none; without a directory each process has its own.

    Returns
    -------
    Bias, Dark, Flat or Arc
        Equal to what was written, to the last bit.

    Raises
    ------
    MissingCalibration
        If there is no such file, or if it cannot be read: then the frame waits until the master is made again.
    Unavailable
        If the disk fails in another way.
    """
    path = Path(path)
    if not path.exists():
        raise MissingCalibration(f"{path.name}: the master is not where it should be")
    try:
        with fits_io.reading(path) as hdus:
            fits_io.require_whole(hdus, path)
            origin = _origin(hdus[0].header)
            master: Bias | Dark | Flat | Arc
            pixels = _native_pixels if unpacked is None else partial(unpacked_images.pixels, unpacked)
            master = _restore(_CLASSES[origin.kind], "", {hdu.name: hdu for hdu in hdus}, pixels, origin)
            return master
    except BadFrame as error:
        raise MissingCalibration(f"the master cannot be read, make it again: {error}") from error


def _collect(value: Any, path: str, units: Mapping[str, str], values: dict[str, Any], hdus: list[_Extension]) -> None:
    """Sort a field into the numbers, the tables and the images of the file."""
    if is_dataclass(value) and not isinstance(value, type):
        columns = {field.name: getattr(value, field.name) for field in fields(type(value))}
        if _is_table(type(value)):
            hdus.append(_table(columns, path, units))
        else:
            for name, part in columns.items():
                _collect(part, f"{path}.{name}", units, values, hdus)
    elif isinstance(value, np.ndarray):
        hdus.append(_image(value, path, units))
    elif value is not None:
        values[path] = value


def _for_people(arc: Arc, units: Mapping[str, str]) -> Iterator[fits.BinTableHDU]:
    """Yield the tables of the quality of the wavelengths of an arc."""
    # here, not above: it brings the compiler of the kernels with it, and most commands write no master
    from nrespipe.engine.wavelength import diagnostics

    residual_ms, photon_ms = diagnostics.residuals(arc.solution, arc.lines)
    yield _table({"residual_ms": residual_ms, "photon_ms": photon_ms}, "line_residuals", units)
    yield _table(diagnostics.by_order(arc.solution, arc.lines), "order_quality", units)
    yield _table(diagnostics.overlaps(arc.solution, arc.lines), "order_overlaps", units)


def _is_table(noun: type) -> bool:
    """Return whether all fields of a noun are columns of one table, as those of a list of lines."""
    return noun.__name__.endswith("Lines")


def _name(path: str) -> str:
    return path.replace(".", "_").upper()


def _image(array: NDArray[Any], path: str, units: Mapping[str, str]) -> _Extension:
    cards = [fits.Card("BUNIT", units[path], "unit of the pixels")] if path in units else []
    if array.nbytes >= _SMALL_BYTES:
        return image_compression.image(array, _name(path), cards)
    return fits.ImageHDU(array, fits.Header(cards), name=_name(path))


def _table(columns: Mapping[str, Any], path: str, units: Mapping[str, str]) -> fits.BinTableHDU:
    arrays = {name: np.asarray(column) for name, column in columns.items()}
    rows = np.rec.fromarrays(list(arrays.values()), dtype=[(name, array.dtype) for name, array in arrays.items()])
    table = fits.BinTableHDU(rows, name=_name(path))
    for name in columns:
        if f"{path}.{name}" in units:
            table.columns[name].unit = units[f"{path}.{name}"]
    return table


def _values_table(values: Mapping[str, Any], units: Mapping[str, str]) -> fits.BinTableHDU:
    columns = []
    for path, value in values.items():
        array = np.atleast_1d(np.asarray(value, np.int64 if _integral(value) else np.float64))
        code = "K" if array.dtype.kind == "i" else "D"
        columns.append(fits.Column(_name(path), f"{array.size}{code}", units.get(path), array=array[None, :]))
    return fits.BinTableHDU.from_columns(columns, name="VALUES")


def _integral(value: object) -> bool:
    return all(isinstance(part, int | np.integer) for part in (value if isinstance(value, tuple) else (value,)))


def _primary(master: Bias | Dark | Flat | Arc) -> fits.PrimaryHDU:
    origin, header = master.origin, fits.Header()
    header["OUTNAME"] = (master_name(origin), "name")
    header["OBSTYPE"] = (origin.kind.upper(), "what it calibrates")
    header["SITEID"] = (origin.site, "site")
    header["TELESCOP"] = (origin.instrument, "spectrograph")
    header["INSTRUME"] = (origin.camera, "camera")
    header["CONFMODE"] = (origin.readout_mode, "read-out mode")
    header["DAY-OBS"] = (origin.day, "local night")
    header["RLEVEL"] = (91, "level of reduction")
    header["MJD-MEAN"] = (float(origin.mean_mjd), "[d] mean start time of the inputs, UTC")
    header["QUALITY"] = (int(origin.quality), "quality flags, as bits")
    header["QUALWORD"] = (" ".join(origin.quality.names()), "quality flags, in words")
    for field, keyword, comment in _CARDS:
        number = getattr(master, field, None)
        if number is not None:
            header[keyword] = (float(number), comment)
    header["NCOMBINE"] = (len(origin.inputs), "number of inputs")
    for i, name in enumerate(origin.inputs, 1):
        header[f"IMCOM{i:03d}"] = (name, "input")
    return fits.PrimaryHDU(header=header)


def _origin(header: fits.Header) -> Origin:
    return Origin(
        kind=Kind(header["OBSTYPE"].lower()),
        site=header["SITEID"],
        instrument=header["TELESCOP"],
        camera=header["INSTRUME"],
        day=header["DAY-OBS"],
        mean_mjd=header["MJD-MEAN"],
        inputs=tuple(header[f"IMCOM{i:03d}"] for i in range(1, header["NCOMBINE"] + 1)),
        quality=Quality(header["QUALITY"]),
        readout_mode=header.get("CONFMODE", ""),
    )


def _restore(
    noun: type, path: str, hdus: Mapping[str, _Extension], pixels: _Pixels, origin: Origin | None = None
) -> Any:
    """Make a noun from the extensions whose names begin with its path."""
    if _is_table(noun):
        table = hdus[_name(path)].data
        return noun(**{f.name: _native(table[f.name]) for f in fields(noun) if f.name in table.names})
    hints = get_type_hints(noun)
    found: dict[str, Any] = {} if origin is None else {"origin": origin}
    for field in fields(noun):
        if field.name not in found:
            where = f"{path}.{field.name}" if path else field.name
            found[field.name] = _restore_field(_plain(hints[field.name]), where, hdus, pixels)
    return noun(**found)


def _plain(hint: Any) -> Any:
    """Return a type without None, and the class of an array whatever its elements."""
    if get_origin(hint) in (UnionType, Union):
        hint = next(part for part in get_args(hint) if part is not NoneType)
    return np.ndarray if get_origin(hint) is np.ndarray else hint


def _restore_field(hint: Any, path: str, hdus: Mapping[str, _Extension], pixels: _Pixels) -> Any:
    if isinstance(hint, type) and is_dataclass(hint):
        return _restore(hint, path, hdus, pixels)
    if hint is np.ndarray:
        return pixels(hdus[_name(path)]) if _name(path) in hdus else None
    table = hdus["VALUES"].data
    if _name(path) not in table.names:
        return None
    value = np.atleast_1d(table[_name(path)][0]).tolist()
    return tuple(value) if hint not in (int, float) else value[0]


def _native_pixels(hdu: _Extension) -> NDArray[Any]:
    return _native(hdu.data)


def _native(array: NDArray[Any]) -> NDArray[Any]:
    return np.ascontiguousarray(array, array.dtype.newbyteorder("="))
