"""Stars: their entries in a catalog, and the properties that a spectrum shows."""

import re
from dataclasses import dataclass

#: Catalogs whose stars are numbered, with what observers write for them
_NUMBERED = re.compile(r"(HD|HIP|HR|GJ|GL|GLIESE|SAO|TIC|LHS)-?0*(\d.*)")

#: Letters of Bayer by the three letters that SIMBAD has for them
_GREEK = {
    "ALF": "ALF ALPHA ALP", "BET": "BET BETA", "GAM": "GAM GAMMA", "DEL": "DEL DELTA", "EPS": "EPS EPSILON",
    "ZET": "ZET ZETA", "ETA": "ETA", "TET": "TET THETA THE", "IOT": "IOT IOTA", "KAP": "KAP KAPPA",
    "LAM": "LAM LAMBDA", "MU": "MU", "NU": "NU", "KSI": "KSI XI", "OMI": "OMI OMICRON", "PI": "PI", "RHO": "RHO",
    "SIG": "SIG SIGMA", "TAU": "TAU", "UPS": "UPS UPSILON", "PHI": "PHI", "CHI": "CHI", "PSI": "PSI",
    "OME": "OME OMEGA",
}  # fmt: skip
_LETTERS = {spelling: code for code, spellings in _GREEK.items() for spelling in spellings.split()}
#: Letter, number of the component, constellation
_BAYER = re.compile(rf"({'|'.join(sorted(_LETTERS, key=len, reverse=True))})(\d*)([A-Z]{{3}}[AB]?)")


@dataclass(frozen=True)
class Star:
    """Catalog entry of a star; None for unknown values.

    Attributes
    ----------
    name
        Name in the catalog, or OBJECTS where the star is in no catalog.
    ra_deg, dec_deg
        ICRS position at `epoch_year` [degree].
    epoch_year
        Julian year of the position.
    pm_ra_mas_yr, pm_dec_mas_yr
        Proper motion, RA **with** cos(dec) [mas / yr].
    parallax_mas
        Parallax [mas].
    rv_kms
        Systemic radial velocity [km / s].
    v_mag, teff_k, logg, metallicity
        Johnson V, effective temperature [kelvin], log surface gravity [cgs], [Fe/H].
    spectral_type
        '' where unknown.
    aliases
        Other names.
    source
        Source of the values; ``telescope`` for header coordinates.
    template
        Star whose template measures this one; '' for the template of the star itself, else that of the nearest type.
    """

    name: str
    ra_deg: float | None = None
    dec_deg: float | None = None
    epoch_year: float = 2000.0
    pm_ra_mas_yr: float | None = None
    pm_dec_mas_yr: float | None = None
    parallax_mas: float | None = None
    rv_kms: float | None = None
    v_mag: float | None = None
    teff_k: float | None = None
    logg: float | None = None
    metallicity: float | None = None
    spectral_type: str = ""
    aliases: tuple[str, ...] = ()
    source: str = ""
    template: str = ""


@dataclass(frozen=True)
class StellarType:
    """Temperature, spectral type and rotation of a star, from its lines.

    Attributes
    ----------
    teff_k, teff_error_k
        Effective temperature and its error [kelvin].
    spectral_type
        Subtype of a dwarf of that temperature, as ``G2``; '' where there is no temperature.
    vsini_ms, vsini_error_ms
        Projected velocity of rotation and its error; 0 where the other broadening of the lines hides it, and then the
        error is its upper limit [m / s].
    reason
        Reason why there is no temperature, or why its error is large; '' otherwise.
    """

    teff_k: float = float("nan")
    teff_error_k: float = float("inf")
    spectral_type: str = ""
    vsini_ms: float = float("nan")
    vsini_error_ms: float = float("inf")
    reason: str = ""


@dataclass(frozen=True)
class Index:
    """One index of the activity of a star.

    Attributes
    ----------
    name
        ``s_index``, ``h_alpha`` ...
    value, error
        The number and its error, NaN and infinite where it could not be measured.
    unit
        '' for a pure number.
    reason
        Reason why it could not be measured; '' where it could.
    """

    name: str
    value: float = float("nan")
    error: float = float("inf")
    unit: str = ""
    reason: str = ""


def name_key(name: str) -> str:
    """Return the form of a name by which stars are compared.

    Parameters
    ----------
    name
        As in OBJECTS or in a catalog.

    Returns
    -------
    str
        Upper case, without blanks, dots, leading zeros and hyphens of a number, the marks that SIMBAD puts before a
        name (``*``, ``V*``) and what an observer hung on it after an underscore; Greek letters shortened as SIMBAD
        does: ``hd-010700`` is ``HD10700``, ``epsilon Eri`` is ``EPSERI``.
    """
    word = re.sub(r"^(V\*|\*+)\s", "", name.split("_")[0].strip().upper())
    word = re.sub(r"\s+|(?<!\d)\.|\.(?!\d)", "", word)
    if numbered := _NUMBERED.fullmatch(word):
        catalog, number = numbered.groups()
        return ("GJ" if catalog.startswith("GL") else catalog) + number
    if bayer := _BAYER.fullmatch(word):
        letter, number, constellation = bayer.groups()
        return _LETTERS[letter] + number.lstrip("0") + constellation
    return word


def name_keys(star: Star) -> set[str]:
    """Return all names of a star in the form of `name_key`."""
    return {name_key(star.name), *map(name_key, star.aliases)}


def is_same_star(one: Star, other: Star) -> bool:
    """Return whether two entries have a name in common, however each of them spells it."""
    return bool(name_keys(one) & name_keys(other))
