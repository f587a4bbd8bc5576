"""Identity of a raw frame, by its name and its header: kind, site, camera, night, start, objects."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nrespipe import instruments
from nrespipe.errors import BadFrame, Skipped
from nrespipe.files.raw import header_times
from nrespipe.files.raw.card_values import Cards, number, text, value
from nrespipe.frames.quality import Quality
from nrespipe.frames.raw import ExposureMeter, Kind, Telescope

if TYPE_CHECKING:
    from nrespipe.frames.spectrograph import Spectrograph

#: Codes of raw file names that are no frames to reduce.
_FOREIGN_CODES = {"g": "a guider frame", "x": "an experimental frame"}

_KIND_OF_CODE = {"b": Kind.BIAS, "d": Kind.DARK, "w": Kind.FLAT, "a": Kind.ARC, "e": Kind.SCIENCE}

_KIND_OF_OBSTYPE = {
    "BIAS": Kind.BIAS,
    "DARK": Kind.DARK,
    "FLAT": Kind.FLAT,
    "LAMPFLAT": Kind.FLAT,
    "DOUBLE": Kind.ARC,
    "ARC": Kind.ARC,
    "TARGET": Kind.SCIENCE,
    "SPECTRUM": Kind.SCIENCE,
    "EXPERIMENTAL": Kind.SCIENCE,
}

_LAMP_OF_KIND = {Kind.FLAT: "tung", Kind.ARC: "thar"}

# its beginning alone names the spectrograph, and with the night the place of the file
_NAME = re.compile(
    r"(?P<site>[a-z]{3})nrs(?P<number>\d{2})-((?P<camera>[a-z]{2}\d{2})-(?P<day>\d{8})-(?P<frame>\d+-[a-z]\d{2}\Z)?)?"
)
_CODE = re.compile(r"-([a-z])(\d{2})$")


@dataclass(frozen=True)
class Identity:
    """Identity of a raw frame by its header and name, without its pixels.

    Attributes
    ----------
    filename
        Base name without ``.fits`` or ``.fits.fz``.
    kind
        Kind of frame.
    site, instrument, camera, day
        As in ``RawFrame``.
    start_mjd
        Shutter open, UTC [MJD].
    exposure_s
        Exposure time [second].
    objects
        What lights fibers 0, 1, 2; empty for bias and dark.
    binning
        CCDSUM, e.g. ``1 1``.
    readout_mode
        CONFMODE, '' where absent.
    quality
        Flags of facts in header, file name and exposure meter that contradict each other.
    """

    filename: str
    kind: Kind
    site: str
    instrument: str
    camera: str
    day: str
    start_mjd: float
    exposure_s: float
    objects: tuple[str, ...]
    binning: str
    readout_mode: str
    quality: Quality


def stem(path: str | Path) -> str:
    """Return the base name of a frame.

    Parameters
    ----------
    path
        File, compressed or not.

    Returns
    -------
    str
        Without ``.fits`` or ``.fits.fz``.
    """
    return Path(path).name.removesuffix(".fz").removesuffix(".fits")


def kind_named(path: str | Path) -> Kind | None:
    """Return the kind of a frame by the letter in its name.

    Parameters
    ----------
    path
        File; it need not exist.

    Returns
    -------
    Kind or None
        None where the letter stands for no kind.
    """
    code = _CODE.search(stem(path))
    return _KIND_OF_CODE.get(code[1]) if code else None


def has_nres_name(filename: str) -> bool:
    """Return whether the name of a file begins like that of a frame of an NRES spectrograph."""
    return _NAME.match(filename) is not None


def parse_name(filename: str) -> dict[str, Any]:
    """Return what the name of a raw file says of the frame.

    Returns
    -------
    dict of str to Any
        ``site``, ``instrument``, ``camera``, ``day``, and ``kind`` (None where its letter stands for none); empty where
        the file is named otherwise.
    """
    name = _NAME.match(filename)
    if not name or not name["day"]:
        return {}
    place = {key: name[key] for key in ("site", "camera", "day")}
    return {"instrument": f"nres{name['number']}", "kind": kind_named(filename), **place}


def require_raw_name(path: str | Path) -> None:
    """Check that the name of a file is that of a frame to reduce.

    Parameters
    ----------
    path
        File; it need not exist.

    Raises
    ------
    Skipped
        If it is not; the message has the reason.
    """
    name = Path(path).name
    code = _CODE.search(stem(path))
    if not name.endswith((".fits", ".fits.fz")):
        raise Skipped(f"{name}: not the name of a FITS file")
    if code and code[2] != "00":
        raise Skipped(f"{name}: already reduced, to level {code[2]}")
    if code and code[1] in _FOREIGN_CODES:
        raise Skipped(f"{name}: {_FOREIGN_CODES[code[1]]}")
    if not stem(path).endswith("00"):
        raise Skipped(f"{name}: not the name of a raw frame, which ends in 00")


def of(
    path: str | Path,
    header: Cards,
    meter: ExposureMeter | None = None,
    telescopes: Sequence[Telescope | None] = (),
) -> Identity:
    """Return the identity of a raw frame.

    Parameters
    ----------
    header
        Cards of its spectrum.
    meter
        The series of its exposure meter; None where there is none.
    telescopes
        TELESCOPE_1 and TELESCOPE_2; None for an absent one.

    Raises
    ------
    Skipped
        If it is no frame of an NRES spectrograph, or already reduced.
    BadFrame
        If the header lacks a value that the reduction needs and nothing else gives, or contradicts itself.
    """
    name = Path(path).name
    named = _NAME.match(stem(path))
    parts = named.groupdict() if named and named["frame"] else {}
    _require_ours(header, bool(parts), name)
    by_name = f"nres{parts.get('number', '')}"
    telescope = text(value(header, "TELESCOP")).lower() or by_name
    if not re.fullmatch(r"nres\d{2}", telescope):
        raise BadFrame(f"{name}: TELESCOP is {telescope!r}, no spectrograph has that name")
    kind, is_experimental = _kind(header, path)
    site = _word(header, "SITEID", r"[a-z]{3}", parts.get("site", ""), name)
    camera = _word(header, "INSTRUME", r"[a-z]{2}\d{2}", parts.get("camera", ""), name)
    if parts and telescope != by_name and _site_of(by_name) == site and _site_of(telescope) not in ("", site):
        telescope = by_name
    if parts and site != parts["site"] == _site_of(telescope):
        site = parts["site"]
    told = (text(value(header, "SITEID")).lower() or site, text(value(header, "TELESCOP")).lower() or telescope, camera)
    contradicts = bool(parts) and told != (parts["site"], by_name, parts["camera"])
    contradicts |= kind_named(path) not in (None, kind)
    times = header_times.weigh(
        header, kind, parts.get("day") or "", meter, _observing(kind, telescope, telescopes), name
    )
    return Identity(
        filename=stem(path),
        kind=kind,
        site=site,
        instrument=telescope,
        camera=camera,
        day=times.day,
        start_mjd=times.start_mjd,
        exposure_s=times.exposure_s,
        objects=_objects(header, kind, name),
        binning=" ".join(text(value(header, "CCDSUM")).split()) or "1 1",
        readout_mode=text(value(header, "CONFMODE")),
        quality=times.quality | (Quality.NAME_DISAGREES if contradicts or is_experimental else Quality(0)),
    )


def _observing(kind: Kind, instrument: str, telescopes: Sequence[Telescope | None]) -> list[Telescope]:
    """Return the telescopes that looked at a star, at the place of the spectrograph where its table has one."""
    table = _table(instrument)
    found = [one for one in telescopes if one is not None and one.ra_deg is not None and kind is Kind.SCIENCE]
    if table is None or math.isnan(table.longitude_deg):
        return found
    return [replace(one, longitude_deg=table.longitude_deg, latitude_deg=table.latitude_deg) for one in found]


def _table(instrument: str) -> "Spectrograph | None":
    try:
        return instruments.load(instrument)
    except KeyError:
        return None


def _site_of(instrument: str) -> str:
    table = _table(instrument)
    return "" if table is None else table.site


def _require_ours(header: Cards, is_named: bool, name: str) -> None:
    telescope = text(value(header, "TELESCOP")).lower()
    if "nres" not in telescope and (telescope or not is_named):
        raise Skipped(f"{name}: not a frame of an NRES spectrograph but of telescope {telescope or 'unknown'!r}")
    level = text(value(header, "RLEVEL"))
    if level and number(level) != 0:
        raise Skipped(f"{name}: already reduced, RLEVEL is {level!r}")


def _kind(header: Cards, path: str | Path) -> tuple[Kind, bool]:
    """Return the kind of a frame, and whether its header calls it experimental."""
    # A header with OBSTYPE 'fibers' exists: where the word is none of ours the letter of the name decides.
    word = text(value(header, "OBSTYPE")).upper()
    kind = _KIND_OF_OBSTYPE.get(word) or kind_named(path)
    if kind is None:
        raise BadFrame(f"{Path(path).name}: OBSTYPE is {value(header, 'OBSTYPE')!r}, which is no kind of frame")
    return kind, word == "EXPERIMENTAL"


def _word(header: Cards, keyword: str, pattern: str, fallback: str, name: str) -> str:
    word = text(value(header, keyword)).lower() or fallback
    if not re.fullmatch(pattern, word):
        raise BadFrame(f"{name}: {keyword} is {value(header, keyword)!r}")
    return word


def _objects(header: Cards, kind: Kind, name: str) -> tuple[str, ...]:
    if kind in (Kind.BIAS, Kind.DARK):
        return ()
    if not text(value(header, "OBJECTS")):
        raise BadFrame(f"{name}: {'OBJECTS is empty' if 'OBJECTS' in header else 'no OBJECTS card'}")
    words = [" ".join(word.split()) for word in text(value(header, "OBJECTS")).split("&")]
    if len(words) not in (2, 3):
        raise BadFrame(f"{name}: OBJECTS is {value(header, 'OBJECTS')!r}, which does not name what three fibers see")
    objects = tuple(_object(word) for word in [*words, "none"][:3])
    lit = {word for word in objects if word != "none"}
    if kind is Kind.SCIENCE and not lit - {"thar", "tung"}:
        raise BadFrame(f"{name}: OBJECTS is {'&'.join(objects)!r}: no fiber sees a star")
    if kind in _LAMP_OF_KIND and lit != {_LAMP_OF_KIND[kind]}:
        raise BadFrame(f"{name}: OBJECTS is {'&'.join(objects)!r}, which is no {kind}")
    return objects


def _object(word: str) -> str:
    if text(word) == "":
        return "none"
    return word.lower() if word.lower() in ("none", "thar", "tung") else word


def without_name(reason: str, filename: str) -> str:
    """Return a reason without the file name in it, for a line that shows the name already.

    Parameters
    ----------
    reason
        As in `Outcome`.
    filename
        Base name of the frame without ``.fits`` or ``.fits.fz``.

    Returns
    -------
    str
        The same where the name is not in it.
    """
    return re.sub(rf"(^|: ){re.escape(filename)}(\.fits)?(\.fz)?: ", r"\1", reason, count=1)
