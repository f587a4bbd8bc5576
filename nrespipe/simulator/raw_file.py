"""Raw files as the observatory writes them: one compressed image with its header cards, and its tables."""

import os
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from astropy.io import fits

from nrespipe.frames.arrays import Integers
from nrespipe.frames.raw import Kind
from nrespipe.frames.spectrograph import Spectrograph
from nrespipe.frames.star import Star
from nrespipe.simulator.detector import OVERSCAN_COLUMNS, SPARE_ROWS

if TYPE_CHECKING:
    from nrespipe.simulator.night import Shot

#: Header cards: keyword, value, comment.
Cards = list[tuple[str, str | float, str]]

#: Code in the file name and OBSTYPE of each kind of frame.
CODES = {
    Kind.BIAS: ("b00", "BIAS"),
    Kind.DARK: ("d00", "DARK"),
    Kind.FLAT: ("w00", "LAMPFLAT"),
    Kind.ARC: ("a00", "DOUBLE"),
    Kind.SCIENCE: ("e00", "TARGET"),
}

_TELESCOPE = {"lsc": ("LCOGT node at Cerro Tololo", "igla"), "elp": ("LCOGT node at McDonald Observatory", "igla")}

_CAMERA = (
    ("INSSTATE", "OKAY", "The instrument status"),
    ("ICSVER", "master@0x7cd2562", "Version number of the ICS software"),
    ("CONFMODE", "lco2_500kHz_1amp_DRH_B", "Camera mode configuration"),
    ("CONFNAME", "N/A", "The instrument configuration used"),
    ("DETECTOR", "UNKNOWN", "Detector type"),
    ("DETECTID", "DB-74", "Detector serial number"),
    ("GAIN", 1.0, "[electrons/count] Pixel gain"),
    ("RDNOISE", 7.3, "[electrons/pixel] Read noise"),
    ("DARKCURR", 0.0, "[electrons/pixel/s @ 200K] Dark current"),
    ("SATURATE", 47500.0, "[ADU] Saturation level"),
    ("MAXLIN", 40000.0, "[ADU] Non-linearity level"),
    ("RDSPEED", 75.0, "[kpix/s] Readout speed used"),
)

_COOLER = (
    ("CCDXPIXE", 0.000015, "[m] Size of pixels"),
    ("CCDYPIXE", 0.000015, "[m] Size of pixels"),
    ("CCDSTEMP", -90.0, "[deg C] CCD required temperature"),
    ("CCDATEMP", -90.0001984, "[deg C] CCD actual temperature"),
    ("CCDSESIG", 0.0, "[mK] CCD temp control servo error signal"),
)

_WEATHER = (
    ("WMSSTATE", "OKAY", "WMS system state"),
    ("WMSHUMID", 45.1, "[%] Current percentage humidity"),
    ("WMSTEMP", 13.0, "[deg C] External temperature"),
    ("WMSPRES", 861.4, "[mbar] Atmospheric pressure"),
    ("WINDSPEE", 5.35, "[km/h] Windspeed"),
    ("WINDDIR", 83.0, "[deg E of N] Wind direction"),
    ("WMSRAIN", "CLEAR", "Rain alert"),
    ("WMSMOIST", "N/A", "[mV] Moisture level"),
    ("WMSDEWPT", 1.4, "[deg C] Dewpoint"),
    ("WMSCLOUD", -30.03, "[deg C] Boltwood sky temperature"),
    ("SKYMAG", 20.1, "[mag/arcsec^2] Computed sky brightness"),
    ("UT1-UTC", -0.12379, "[s] UT1-UTC"),
    ("POLARMOX", 0.0515, "[arcsec] Polar motion X"),
    ("POLARMOY", 0.3892, "[arcsec] Polar motion Y"),
)


_JD_OF_MJD_0 = 2400000.5


def save(
    path: Path,
    adu: Integers,
    spectrograph: Spectrograph,
    camera: str,
    day: str,
    shot: "Shot",
    changed_cards: Mapping[str, float | None] | None = None,
) -> None:
    """Write a raw file.

    Parameters
    ----------
    path
        Of the ``.fits.fz`` file.
    adu : shape (n_rows, n_columns)
        The raw image [ADU].
    camera
        ``fa09`` ...
    changed_cards
        Cards of the main image with other values; None removes one.
    """
    header = fits.Header([fits.Card(*card) for card in primary_cards(spectrograph, camera, day, shot)])
    for keyword, value in (changed_cards or {}).items():
        if value is None:
            del header[keyword]
        else:
            header[keyword] = value
    image = fits.CompImageHDU(
        adu, header, name="SPECTRUM", compression_type="RICE_1", tile_shape=(1, adu.shape[1]), uint=True
    )
    tables = [_meter(shot.meter), *(_guider(shot, number, spectrograph) for number in (1, 2))]
    telescopes = [_telescope(shot, number, spectrograph) for number in (1, 2)]
    temporary = path.with_name(path.name + ".part")
    fits.HDUList([fits.PrimaryHDU(), image, *tables, *telescopes]).writeto(
        temporary, overwrite=True, output_verify="silentfix"
    )
    os.replace(temporary, path)


