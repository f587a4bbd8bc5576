"""Stars: their entries in a catalog, and the properties that a spectrum shows."""

import math
import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache

from nrespipe.frames.quality import Quality

_LISTED = "EPIC GJ GROOMBRIDGE HATP HD HIP HR KELT KEPLER KIC KOI LACAILLE LALANDE LHS LTT ROSS SAO TIC TOI WASP WOLF"
#: Catalogs of stars that are numbered, by what observers write for them: what follows the number is no part of a name
_CATALOGS = {name: name for name in _LISTED.split()} | {"GL": "GJ", "GLIESE": "GJ", "HIPPARCOS": "HIP"}
#: Catalogs whose sign before the first number is that of a declination
_SIGNED = "BD|CD|CPD|CP|SD"

#: Letters of Bayer by the three letters that SIMBAD has for them
_GREEK = {
    "ALF": "ALF ALPHA ALP", "BET": "BET BETA", "GAM": "GAM GAMMA", "DEL": "DEL DELTA", "EPS": "EPS EPSILON",
    "ZET": "ZET ZETA", "ETA": "ETA", "TET": "TET THETA THE", "IOT": "IOT IOTA", "KAP": "KAP KAPPA",
    "LAM": "LAM LAMBDA LAMDA", "MU": "MU", "NU": "NU", "KSI": "KSI XI", "OMI": "OMI OMICRON", "PI": "PI",
    "RHO": "RHO", "SIG": "SIG SIGMA", "TAU": "TAU", "UPS": "UPS UPSILON", "PHI": "PHI", "CHI": "CHI", "PSI": "PSI",
    "OME": "OME OMEGA",
}  # fmt: skip
_LETTERS = {spelling: code for code, spellings in _GREEK.items() for spelling in spellings.split()}
_GENITIVES = (
    "ANDROMEDAE AND ANTLIAE ANT APODIS APS AQUARII AQR AQUILAE AQL ARAE ARA ARIETIS ARI AURIGAE AUR BOOTIS BOO "
    "CAELI CAE CAMELOPARDALIS CAM CANCRI CNC CANUMVENATICORUM CVN CANISMAJORIS CMA CANISMINORIS CMI CAPRICORNI "
    "CAP CARINAE CAR CASSIOPEIAE CAS CENTAURI CEN CEPHEI CEP CETI CET CHAMAELEONTIS CHA CIRCINI CIR COLUMBAE COL "
    "COMAEBERENICES COM CORONAEAUSTRALIS CRA CORONAEBOREALIS CRB CORVI CRV CRATERIS CRT CRUCIS CRU CYGNI CYG "
    "DELPHINI DEL DORADUS DOR DRACONIS DRA EQUULEI EQU ERIDANI ERI FORNACIS FOR GEMINORUM GEM GRUIS GRU HERCULIS "
    "HER HOROLOGII HOR HYDRAE HYA HYDRI HYI INDI IND LACERTAE LAC LEONIS LEO LEONISMINORIS LMI LEPORIS LEP LIBRAE "
    "LIB LUPI LUP LYNCIS LYN LYRAE LYR MENSAE MEN MICROSCOPII MIC MONOCEROTIS MON MUSCAE MUS NORMAE NOR OCTANTIS "
    "OCT OPHIUCHI OPH ORIONIS ORI PAVONIS PAV PEGASI PEG PERSEI PER PHOENICIS PHE PICTORIS PIC PISCIUM PSC "
    "PISCISAUSTRINI PSA PUPPIS PUP PYXIDIS PYX RETICULI RET SAGITTAE SGE SAGITTARII SGR SCORPII SCO SCULPTORIS "
    "SCL SCUTI SCT SERPENTIS SER SEXTANTIS SEX TAURI TAU TELESCOPII TEL TRIANGULI TRI TRIANGULIAUSTRALIS TRA "
    "TUCANAE TUC URSAEMAJORIS UMA URSAEMINORIS UMI VELORUM VEL VIRGINIS VIR VOLANTIS VOL VULPECULAE VUL "
)
#: Abbreviation of each constellation by its genitive
_CONSTELLATIONS = dict(zip(_GENITIVES.split()[::2], _GENITIVES.split()[1::2]))
_IN = "|".join(sorted({*_CONSTELLATIONS, *_CONSTELLATIONS.values()}, key=len, reverse=True))
#: Letter with its number, number of Flamsteed or letters of a variable star; constellation; component
_IN_CONSTELLATION = re.compile(
    rf"(?:(?P<letter>{'|'.join(sorted(_LETTERS, key=len, reverse=True))})(?P<index>\d*)"
    rf"|(?P<other>\d+|[A-Z]{{1,2}}|V\d+))(?P<place>{_IN})(?P<component>[A-H]{{0,2}})"
)
_NUMBERED = re.compile(rf"(?P<catalog>{'|'.join(_CATALOGS)})(?P<number>\d[\d.]*)(?P<component>[A-H]{{0,2}})")
_ANY_NUMBER = re.compile(r".*[A-Z].*\d(?P<component>[A-H]{0,2})")
_COMPONENT = re.compile(r"[A-H][A-Ha-h]?")
#: Sources of light that are no stars: sunlight on bodies of known motion, and on the sky and on all other bodies
REFLECTED, SKY = "reflected", "sky"
#: How far apart two positions of one star can be, as telescopes point [arcsecond]
SAME_PLACE_ARCSEC = 10.0


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
        Source of the values; ``telescope`` for header coordinates, `REFLECTED` and `SKY` for the light of the Sun.
    template
        Star whose template measures this one; '' for the template of the star itself, else that of the nearest type.
    quality
        Flags of the identification, of a star that was observed.
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
    quality: Quality = Quality(0)


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


