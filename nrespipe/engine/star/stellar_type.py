"""Temperature, type and rotation of a star: by the catalog, and from the lines of its spectrum."""

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.polynomial import legendre

from nrespipe import doppler
from nrespipe.engine.spectrum import line_selection, synthetic
from nrespipe.frames.star import Star, StellarType
from nrespipe.frames.velocity import LineMask, Tellurics

if TYPE_CHECKING:
    from nrespipe.engine.spectrum.synthetic import Sampling
    from nrespipe.engine.velocity.mask_fit import Fit

_FWHM2 = 8 * np.log(2)
#: Standard deviation of a rotation profile in units of v sin i, with the limb darkening of ``synthetic``
_ROTATION_DEVIATION = 0.4743
#: Broadening of stars that hardly rotate, by ``mask_fit`` of spectra of HARPS: GJ 581, and the Sun less the 1.9 km/s of
#: its rotation; temperature [kelvin], standard deviation [m / s]
_QUIET_K, _QUIET_MS = (3450.0, 5777.0), (1560.0, 2790.0)
#: Where the lines of all types are resolved, and the atmosphere has few [angstrom]
_RANGE = (4150.0, 5900.0)
#: Effective temperature of a dwarf of subtype 0 of each class [kelvin] (Pecaut & Mamajek 2013, ApJS 208, 9)
_SUBTYPE_0_K = {
    "O": 46000.0,
    "B": 31400.0,
    "A": 9700.0,
    "F": 7220.0,
    "G": 5930.0,
    "K": 5280.0,
    "M": 3850.0,
    "L": 2270.0,
}


def catalog_temperature(star: Star) -> float | None:
    """Return the effective temperature of a star by the catalog.

    Returns
    -------
    float or None
        The temperature of the catalog, else that of a dwarf of the spectral type, else None [kelvin].
    """
    if star.teff_k is not None:
        return star.teff_k
    type_ = re.match(r"[a-z]*([OBAFGKM])\s*(\d(?:\.\d)?)?", star.spectral_type.strip())
    return None if type_ is None else _dwarf_temperature(type_[1], float(type_[2] or 5))


def _dwarf_temperature(letter: str, number: float) -> float:
    """Return the effective temperature of a dwarf of a class, ``G``, and a subtype, 2 [kelvin]."""
    classes = list(_SUBTYPE_0_K)
    cooler, share = classes[classes.index(letter) + 1], number / 10
    return _SUBTYPE_0_K[letter] * (1 - share) + _SUBTYPE_0_K[cooler] * share


_SUBTYPES = {
    f"{letter}{digit}": _dwarf_temperature(letter, digit)
    for letter in "FGKM"
    for digit in range(10 if letter != "M" else 6)
}