def _table(name, columns, header=()):
    columns = [fits.Column(name=key, format=form, array=values) for key, form, values in columns]
    return fits.BinTableHDU.from_columns(columns, fits.Header([fits.Card(*card) for card in header]), name=name)


def _meter(meter):
    n = 0 if meter is None else len(meter.start_mjd)
    counts = np.zeros((0, 3)) if meter is None else meter.counts
    return _table(
        "EXPOSURE_METER",
        [
            ("JD_START", "D", np.zeros(0) if meter is None else meter.start_mjd + _JD_OF_MJD_0),
            ("EXP_TIME", "D", np.zeros(0) if meter is None else meter.exposure_s),
            *((f"FIB{i}COUNTS", "D", counts[:, i]) for i in range(3)),
            ("EMFLAGS", "J", np.zeros(n, np.int32)),
        ],
    )


def _guider(shot, number, spectrograph):
    fiber = dict(enumerate(spectrograph.fibers.star, 1)).get(number)
    star = shot.scene.targets[fiber].star if shot.scene.kind is Kind.SCIENCE and fiber in shot.scene.targets else None
    n = 0 if star is None else int(shot.scene.exposure_s // 30)
    start = shot.start_mjd + _JD_OF_MJD_0 + 30.0 * np.arange(n) / 86400
    names = np.array([f"{spectrograph.site}guide{number}-{shot.number:04d}-{i:04d}" for i in range(n)], dtype="U40")
    center = (star.ra_deg, star.dec_deg) if star else (0.0, 0.0)
    scale = {"CD1_1": -9e-5, "CD1_2": 0.0, "CD2_1": 0.0, "CD2_2": 9e-5}
    return _table(
        f"AGU_{number}",
        [
            ("FILENAME", "40A", names),
            ("JD_START", "D", start),
            ("N_SRCS", "J", np.full(n, 7)),
            ("SKYVAL", "D", np.full(n, 250.0)),
            ("CRVAL1", "D", np.full(n, center[0])),
            ("CRVAL2", "D", np.full(n, center[1])),
            *((key, "D", np.full(n, value)) for key, value in scale.items()),
        ],
        [("FILTER", "clear", "Filter used")],
    )


def _telescope(shot, number, spectrograph):
    fibers = spectrograph.fibers.star
    exists = number <= len(fibers)
    target = shot.scene.targets.get(fibers[number - 1]) if exists else None
    words = telescope_cards(spectrograph, target.star if target else None, exists=exists)
    return fits.ImageHDU(header=fits.Header([fits.Card(*card) for card in words]), name=f"TELESCOPE_{number}")


def primary_cards(spectrograph: Spectrograph, camera: str, day: str, shot: "Shot") -> Cards:
    """Return the cards of the main image.

    Parameters
    ----------
    camera
        ``fa09`` ...
    day
        DAY-OBS, ``YYYYMMDD``.
    shot
        The exposure.

    Returns
    -------
    Cards
        In the order of real files.
    """
    start = _moment(shot.start_mjd)
    stop = _moment(shot.start_mjd + shot.scene.exposure_s / 86400)
    site, telid = _TELESCOPE.get(spectrograph.site, (f"LCOGT node at {spectrograph.site}", "igla"))
    return [
        ("DATADICV", "LCOGT-DIC.FITS-0.10.0", "Version number of the data dictionary"),
        ("HDRVER", "LCOGT-HDR-1.3.0", "Version number of the headers"),
        ("ORIGIN", "LCOGT", "Organization responsible for the data"),
        ("SITEID", spectrograph.site, "ID code of the Observatory site"),
        ("SITE", site, "Site name"),
        ("TELID", telid, "ID code of the Telescope"),
        ("TELESCOP", spectrograph.name, "The Name of the Telescope"),
        ("OBSTYPE", CODES[shot.scene.kind][1], "Observation type"),
        ("FRAMENUM", shot.number, "Running frame number"),
        ("MOLTYPE", "N/A", "Molecule type"),
        ("MOLNUM", shot.number, "Molecule number"),
        ("MOLFRNUM", 1, "Exposure number within molecule"),
        ("FRMTOTAL", 1, "Total number of exposures within molecule"),
        ("ORIGNAME", f"{shot.filename}.fits", "Fname of Composite DP"),
        ("RAWIMAGE", f"{shot.filename.replace('nrs', '1m0', 1)}.fits", "Fname written by Sinistro"),
        ("TIMESYS", "UTC", "Time system used"),
        ("DATE", start[:10], "[UTC] Date this FITS file was written"),
        ("DATE-OBS", start, "[UTC] Start date and time of observation"),
        ("DAY-OBS", day, "[UTC] Date at start of local observing night"),
        ("UTSTART", start[11:], "Start time of the observation"),
        ("UTSTOP", stop[11:], "Finish time of the observation"),
        ("MJD-OBS", round(shot.start_mjd, 8), "Start date/time (Modified Julian Date)"),
        ("EXPTIME", float(shot.scene.exposure_s), "[s] Exposure length"),
        ("INSTRUME", camera, "Instrument used"),
        *_CAMERA,
        *_sections(spectrograph.detector),
        *_COOLER,
        *_request(shot),
        *_pointing(shot),
        *_WEATHER,
        *_bench(shot),
        ("OBJECTS", "&".join(shot.objects), "Concatenation of 3 fiber objects"),
        ("OBJECT", "&".join(name for name in shot.objects if name not in ("none", "thar", "tung")), "Object"),
    ]


def _sections(detector):
    rows, columns = detector.rows, detector.columns
    last_row, last_column = rows + SPARE_ROWS, columns + OVERSCAN_COLUMNS
    light = f"[1:{columns},1:{rows}]"
    return [
        ("DETSIZE", f"[1:{last_column},1:{last_row}]", "[pixel] Detector size"),
        ("AMPNAME", "default", "Amplifier name"),
        ("CCDSEC", "UNKNOWN", "[pixel] Region of CCD read"),
        ("CCDSUM", "1 1", "CCD on-chip summing/binning"),
        # the first columns hold charge that the transfer left behind
        ("BIASSEC", f"[{columns + 7}:{last_column},1:{rows}]", "[binned pixel] Section of bias/overscan data"),
        ("DATASEC", light, "[binned pixel] Data section"),
        ("TRIMSEC", light, "[binned pixel] Section of useful data"),
        ("ROI", "UNKNOWN", "[binned pixel] Region of interest or MULTIPLE"),
        ("DETSEC", light, "[binned pixel] Section of useful data"),
    ]


def _moment(mjd):
    moment = datetime(1858, 11, 17, tzinfo=UTC) + timedelta(milliseconds=round(mjd * 86400e3))
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}"


