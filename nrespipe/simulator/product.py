"""A composite data product on disk: one compressed image and its tables."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from astropy.io import fits

from nrespipe.frames.arrays import Integers
from nrespipe.frames.raw import Kind
from nrespipe.frames.spectrograph import Spectrograph
from nrespipe.simulator import cards

if TYPE_CHECKING:
    from nrespipe.simulator.night import Shot

_MJD = 2400000.5


def save(
    path: Path,
    adu: Integers,
    spectrograph: Spectrograph,
    camera: str,
    day: str,
    shot: "Shot",
    claims: Mapping[str, float] | None = None,
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
    claims
        Cards whose values are others; None takes one out.
    """
    header = fits.Header([fits.Card(*card) for card in cards.primary(spectrograph, camera, day, shot)])
    for keyword, value in (claims or {}).items():
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
            ("JD_START", "D", np.zeros(0) if meter is None else meter.start_mjd + _MJD),
            ("EXP_TIME", "D", np.zeros(0) if meter is None else meter.exposure_s),
            *((f"FIB{i}COUNTS", "D", counts[:, i]) for i in range(3)),
            ("EMFLAGS", "J", np.zeros(n, np.int32)),
        ],
    )


def _guider(shot, number, spectrograph):
    fiber = dict(enumerate(spectrograph.fibers.star, 1)).get(number)
    star = shot.scene.targets[fiber].star if shot.scene.kind is Kind.SCIENCE and fiber in shot.scene.targets else None
    n = 0 if star is None else int(shot.scene.exposure_s // 30)
    start = shot.start_mjd + _MJD + 30.0 * np.arange(n) / 86400
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
    words = cards.telescope(spectrograph, target.star if target else None, exists=exists)
    return fits.ImageHDU(header=fits.Header([fits.Card(*card) for card in words]), name=f"TELESCOPE_{number}")