def estimate(
    found: "Fit",
    masks: Mapping[str, LineMask],
    berv_ms: float,
    sampling: "Sampling | None" = None,
    tellurics: Tellurics | None = None,
    *,
    deepest: float = 0.15,
    list_error_k: float = 90.0,
    end_error_k: float = 250.0,
    unlike_error_k: float = 500.0,
) -> StellarType:
    """Estimate temperature, type and rotation of a star.

    Parameters
    ----------
    found
        From ``mask_fit.fit`` with the mask of a type that is near.
    berv_ms
        Barycentric correction [m / s].
    sampling
        Line-spread function that `found` was made with; without one the instrument counts as rotation, and there is
        no v sin i.
    tellurics
        Where the atmosphere absorbs.
    deepest
        Pixels with a deeper absorption in the model are not used: no list contains the saturation of deep lines.
    list_error_k
        Systematic error of the temperature, of the lists and of the model of the lines [kelvin].
    end_error_k
        Error where the star may be beyond the hottest or the coolest list, or is less than 60 K inside [kelvin].
    unlike_error_k
        Error where the lines are weaker or stronger than the list can make them: HARPS shows GJ 581, of 3500 K, with
        less than a third of the lines of M0, and it is taken for one of 3940 K [kelvin].

    Notes
    -----
    The absorption is fitted with the sum of those of two neighboring lists, each order less a parabola:
    ``T = (c1 T1 + c2 T2) / (c1 + c2)``. The pair that fits best is taken. Its statistical error is the jackknife
    over twelve stretches of the spectrum. See `rotation` for v sin i.
    """
    by_temperature = sorted(masks.values(), key=lambda mask: mask.teff_k)
    teff_k = np.array([mask.teff_k for mask in by_temperature])
    normal, right = _equations(found, by_temperature, berv_ms, sampling, tellurics, deepest)
    if len(normal) < 3:
        return StellarType(reason="too few orders between 415 and 590 nm")
    best_k, at_end = _temperature(normal.sum(axis=0), right.sum(axis=0), teff_k)
    if not np.isfinite(best_k):
        return StellarType(reason="no list of lines resembles the spectrum")
    rest = [_temperature(normal.sum(axis=0) - n, right.sum(axis=0) - r, teff_k)[0] for n, r in zip(normal, right)]
    statistical_k = np.sqrt((len(rest) - 1) * np.mean((rest - np.mean(rest)) ** 2))
    reason = f"at the {at_end} end of the lists of lines" if at_end else ""
    systematic_k = end_error_k if at_end else list_error_k
    if synthetic.at_bound(found.strength):
        reason, systematic_k = "its lines are unlike those of any list", unlike_error_k
    error_k = float(np.hypot(statistical_k, systematic_k))
    vsini_ms, vsini_error_ms = (np.nan, np.inf) if sampling is None else rotation(found, best_k)
    return StellarType(
        teff_k=float(best_k),
        teff_error_k=error_k,
        spectral_type=subtype(best_k),
        vsini_ms=vsini_ms,
        vsini_error_ms=vsini_error_ms,
        reason=reason,
    )


def rotation(
    found: "Fit", teff_k: float, *, motions_error_ms: float = 500.0, width_error: float = 0.01
) -> tuple[float, float]:
    """Estimate the projected velocity of rotation from the width of the lines.

    Parameters
    ----------
    found
        From ``mask_fit.fit`` with a line-spread function, which takes out what the spectrograph adds to the width.
    teff_k
        Effective temperature, with which the motions in the atmosphere increase [kelvin].
    motions_error_ms
        Error of the standard deviation of these motions, and of the model of the lines [m / s].
    width_error
        Relative error of the width of the line-spread function.

    Returns
    -------
    vsini_ms, error_ms : float
        [m / s].

    Notes
    -----
    ``b**2 = s0**2 + (0.4743 v sin i)**2`` with the broadening ``b`` of the model whose CCF fits best, with the line
    shape of rotation (Gray 2005, limb darkening 0.6) and not of a Gaussian. ``s0``, the other motions in the
    atmosphere, is the broadening of GJ 581 and of the Sun, linear in temperature in between; above the temperature of
    the Sun half the macroturbulence of Doyle et al. 2014, MNRAS 444, 3592, adds to it.
    """
    motions_ms = np.interp(teff_k, _QUIET_K, _QUIET_MS)
    hotter_k = np.clip(teff_k, 5777.0, 6400.0) - 5777.0
    macro_ms = 3210.0 + 2.33 * hotter_k + 2.00e-3 * hotter_k**2
    motions_ms = np.sqrt(motions_ms**2 + (macro_ms**2 - 3210.0**2) / 4)
    square = (found.broadening_ms**2 - motions_ms**2) / _ROTATION_DEVIATION**2
    instrument2 = max(found.fwhm_ms**2 / _FWHM2 - found.broadening_ms**2, 0.0)
    # center and width of a Gaussian are known equally well
    parts = (
        2 * motions_ms * motions_error_ms,
        2 * instrument2 * width_error,
        2 * found.broadening_ms * found.photon_error_ms,
    )
    square_error = np.linalg.norm(parts) / _ROTATION_DEVIATION**2
    vsini_ms = np.sqrt(max(square, 0.0))
    return float(vsini_ms), float(np.sqrt(max(square, 0.0) + square_error) - vsini_ms)


def subtype(teff_k: float) -> str:
    """Return the spectral subtype of a dwarf.

    Parameters
    ----------
    teff_k
        Effective temperature [kelvin].

    Returns
    -------
    str
        The nearest of F0 to M5 on the scale of `catalog_temperature`.
    """
    return min(_SUBTYPES, key=lambda name: abs(_SUBTYPES[name] - teff_k))


