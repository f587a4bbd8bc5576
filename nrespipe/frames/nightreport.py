"""What became of one night at one site."""

from dataclasses import dataclass


@dataclass(frozen=True)
class NightReport:
    """What the summary of a night tells.

    Attributes
    ----------
    site, day : str
        ``lsc``, ``YYYYMMDD``.
    counts : tuple of (str, str, int)
        Kind of frame, state, number.
    unhappy : tuple of (str, str, str)
        Name, state and reason of every frame that is not done.
    masters : tuple of (str, str, int, str)
        Name, standing, number of inputs of every master of the night, and what was said of it.
    stars : tuple of dict
        For every star of every frame: filename, fiber, object, v_mag (None where unknown), exposure_s, snr, rv_ms,
        rv_err_ms (None where not measured), quality (list of words).
    drifts : tuple of dict
        For every frame: mid_mjd, velocity_ms, velocity_err_ms, pressure_psi, temperature_c; None where not measured.
    """

    site: str
    day: str
    counts: tuple[tuple[str, str, int], ...]
    unhappy: tuple[tuple[str, str, str], ...]
    masters: tuple[tuple[str, str, int, str], ...]
    stars: tuple[dict, ...]
    drifts: tuple[dict, ...]
