"""Small raw frames to test readers with: the layout and the header habits of real ones, 80 columns of light."""

from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
from astropy.io import fits

COLUMNS, ROWS, OVERSCAN = 80, 64, 20
NAME = "lscnrs01-fa09-20190405-0021-e00"


def header(**changes):
    """Return the header of a stellar frame; None takes a card out."""
    cards = {
        "EXTNAME": "SPECTRUM",
        "SITEID": "lsc",
        "TELESCOP": "nres01",
        "OBSTYPE": "TARGET",
        "DATE": "2019-04-06",
        "DATE-OBS": "2019-04-06T02:24:00.000",
        "DAY-OBS": "20190405",
        "MJD-OBS": 58579.1,
        "EXPTIME": 600.0,
        "INSTRUME": "fa09",
        "CONFMODE": "lco2_500kHz_1amp_DRH_B",
        "GAIN": "1.0",
        "RDNOISE": 7.3,
        "SATURATE": 47500.0,
        "MAXLIN": 40000.0,
        "DETSIZE": f"[1:{COLUMNS + OVERSCAN},1:{ROWS + 2}]",
        "CCDSUM": "1 1",
        "BIASSEC": f"[{COLUMNS + 7}:{COLUMNS + OVERSCAN},1:{ROWS}]",
        "DATASEC": f"[1:{COLUMNS},1:{ROWS}]",
        "TRIMSEC": f"[1:{COLUMNS},1:{ROWS}]",
        "PROPID": "NRES-2019A",
        "NRESTEMP": "21.499532699584961",
        "NRESPRES": 12.347456,
        "OBJECTS": "51 Peg&thar&none",
        "OBJECT": "51 Peg",
    }
    cards.update({keyword.replace("_", "-"): value for keyword, value in changes.items()})
    made = fits.Header()
    for keyword, value in cards.items():
        if value is not None:
            made[keyword] = value
    return made


def pixels(shape=(ROWS + 2, COLUMNS + OVERSCAN)):
    """Return an image of bias level and read noise [ADU]."""
    return np.random.default_rng(3).normal(1000, 5, shape).round().astype(np.uint16)


def meter_hdu(time_column="JD_START", start=None):
    """Return the table of the exposure meter: ten exposures of 60 s."""
    start = 2400000.5 + 58579.1 + np.arange(10) * 60 / 86400 if start is None else start
    columns = [
        fits.Column(time_column, "D" if np.asarray(start).dtype.kind == "f" else "30A", array=start),
        fits.Column("EXP_TIME", "D", array=np.full(10, 59.0)),
        *(fits.Column(f"FIB{i}COUNTS", "D", array=np.full(10, 100.0 * i)) for i in range(3)),
    ]
    return fits.BinTableHDU.from_columns(columns, name="EXPOSURE_METER")


def telescope_hdu(number, **changes):
    """Return the header of a telescope."""
    cards = {
        "LONGITUD": "-70.8046611",
        "LATITUDE": -30.1673306,
        "HEIGHT": 2201.0,
        "RA": "22:57:27.980",
        "DEC": "+20:46:07.80",
        "CAT-RA": "22:57:27.980",
        "CAT-DEC": "20:46:07.80",
        "PM-RA": 0.222,
        "PM-DEC": "0.061",
        "PARALLAX": "N/A",
        "OBJECT": "51 Peg",
    }
    cards.update({keyword.replace("_", "-"): value for keyword, value in changes.items()})
    return fits.ImageHDU(header=fits.Header(cards.items()), name=f"TELESCOPE_{number}")


def write(directory, name=NAME, image=None, packed=True, others=None, **changes):
    """Write a raw frame and return its path."""
    image = pixels() if image is None else image
    others = [meter_hdu(), telescope_hdu(1), telescope_hdu(2, LONGITUD="N/A")] if others is None else others
    if packed:
        parts = [fits.PrimaryHDU(), fits.CompImageHDU(image, header(**changes), compression_type="RICE_1")]
    else:
        parts = [fits.PrimaryHDU(image, header(**changes))]
    path = directory / f"{name}.fits{'.fz' if packed else ''}"
    fits.HDUList([*parts, *others]).writeto(path, overwrite=True)
    return path


@pytest.fixture(scope="session")
def raw():
    """Writers of raw frames and of their parts; every test that writes names its directory."""
    return SimpleNamespace(
        write=write,
        header=header,
        pixels=pixels,
        meter_hdu=meter_hdu,
        telescope_hdu=telescope_hdu,
        name=NAME,
        columns=COLUMNS,
        rows=ROWS,
    )


@pytest.fixture
def write_raw(tmp_path):
    """Write a raw frame with changes to its header into the test's own directory and return its path."""
    return partial(write, tmp_path)
