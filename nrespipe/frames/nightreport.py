"""What became of one night at one site."""

from dataclasses import dataclass


@dataclass(frozen=True)
class NightReport:
    """What the summary of a night tells.

    Attributes
    ----------
    site, day
        ``lsc``, ``YYYYMMDD``.
    counts
        Kind of frame, state, number.
    unhappy
        Name, state and reason of every frame that is not done.
    masters
        Name, standing, number of inputs of every master of the night, and what was said of it.
    stars
        For every star of every frame: filename, fiber, object, v_mag (None where unknown), exposure_s, snr, rv_ms,
        rv_err_ms (None where not measured), quality (list of words).
    drifts
        For every frame: mid_mjd, velocity_ms, velocity_err_ms, pressure_psi, temperature_c; None where not measured.
    """

    site: str
    day: str
    counts: tuple[tuple[str, str, int], ...]
    unhappy: tuple[tuple[str, str, str], ...]
    masters: tuple[tuple[str, str, int, str], ...]
    stars: tuple[dict, ...]
    drifts: tuple[dict, ...]
