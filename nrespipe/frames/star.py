"""Stars: what a catalog knows of them, and what their spectra show."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Star:
    """A star as a catalog knows it; None for what is not known.

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
        Where the figures come from; ``telescope`` for header coordinates.
    template
        Star whose template is to be used for this one; '' leaves the choice to the program: the star's own, else that
        of the nearest type.
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
        Projected velocity of rotation and its error; where it does not stand out of the other broadening of the lines
        it is 0, and the error is the largest that may hide in it [m / s].
    reason
        Why there is no temperature, or why its error is large; '' otherwise.
    """

    teff_k: float = float("nan")
    teff_error_k: float = float("inf")
    spectral_type: str = ""
    vsini_ms: float = float("nan")
    vsini_error_ms: float = float("inf")
    reason: str = ""


@dataclass(frozen=True)
class Index:
    """One number that follows the activity of a star.

    Attributes
    ----------
    name
        ``s_index``, ``h_alpha`` ...
    value, error
        The number and its error, NaN and infinite where it could not be measured.
    unit
        '' for a pure number.
    reason
        Why it could not be measured; '' where it could.
    """

    name: str
    value: float = float("nan")
    error: float = float("inf")
    unit: str = ""
    reason: str = ""