def _equations(found, masks, berv_ms, sampling, tellurics, deepest, blocks=12):
    """Return normal matrix and right side of the fit of all masks, for each stretch of the spectrum."""
    spectrum = found.spectrum
    middle = spectrum.wavelength[:, spectrum.wavelength.shape[1] // 2]
    chosen = np.flatnonzero((middle > _RANGE[0]) & (middle < _RANGE[1]) & spectrum.good.any(axis=1))
    if len(chosen) == 0:
        return np.zeros((0, len(masks), len(masks))), np.zeros((0, len(masks)))
    wavelength, level = spectrum.wavelength[chosen], spectrum.continuum[chosen]
    absorption = _absorption(found, masks, berv_ms, sampling, chosen)
    good = spectrum.good[chosen] & (level > 0) & (absorption.max(axis=0) < deepest)
    good &= line_selection.clear_pixels(wavelength, berv_ms, found.rv_ms, tellurics)
    level = np.where(good, level, 1.0)
    # a mismatch of three percent, which the lists have anywhere, keeps a bright star from resting on few pixels
    root = np.where(good, (spectrum.variance[chosen] / level**2 + 0.03**2) ** -0.5, 0.0)
    columns = np.concatenate([absorption, (1 - spectrum.flux[chosen] / level)[None]]) * root
    columns = _without_parabola(columns, root)
    products = np.einsum("aop,bop->oab", columns, columns)
    stretches = np.array_split(np.arange(len(chosen)), min(blocks, len(chosen)))
    summed = np.stack([products[stretch].sum(axis=0) for stretch in stretches])
    return summed[:, :-1, :-1], summed[:, :-1, -1]


def _absorption(found, masks, berv_ms, sampling, chosen):
    """Return the absorption of each list with the width and the strength of the lines of the star."""
    wavelength = np.ascontiguousarray(found.spectrum.wavelength[chosen])
    if sampling is not None:
        fwhm = np.ascontiguousarray(sampling.fwhm[chosen])
        sampling = synthetic.Sampling(fwhm, sampling.offsets, sampling.kernels, sampling.columns)
    start, end = wavelength.min() * 0.995, wavelength.max() * 1.005
    seen_ms = doppler.seen_ms(found.rv_ms, berv_ms)
    absorbed = []
    for mask in masks:
        rest = synthetic.at_rest(
            mask, start, end, found.broadening_ms, strength=found.strength, thermal_ms=found.thermal_ms
        )
        absorbed.append(1 - synthetic.observed(rest, seen_ms, wavelength, sampling)[0])
    return np.array(absorbed)


def _without_parabola(columns, root):
    """Take from each order of weighted columns the parabola that fits it best."""
    basis = legendre.legvander(np.linspace(-1, 1, root.shape[1]), 2).T[None] * root[:, None, :]
    normal = np.einsum("oip,ojp->oij", basis, basis) + 1e-9 * np.eye(3)
    right = np.einsum("oip,aop->oia", basis, columns)
    return columns - np.einsum("oia,oip->aop", np.linalg.solve(normal, right), basis)


def _temperature(normal, right, teff_k, inside_k=60.0):
    """Return the temperature of the best pair of neighbors, and which end of the lists it is at."""
    gain, best_k = 0.0, np.nan
    for j in range(len(teff_k) - 1):
        pair = slice(j, j + 2)
        shares = _not_negative(normal[pair, pair], right[pair])
        if shares @ right[pair] > gain:
            gain, best_k = shares @ right[pair], shares @ teff_k[pair] / shares.sum()
    end = "cool" if best_k < teff_k[0] + inside_k else "hot" if best_k > teff_k[-1] - inside_k else ""
    return best_k, end


def _not_negative(normal, right):
    """Solve two equations; a share that would be negative is 0."""
    if normal[0, 0] <= 0 or normal[1, 1] <= 0:
        return np.zeros(2)
    shares = np.linalg.lstsq(normal, right, rcond=1e-12)[0]
    if shares.min() >= 0:
        return shares
    alone = np.maximum(right / np.diag(normal), 0.0)
    return alone * (np.arange(2) == np.argmax(alone * right))
