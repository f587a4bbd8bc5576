"""Stars: what is observed, and the light that a star sends."""

import zlib
from dataclasses import dataclass, field, replace
from functools import lru_cache

import numpy as np

from nrespipe import data
from nrespipe.frames.velocity import Star
from nrespipe.simulator import light
from nrespipe.simulator.bench import C_MS

#: Spacing of the grid of ln(wavelength) on which spectra are made: 0.25 km / s.
STEP = 250.0 / C_MS

_START, _END = 3700.0, 9250.0

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


@dataclass(frozen=True)
class Target:
    """A star in a fiber.

    Attributes
    ----------
    star : Star
        Name, coordinates, proper motion.
    spectral_type : str
        One of ``data.stellar_types``.
    rv_ms : float
        Barycentric radial velocity [m / s].
    vsini_kms : float
        Projected rotation [km / s].
    snr : float
        Median signal-to-noise ratio per extracted pixel in the orders 85-95.
    """

    star: Star
    spectral_type: str
    rv_ms: float
    vsini_kms: float = 2.0
    snr: float = 100.0


@dataclass(frozen=True)
class Exposure:
    """One stellar exposure.

    Attributes
    ----------
    targets : mapping of int to Target
        By star fiber.
    exposure_s : float
        Exposure time [second].
    """

    targets: dict[int, Target] = field(default_factory=dict)
    exposure_s: float = 600.0


