"""Simulated stars: a table of real ones, made-up ones, and the words in which a user asks for an exposure."""

import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from nrespipe import data
from nrespipe.engine.star import stellar_type
from nrespipe.frames.star import Star, name_key

# Stars whose coordinates the simulator knows: RA, Dec [degree, ICRS, epoch 2000], proper motion with cos(dec)
# [mas / yr], parallax [mas], radial velocity [km / s], V, type; rounded catalog values.
_STARS = {
    "HD10700": (26.01701, -15.93748, -1721.05, 854.16, 273.96, -16.68, 3.50, "G8V"),
    "HD16160": (39.02043, 6.88679, 1806.3, 1442.5, 138.2, 25.874, 5.80, "K3V"),
    "HD20794": (49.98188, -43.06978, 3038.3, 726.6, 165.5, 87.80, 4.26, "G8V"),
    "HD22049": (53.23269, -9.45826, -975.2, 19.5, 310.9, 16.40, 3.73, "K2V"),
    "HD26965": (63.81800, -7.65287, -2240.1, -3420.3, 200.6, -42.30, 4.43, "K0V"),
    "HD61421": (114.82550, 5.22499, -714.6, -1036.8, 284.6, -3.20, 0.37, "F5IV"),
    "HD76151": (133.57477, -5.43446, -412.0, 30.0, 59.4, 32.036, 6.00, "G3V"),
    "HD102365": (176.62947, -40.50036, -1530.6, 403.5, 108.5, 16.90, 4.88, "G2V"),
    "HD115617": (199.60131, -18.31120, -1070.4, -1063.7, 116.9, -8.10, 4.74, "G7V"),
    "HD126053": (215.81369, 1.24157, 223.0, -478.0, 57.0, -29.68, 6.20, "G1V"),
    "HD201091": (316.72475, 38.74942, 4168.3, 3269.2, 285.9, -65.90, 5.21, "K5V"),
    "HD202560": (319.31362, -38.86736, -3258.9, -1145.4, 251.9, 20.60, 6.68, "M0V"),
    "HD217014": (344.36659, 20.76883, 207.3, 60.3, 64.6, -33.20, 5.49, "G5V"),
}


#: Types that stars are made of.
_KINDS = ("F5", "G2", "K2", "K5", "M0")


@dataclass(frozen=True)
class Target:
    """A star in a fiber.

    Attributes
    ----------
    star
        Name, coordinates, proper motion.
    spectral_type
        One of ``data.stellar_types``.
    rv_ms
        Barycentric radial velocity [m / s].
    vsini_kms
        Projected rotation [km / s].
    snr
        Median signal-to-noise ratio per extracted pixel in the orders 85-95.
    emission
        Height of the emission in the cores of Ca H and K, relative to the continuum.
    """

    star: Star
    spectral_type: str
    rv_ms: float
    vsini_kms: float = 2.0
    snr: float = 100.0
    emission: float = 0.06


@dataclass(frozen=True)
class Exposure:
    """One stellar exposure.

    Attributes
    ----------
    targets
        By star fiber.
    exposure_s
        Exposure time [second].
    """

    targets: dict[int, Target] = field(default_factory=dict)
    exposure_s: float = 600.0


def parse(text: str, catalog: Mapping[str, Star] | None = None, *, exposure_s: float = 600.0) -> Exposure:
    """Make an exposure of a short description.

    Parameters
    ----------
    text
        ``name[:snr[:fiber]]``; two stars at once are joined by a plus: ``HD102365:100+HD10700:80``. A single star goes
        to fiber 0 unless told; of two, the second goes to fiber 2.
    catalog
        Where to look for a star first; after that the simulator's own table; else one is made up of its name.
    exposure_s
        Exposure time [second].

    Raises
    ------
    ValueError
        If the text cannot be understood.
    """
    targets = {}
    for index, item in enumerate(text.split("+")):
        name, *rest = (word.strip() for word in item.split(":"))
        try:
            snr = float(rest[0]) if rest else 100.0
            fiber = int(rest[1]) if len(rest) > 1 else 2 * index
        except ValueError as error:
            raise ValueError(f"cannot read {item!r} as name[:snr[:fiber]]") from error
        if not name or len(rest) > 2 or fiber in targets or not 0 < snr < 1e5:
            raise ValueError(f"cannot read {item!r} as name[:snr[:fiber]]")
        targets[fiber] = replace(target(name, catalog), snr=snr)
    return Exposure(targets, exposure_s)


def target(name: str, catalog: Mapping[str, Star] | None = None) -> Target:
    """Return a star by name.

    Parameters
    ----------
    name
        Name; a star that nobody knows is made up of it, the same every time.
    catalog
        Where to look first.

    Returns
    -------
    Target
        At signal-to-noise ratio 100.
    """
    known_as = name_key(name)
    rng = np.random.default_rng(zlib.crc32(known_as.encode()))
    star = (catalog or {}).get(name) or (catalog or {}).get(known_as) or _listed(name, known_as) or _invented(name, rng)
    rv_ms = star.rv_kms * 1e3 if star.rv_kms is not None else rng.uniform(-40e3, 40e3)
    kind = _nearest_type(star)
    if star.ra_deg is None or star.dec_deg is None:
        star = _invented(name, rng)
    return Target(replace(star, name=name), kind, rv_ms, vsini_kms=rng.uniform(1.5, 7.0 if kind == "F5" else 3.5))


def _listed(name, known_as):
    if known_as not in _STARS:
        return None
    ra, dec, pm_ra, pm_dec, parallax, rv, v_mag, kind = _STARS[known_as]
    return Star(
        name=name,
        ra_deg=ra,
        dec_deg=dec,
        pm_ra_mas_yr=pm_ra,
        pm_dec_mas_yr=pm_dec,
        parallax_mas=parallax,
        rv_kms=rv,
        v_mag=v_mag,
        spectral_type=kind,
        source="simulator",
    )


def _invented(name, rng):
    return Star(
        name=name,
        ra_deg=rng.uniform(0, 360),
        dec_deg=rng.uniform(-60, 30),
        pm_ra_mas_yr=rng.normal(0, 200),
        pm_dec_mas_yr=rng.normal(0, 200),
        parallax_mas=rng.uniform(10, 60),
        rv_kms=rng.uniform(-40, 40),
        v_mag=rng.uniform(5, 9),
        spectral_type=str(rng.choice(_KINDS)),
        source="simulator",
    )


def _nearest_type(star):
    """Return the type of the list of lines that is nearest in temperature, as the velocity is measured with it."""
    teff_k = stellar_type.catalog_temperature(star)
    if teff_k is None:
        return "G2"
    return min(_KINDS, key=lambda kind: abs(data.stellar_lines(kind).teff_k - teff_k))