def _request(shot):
    science = shot.scene.kind is Kind.SCIENCE
    return [
        ("TAGID", "LCOGT", "Time Allocation Group ID"),
        ("USERID", "simulator", "User ID"),
        ("PROPID", "SIM2026A-001" if science else "calibrate", "Proposal ID"),
        ("GROUPID", f"simulated {shot.scene.kind}", "Group ID"),
        ("OBSID", "UNSPECIFIED", "Observation ID"),
        ("OBSNOTE", "UNSPECIFIED", "Observation Note"),
        ("SCHEDNAM", "POND", "Name of scheduler in control"),
        ("TRACKNUM", "UNSPECIFIED", "Request DB tracking number"),
        ("REQNUM", "UNSPECIFIED", "Request DB request number"),
        ("MOLUID", str(1042614000 + shot.number), "Molecule unique ID"),
        ("BLKTYPE", "POND", "Group type"),
        ("BLKUID", str(496849000 + shot.number), "Group unique ID"),
    ]


def _pointing(shot):
    first = next(iter(shot.scene.targets.values()), None)
    ra_hours, dec_deg = (first.star.ra_deg / 15, first.star.dec_deg) if first else (10.3583061444785, -80.0059733439668)
    return [
        ("RA", ra_hours, "[hours] RA where telescope is pointing"),
        ("DEC", dec_deg, "[deg] Dec where telescope is pointing"),
        ("AIRMASS", shot.scene.airmass, "Effective mean airmass"),
        ("RADESYS", "", "[ICRS] Fundamental coord. system of the object"),
    ]