@lru_cache(maxsize=4096)
def name_key(name: str) -> str:
    """Return the form of a name by which stars are compared.

    Parameters
    ----------
    name
        As in OBJECTS or in a catalog.

    Returns
    -------
    str
        Upper case, without blanks, dots, leading zeros and hyphens before a number, the marks that SIMBAD puts before a
        name (``*``, ``V*``), the letter of a planet, and what an observer hung on the number of the star after an
        underscore, which is a blank elsewhere; Greek letters and constellations shortened as SIMBAD does:
        ``hd-010700``, ``HD_10700_templ`` and ``HD 10700 e`` are ``HD10700``, ``epsilon Eridani`` is ``EPSERI``.

    Notes
    -----
    A hyphen between two numbers and the sign of a declination tell stars apart: ``LP 944-20``, ``BD-05 1844``.
    """
    key = ""
    for part, was_hung_on in _parts(name):
        if was_hung_on and _has_its_number(key) and not _COMPONENT.fullmatch(part):
            # an observer's own words, or the number of the exposure
            break
        # two numbers stay apart
        key += f"-{part}" if key[-1:].isdigit() and part[:1].isdigit() else part
    return _spelled(key)


def primary_key(name: str) -> str:
    """Return the key of the star to which a companion belongs: ``HD102365`` for ``HD 102365 B``; else that of the name.

    Parameters
    ----------
    name
        As in `name_key`.
    """
    key = name_key(name)
    for pattern in (_IN_CONSTELLATION, _NUMBERED, _ANY_NUMBER):
        if found := pattern.fullmatch(key):
            return key.removesuffix(found["component"])
    words = name.split()
    return name_key(" ".join(words[:-1])) if len(words) > 1 and _COMPONENT.fullmatch(words[-1]) else key


def name_keys(star: Star) -> set[str]:
    """Return all names of a star in the form of `name_key`."""
    return {name_key(star.name), *map(name_key, star.aliases)}


def is_same_star(one: Star, other: Star, *, same_place_arcsec: float = 30.0) -> bool:
    """Return whether two entries have a name in common, however each of them spells it, and are at one place.

    Parameters
    ----------
    same_place_arcsec
        Largest distance of a star that is in no catalog from another one with its name: observers use a name, as
        ``target``, for many stars [arcsecond].
    """
    if not name_keys(one) & name_keys(other):
        return False
    return "telescope" not in (one.source, other.source) or not apart_arcsec(one, other) > same_place_arcsec


def apart_arcsec(one: Star, other: Star) -> float:
    """Return the angle between two stars as they are in their catalogs [arcsecond]; NaN without two positions."""
    if one.ra_deg is None or one.dec_deg is None or other.ra_deg is None or other.dec_deg is None:
        return float("nan")
    ra, dec = math.radians(one.ra_deg - other.ra_deg), (math.radians(one.dec_deg), math.radians(other.dec_deg))
    haversine = math.sin((dec[0] - dec[1]) / 2) ** 2 + math.cos(dec[0]) * math.cos(dec[1]) * math.sin(ra / 2) ** 2
    return math.degrees(2 * math.asin(math.sqrt(min(haversine, 1.0)))) * 3600


def _parts(name: str) -> list[tuple[str, bool]]:
    """Return the words of a name without the letter of a planet, and whether each follows an underscore."""
    name = re.sub(r"[\u2010-\u2015\u2212]", "-", unicodedata.normalize("NFKC", name))
    name = re.sub(r"^\s*(V\*|\*+|NAME\b)\s*", "", re.sub(r"['`\u2018\u2019\"]", "", name))
    name = "".join(_latin(letter) for letter in name)
    if name != name.lower():
        # the letter of a planet is small, that of a star a capital
        name = re.sub(r"(?<=\d)[b-h](?=$|_)|(?<=[\s_])[b-h](?=$|_)", "", name)
    return [(word, "_" in between) for between, word in re.findall(r"([\s_]*)([^\s_]+)", name.upper())]


def _latin(letter: str) -> str:
    """Spell a Greek letter out."""
    if not "\u0370" <= letter <= "\u03ff":
        return letter
    word = unicodedata.name(letter, "").split(" WITH ")[0].split(" ")[-1]
    return word if word in _LETTERS else letter


def _has_its_number(key: str) -> bool:
    """Return whether a part of a name is the whole name of a star already."""
    word = _spelled(key)
    return bool(_NUMBERED.fullmatch(word) or _IN_CONSTELLATION.fullmatch(word))


def _spelled(word: str) -> str:
    """Return a name without blanks in the one spelling that all spellings share."""
    word = re.sub(r"(?<!\d)\.|\.(?!\d)", "", word)
    signed = re.match(rf"({_SIGNED})([+-])(?=\d)", word)
    head, tail = (word[: signed.end()], word[signed.end() :]) if signed else ("", word)
    # a hyphen means something between two numbers only; a number has no zeros before it
    tail = re.sub(r"(?<!\d)-|-(?!\d)", "", tail)
    word = head + re.sub(r"(?<![\d.])0+(?=\d)", "", tail)
    if found := re.fullmatch(rf"({'|'.join(_CATALOGS)})(\d.*)", word):
        number = re.sub(r"\.0\d$", "", found[2]) if found[1] in ("TOI", "KOI") else found[2]
        return _CATALOGS[found[1]] + number
    if found := _IN_CONSTELLATION.fullmatch(word):
        letter = _LETTERS[found["letter"]] + found["index"] if found["letter"] else found["other"]
        return letter + _CONSTELLATIONS.get(found["place"], found["place"]) + found["component"]
    return word
