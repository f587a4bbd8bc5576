"""Templates of stars as FITS files, without any loss.

The primary header describes the star and the inputs of the template; WAVELENGTH, FLUX and VARIANCE are images with
the axes order and knot. ORDERS is a table, and so is LEFT_OUT, the velocities of the exposures by a template of all the
others.
"""

from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits

from nrespipe.errors import BadFrame, MissingCalibration
from nrespipe.files import fits_io
from nrespipe.frames.star import Star
from nrespipe.frames.template import LeftOut, Template

#: Cards of the star: keyword, attribute, comment.
_STAR = (
    ("OBJECT", "name", "the star"),
    ("RA", "ra_deg", "[deg] right ascension, ICRS, at EPOCH"),
    ("DEC", "dec_deg", "[deg] declination"),
    ("EPOCH", "epoch_year", "[yr] Julian year of the position"),
    ("PMRA", "pm_ra_mas_yr", "[mas/yr] proper motion, with cos(dec)"),
    ("PMDEC", "pm_dec_mas_yr", "[mas/yr] proper motion"),
    ("PARALLAX", "parallax_mas", "[mas] parallax"),
    ("RADVEL", "rv_kms", "[km/s] radial velocity by the catalog"),
    ("VMAG", "v_mag", "[mag] Johnson V"),
    ("TEFF", "teff_k", "[K] effective temperature"),
    ("LOGG", "logg", "[log10(cm/s2)] surface gravity"),
    ("FEH", "metallicity", "[Fe/H]"),
    ("SPTYPE", "spectral_type", "spectral type"),
    ("CATALOG", "source", "where these figures come from"),
    ("USES", "template", "star whose template the catalog wants for it"),
)

#: Cards of the template: keyword, attribute, comment.
_MAKING = (
    ("RV", "rv_ms", "[m/s] barycentric velocity of the star"),
    ("SITEID", "site", "site"),
    ("TELESCOP", "instrument", "spectrograph"),
    ("MJD-BEG", "start_mjd", "[d] first exposure, UTC"),
    ("MJD-END", "end_mjd", "[d] last exposure, UTC"),
    ("BERVRANG", "berv_range_ms", "[m/s] range of the barycentric corrections"),
)

_IMAGES = (("WAVELENGTH", "vacuum_angstrom", "Angstrom"), ("FLUX", "flux", ""), ("VARIANCE", "variance", ""))


def write(template: Template, path: str | Path) -> None:
    """Write a template; the same template always gives the same bytes, and nobody ever sees a part of the file.

    Parameters
    ----------
    path
        File; one that exists is replaced.

    Raises
    ------
    Unavailable
        If the disk does not take it.
    """
    hdus = [fits.PrimaryHDU(header=_header(template, Path(path).name))]
    hdus.append(fits.BinTableHDU.from_columns([fits.Column("ORDER", "J", array=template.orders)], name="ORDERS"))
    for name, field, unit in _IMAGES:
        cards = [fits.Card("BUNIT", unit, "unit of the pixels")] if unit else []
        hdus.append(fits.ImageHDU(np.asarray(getattr(template, field), np.float64), fits.Header(cards), name=name))
    if template.left_out:
        hdus.append(_left_out(template.left_out))
    fits_io.write(fits.HDUList(hdus), path)


def read(path: str | Path) -> Template:
    """Read a template.

    Parameters
    ----------
    path
        File that `write` made.

    Returns
    -------
    Template
        Equal to what was written, to the last bit.

    Raises
    ------
    MissingCalibration
        If there is no such file, or if it cannot be read.
    Unavailable
        If the disk fails in another way.
    """
    path = Path(path)
    if not path.exists():
        raise MissingCalibration(f"{path.name}: the template is not where it should be")
    try:
        with fits_io.reading(path) as hdus:
            fits_io.require_whole(hdus, path)
            return _template(hdus)
    except BadFrame as error:
        raise MissingCalibration(f"the template cannot be read, make it again: {error}") from error


def _left_out(rows: tuple[LeftOut, ...]) -> fits.BinTableHDU:
    columns = [
        fits.Column(name, form, unit, array=np.array([getattr(row, field) for row in rows]))
        for name, field, form, unit in (
            ("NAME", "name", f"{max(len(row.name) for row in rows)}A", None), ("FIBER", "fiber", "J", None),
            ("RV", "rv_ms", "D", "m/s"), ("RV_ERR", "error_ms", "D", "m/s"),
            ("ORDCHI2", "order_chi2", "D", None),
        )
    ]  # fmt: skip
    return fits.BinTableHDU.from_columns(columns, name="LEFT_OUT")


def _header(template: Template, name: str) -> fits.Header:
    header = fits.Header()
    header["OUTNAME"] = (name, "name of this file")
    header["OBSTYPE"] = ("TEMPLATE", "a spectrum of a star at rest")
    for keyword, field, comment in (*_STAR, *_MAKING):
        value = getattr(template.star if (keyword, field, comment) in _STAR else template, field)
        # a number that is unknown has no card
        if value is not None and value == value:
            header[keyword] = (value, comment)
    for i, alias in enumerate(template.star.aliases, 1):
        header[f"ALIAS{i:03d}"] = (alias, "another name of the star")
    header["FIBERS"] = (" ".join(map(str, template.fibers)), "fibers that the star was seen through")
    header["TRUSTED"] = (template.trusted, "whether exposures and their spread suffice")
    header["TEMPLHSH"] = (template.fingerprint, "hash, differs from that of other templates")
    header["NCOMBINE"] = (len(template.inputs), "number of inputs")
    for i, name in enumerate(template.inputs, 1):
        header[f"IMCOM{i:03d}"] = (name, "input")
    return header


def _template(hdus: fits.HDUList) -> Template:
    header = hdus[0].header
    known = {field: header[keyword] for keyword, field, _ in _STAR if keyword in header}
    star = Star(**known, aliases=tuple(header["ALIAS*"].values()))
    making = {field: header[keyword] for keyword, field, _ in _MAKING if keyword in header}
    arrays: dict[str, Any] = {field: np.ascontiguousarray(hdus[name].data, "=f8") for name, field, _ in _IMAGES}
    left = hdus["LEFT_OUT"].data if "LEFT_OUT" in hdus else ()
    return Template(
        star=star,
        orders=np.ascontiguousarray(hdus["ORDERS"].data["ORDER"], "=i8"),
        **arrays,
        **making,
        fibers=tuple(int(word) for word in header["FIBERS"].split()),
        inputs=tuple(header[f"IMCOM{i:03d}"] for i in range(1, header["NCOMBINE"] + 1)),
        left_out=tuple(LeftOut(str(name), int(fiber), *map(float, numbers)) for name, fiber, *numbers in left),
    )