def _bench(shot):
    lit = {name if name in ("none", "thar", "tung") else "star" for name in shot.objects}
    shutter = lambda is_open: "open" if is_open else "closed"  # noqa: E731
    state = shot.state
    return [
        ("SHUTTER2", shutter("thar" in lit or "tung" in lit), "Cal out spec shutter"),
        ("SHUTTER4", shutter("thar" in lit), "ThAr Slave shutter"),
        ("SHUTTER5", shutter("tung" in lit), "Tungsten Halogen shutter"),
        ("SHUTTER7", shutter("star" in lit), "Spectrograph input shutter"),
        ("NDANGLE", 225.0, "deg Angle of neutral density filter"),
        ("AGU1POSN", "OPEN" if "star" in lit else "CALIBRATION", "NRES AGU 1 wheel position"),
        ("AGU2POSN", "OPEN" if "star" in lit else "CALIBRATION", "NRES AGU 2 wheel position"),
        ("IGLSTEMP", "21.62", "[deg C] Igloo air set-temperature"),
        ("IGLATEMP", "21.62", "[deg C] Igloo air actual temperature"),
        ("NRESTEMP", f"{state.temperature_c:.9f}", "[degC] NRES spectrograph temperature"),
        ("NRESPRES", round(state.pressure_psi, 6), "[PSI] NRES spectrograph pressure"),
        ("NREST16", round(state.temperature_c + 0.02, 4), "[degC] NRES Cryostat temperature"),
        ("NREST22", round(state.temperature_c - 0.58, 4), "[degC] NRES bench camera side temperature"),
        ("NREST23", round(state.temperature_c - 0.48, 4), "[degC] NRES bench grating side temperature"),
    ]


def telescope_cards(spectrograph: Spectrograph, star: Star | None, *, exists: bool = True) -> Cards:
    """Return the cards of a telescope.

    Parameters
    ----------
    spectrograph
        For its place on Earth.
    star
        Its target; None where it did not observe.
    exists
        False for the second telescope of a site that has one.

    Returns
    -------
    Cards
        In the order of real files.
    """
    place = (spectrograph.longitude_deg, spectrograph.latitude_deg, spectrograph.height_m) if exists else ("N/A",) * 3
    cards: Cards = [
        ("LONGITUD", place[0], "[deg E] Telescope longitude"),
        ("LATITUDE", place[1], "[deg N] Telescope latitude"),
        ("HEIGHT", place[2], "[m] Telescope height above sea level"),
    ]
    if star is None or star.ra_deg is None or star.dec_deg is None:
        empty = ("RA", "DEC", "CAT-RA", "CAT-DEC", "PM-RA", "PM-DEC", "PARALLAX", "OBJECT", "RADESYS")
        return cards + [(key, "N/A", "") for key in empty]
    years = 19.0
    declination = star.dec_deg + (star.pm_dec_mas_yr or 0) * years / 3.6e6
    ascension = star.ra_deg + (star.pm_ra_mas_yr or 0) * years / 3.6e6 / np.cos(np.radians(star.dec_deg))
    return [
        *cards,
        ("RA", sexagesimal(ascension / 15, 3), "[HH:MM:SS.sss] RA where telescope is pointing"),
        ("DEC", sexagesimal(declination, 2, sign=True), "[sDD:MM:SS.ss] Dec where telescope is pointing"),
        ("RADESYS", "ICRS", "Fundamental coord. system of the object"),
        ("CAT-RA", sexagesimal(star.ra_deg / 15, 4), "[HH:MM:SS.sss] Catalog RA of the object"),
        ("CAT-DEC", sexagesimal(star.dec_deg, 3, sign=True), "[sDD:MM:SS.ss] Catalog Dec of the object"),
        ("CAT-EPOC", star.epoch_year, "[Year] Catalog epoch of the coordinates"),
        ("OBJECT", star.name, "Object name"),
        # the header leaves cos(dec) out of the proper motion in RA
        (
            "PM-RA",
            (star.pm_ra_mas_yr or 0.0) / 1e3 / np.cos(np.radians(star.dec_deg)),
            "[arcsec/year] Proper motion in RA",
        ),
        ("PM-DEC", (star.pm_dec_mas_yr or 0.0) / 1e3, "[arcsec/year] Proper motion in Dec"),
        ("PARALLAX", (star.parallax_mas or 0.0) / 1e3, "[arcsec] Parallax of the object"),
        ("RADVEL", star.rv_kms or 0.0, "[km/s] Radial velocity of the object"),
    ]


def sexagesimal(value: float, digits: int, *, sign: bool = False) -> str:
    """Return a number in the base of sixty.

    Parameters
    ----------
    value
        Hours or degrees.
    digits
        Decimals of the seconds.
    sign
        Whether a plus is written.

    Returns
    -------
    str
        ``HH:MM:SS.sss``.
    """
    units = round(abs(value) * 3600 * 10**digits)
    seconds, fraction = divmod(units, 10**digits)
    text = f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}.{fraction:0{digits}d}"
    return ("-" if value < 0 else "+" if sign else "") + text
