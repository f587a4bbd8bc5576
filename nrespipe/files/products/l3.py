"""The joined orders of a star: EPRV level 3."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from nrespipe import doppler
from nrespipe.files import image_compression
from nrespipe.files.products import common_parts, primary_header
from nrespipe.files.products.cards import card
from nrespipe.files.products.l2 import order_table

if TYPE_CHECKING:
    from astropy.io.fits import HDUList
    from astropy.io.fits.hdu.base import ExtensionHDU

    from nrespipe.files.products.product_inputs import ProductInputs
    from nrespipe.frames.spectra import Stitched


def build(inputs: "ProductInputs", filename: str) -> "HDUList":
    """Put the level 3 product of a star together.

    Parameters
    ----------
    inputs
        The inputs of the products, with the joined orders of the star.

    Returns
    -------
    astropy.io.fits.HDUList
        Flux, wavelength and variance of the bins, and the spectrum relative to the continuum on the same bins.

    Raises
    ------
    ValueError
        If the orders of the star were not joined.
    """
    if inputs.stitched is None:
        raise ValueError(f"{inputs.raw.filename}: the orders of fiber {inputs.fiber} were not joined")
    header = primary_header.header(inputs, "L3", filename)
    header.extend(
        [
            card("BLZCORR", True, "the blaze is taken out"),
            card("LMPCORR", False, "the spectrum of the lamp is still in the flux"),
            card("SEDCORR", False, "the spectrum of the star is in the flux"),
            card("INTERPMD", "OVERLAP", "mean of the pixels under each bin"),
            card("FLXNRMMD", "None", "FLUX is not normalized, CUSTOMCORR1 is"),
            card("DISPCORR", True, "electrons in bins of one size in velocity"),
        ]
    )
    parts = common_parts.first(inputs)
    words: dict[str, str] = {}
    for name, hdu, description in _parts(inputs, inputs.stitched):
        parts.append(hdu)
        words[name] = description
    return common_parts.assemble(header, parts, words)


def _parts(inputs: "ProductInputs", joined: "Stitched") -> "Iterator[tuple[str, ExtensionHDU, str]]":
    yield "ORDER_TABLE", order_table(inputs), "orders of trace 1, the wavelengths they cover, the level of the lamp"
    first, last = (float(joined.vacuum_angstrom[i]) for i in (0, -1))
    step = np.log(last / first) / max(len(joined.vacuum_angstrom) - 1, 1)
    cards = [
        card("CTYPE1", "WAVE-LOG", "name of axis 1"),
        card("FIBER", inputs.fiber, "fiber"),
        card("OBJECT", inputs.star(inputs.fiber).name, "the star"),
        card("VELSTEP", step * doppler.C_MS / 1e3, "[km/s] size of a bin"),
    ]
    for name, array, dtype, unit, description in (
        ("CORR_SCI_FLUX", joined.flux, np.float32, "electron", "flux in each bin, without the blaze"),
        (
            "CORR_SCI_WAVE",
            joined.vacuum_angstrom,
            np.float64,
            "Angstrom",
            "vacuum wavelengths, barycentric",
        ),
        ("CORR_SCI_VAR", joined.variance, np.float32, "electron2", "variance of the flux"),
        ("CUSTOMCORR1_SCI_FLUX", joined.normalized, np.float32, "", "flux relative to the continuum, on the same bins"),
        ("CUSTOMCORR1_SCI_VAR", joined.normalized_variance, np.float32, "", "its variance"),
    ):
        unit_card = [card("BUNIT", unit, "unit of the pixels")] if unit else []
        name = f"STITCHED_{name}"
        yield name, image_compression.image(np.asarray(array, dtype), name, [*cards, *unit_card]), description