def parse(text, catalog=None, *, exposure_s=600.0):
    """Make an exposure of a short description.

    Parameters
    ----------
    text : str
        ``name[:snr[:fiber]]``; two stars at once are joined by a plus: ``HD102365:100+HD10700:80``. A single star goes
        to fiber 0 unless told; of two, the second goes to fiber 2.
    catalog : mapping of str to Star, optional
        Where to look for a star first; after that the simulator's own table; else one is made up of its name.
    exposure_s : float, optional
        Exposure time [second].

    Returns
    -------
    Exposure

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


def target(name, catalog=None):
    """Return a star by name.

    Parameters
    ----------
    name : str
        Name; a star that nobody knows is made up of it, the same every time.
    catalog : mapping of str to Star, optional
        Where to look first.

    Returns
    -------
    Target
        At signal-to-noise ratio 100.
    """
    key = _key(name)
    rng = np.random.default_rng(zlib.crc32(key.encode()))
    star = (catalog or {}).get(name) or (catalog or {}).get(key) or _listed(name, key) or _invented(name, rng)
    letter = (star.spectral_type or "G2")[:2]
    rv_ms = star.rv_kms * 1e3 if star.rv_kms is not None else rng.uniform(-40e3, 40e3)
    kind = _nearest_type(letter)
    if star.ra_deg is None or star.dec_deg is None:
        star = _invented(name, rng)
    return Target(replace(star, name=name), kind, rv_ms, vsini_kms=rng.uniform(1.5, 7.0 if kind == "F5" else 3.5))


def _key(name):
    """The name without blanks and without what an observer hung on it."""
    return name.upper().replace(" ", "").split("_")[0]


def _listed(name, key):
    if key not in _STARS:
        return None
    ra, dec, pm_ra, pm_dec, parallax, rv, v_mag, kind = _STARS[key]
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
        spectral_type=str(rng.choice(data.stellar_types())),
        source="simulator",
    )


def _nearest_type(letter):
    scale = lambda kind: "OBAFGKM".index(kind[0]) * 10 + int(kind[1] if kind[1:2].isdigit() else 5)  # noqa: E731
    if letter[:1] not in "OBAFGKM":
        return "G2"
    return min(data.stellar_types(), key=lambda kind: abs(scale(kind) - scale(letter)))


@lru_cache(maxsize=6)
def rest_spectrum(spectral_type, vsini_kms, seed):
    """Return the normalized spectrum of a star at rest.

    Parameters
    ----------
    spectral_type : str
        One of ``data.stellar_types``.
    vsini_kms : float
        Projected rotation [km / s].
    seed : int
        Of what makes this star differ from its line list: depths by 7 percent, and faint lines that no list has.

    Returns
    -------
    ndarray of float
        Light relative to the continuum, at ``ln(3700) + STEP * k``.
    """
    mask, rng = data.stellar_lines(spectral_type), np.random.default_rng([seed, 3])
    depth = np.clip(mask.depth * (1 + 0.07 * rng.standard_normal(len(mask.depth))), 0.001, 0.985)
    count = 2 * len(depth)
    wavelength = np.concatenate(
        [mask.vacuum_angstrom, rng.choice(mask.vacuum_angstrom, count) + rng.normal(0, 4, count)]
    )
    depth = np.concatenate([depth, np.minimum(rng.exponential(0.015, count), 0.1)])
    thickness = np.zeros(int(np.log(_END / _START) / STEP))
    sigma_ms = rng.uniform(1900.0, 2300.0)
    light.add_gaussians(thickness, np.log(wavelength / _START) / STEP, -np.log1p(-depth), sigma_ms / C_MS / STEP)
    return _rotated(np.exp(-thickness), vsini_kms * 1e3 / C_MS / STEP)


def _rotated(spectrum, half_width):
    """Broaden by a rotating disk with limb darkening 0.6 (Gray 2005, eq. 18.14); `half_width` in samples."""
    n = int(np.ceil(half_width))
    if n < 1:
        return spectrum
    # each sample of the kernel is its mean over the sample, so a narrow kernel keeps its area and its symmetry
    fine = (np.arange(-20 * n - 10, 20 * n + 10) + 0.5) / 20 / half_width
    inside = np.clip(1 - fine**2, 0, None)
    kernel = (2 * 0.4 * np.sqrt(inside) + np.pi / 2 * 0.6 * inside).reshape(-1, 20).mean(axis=1)
    return np.convolve(spectrum, kernel / kernel.sum(), mode="same")


@lru_cache(maxsize=2)
def _telluric_thickness():
    """Optical thickness at airmass 1 on the grid of spectra; the same above every site."""
    bands, rng = data.tellurics(), np.random.default_rng(760)
    width = bands.end_angstrom - bands.start_angstrom
    lines_each = np.maximum(1, np.round(width / 0.9)).astype(int)
    which = np.repeat(np.arange(len(width)), lines_each)
    center = bands.start_angstrom[which] + width[which] * np.where(
        lines_each[which] == 1, 0.5, rng.uniform(0.05, 0.95, len(which))
    )
    # a band that the mask gives more room has the deeper lines
    strength = np.minimum(rng.exponential(0.25 + 1.5 * np.minimum(width[which], 0.5)), 4.0)
    thickness = np.zeros(int(np.log(_END / _START) / STEP))
    light.add_gaussians(thickness, np.log(center / _START) / STEP, strength, 1500.0 / C_MS / STEP)
    return thickness


def temperature_k(target):
    """Return the temperature that colours the continuum of a star.

    Parameters
    ----------
    target : Target

    Returns
    -------
    float
        Effective temperature of its type [kelvin].
    """
    return data.stellar_lines(target.spectral_type).teff_k


def transmission(wavelength_angstrom, airmass):
    """Return what the atmosphere lets through.

    Parameters
    ----------
    wavelength_angstrom : ndarray of float
        Vacuum, frame of the observatory [angstrom].
    airmass : float

    Returns
    -------
    ndarray of float
        1 outside the telluric intervals.
    """
    places = np.log(np.ravel(wavelength_angstrom))
    thickness = light.sampled(_telluric_thickness(), np.log(_START), STEP, places)
    return np.exp(-airmass * thickness).reshape(np.shape(wavelength_angstrom))


def seen(target, wavelength_angstrom, berv_ms):
    """Return a star's spectrum at wavelengths of the observatory.

    Parameters
    ----------
    target : Target
    wavelength_angstrom : ndarray of float
        Vacuum wavelength in the frame of the observatory [angstrom].
    berv_ms : float
        Barycentric correction, as in ``Barycentric.berv_ms`` [m / s].

    Returns
    -------
    ndarray of float
        Light relative to the continuum.
    """
    spectrum = rest_spectrum(target.spectral_type, target.vsini_kms, zlib.crc32(_key(target.star.name).encode()))
    shift = np.log1p(target.rv_ms / C_MS) - np.log1p(berv_ms / C_MS)
    places = np.log(np.ravel(wavelength_angstrom)) - shift
    return light.sampled(spectrum, np.log(_START), STEP, places).reshape(np.shape(wavelength_angstrom))
