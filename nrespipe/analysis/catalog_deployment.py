"""The catalog of stars, for people: check one, and deploy it."""

from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from nrespipe import instruments
from nrespipe.files import layout
from nrespipe.files.catalog import target_check, targets

if TYPE_CHECKING:
    from nrespipe.frames.star import Star

_log = structlog.get_logger(__name__)


def check(path: Path | None = None) -> tuple[list[str], bool]:
    """Check a catalog of stars.

    Parameters
    ----------
    path
        The catalog; the one that came with the program by default.

    Returns
    -------
    lines : list of str
        Every defect with its line and column, then a summary.
    valid : bool
        Whether there is none.

    Raises
    ------
    OSError
        If the file cannot be read.
    """
    path = targets.installed() if path is None else path
    stars, defects = target_check.read(path)
    if defects:
        lines = [f"{path}: {defect}" for defect in defects]
        return [*lines, f"{len(defects)} defect{'s' * (len(defects) > 1)}"], False
    return [f"{path}: {len(stars)} stars, nothing wrong", *_unknown(stars)], True


def deploy(path: Path, output: Path, site: str = "") -> list[str]:
    """Put a catalog of stars where the reductions read it, and list the changes.

    Parameters
    ----------
    site
        ``lsc`` ...; '' for all sites that have no catalog of their own.

    Returns
    -------
    list of str
        Lines.

    Raises
    ------
    LookupError
        If there is no spectrograph at the site.
    ValueError
        If the catalog has a defect; then nothing is changed.
    """
    site, known = site_of(output, site), _sites(output)
    now, before = targets.read(path), _before(output, site)
    target = targets.deploy(path, output, site)
    own = [other for other in known if not site and targets.deployed(output, other).is_file()]
    lines = [f"{target}: {len(now)} stars, read from the next frame on", *_differences(before, now)]
    return lines + [f"{other} keeps a catalog of its own: {targets.deployed(output, other)}" for other in own]


def stars(output: Path, site: str = "") -> "tuple[Star, ...]":
    """Return the stars of the catalog that the reductions of a site use.

    Parameters
    ----------
    site
        ``lsc`` ...; '' for all sites that have no catalog of their own.

    Raises
    ------
    LookupError
        If the catalog was damaged since it was deployed.
    """
    path = targets.in_use(output, site)
    try:
        return targets.read(path)
    except ValueError as error:
        raise LookupError(f"the catalog of stars {path} cannot be used: {error}") from error


def site_of(output: Path, name: str) -> str:
    """Return a site by its name, in upper or lower case.

    Parameters
    ----------
    output
        Output directory, which may contain tables of more spectrographs.
    name
        ``lsc``, ``LSC`` ...; '' for all.

    Returns
    -------
    str
        ``lsc`` ...; '' for all.

    Raises
    ------
    LookupError
        If there is no spectrograph.
    """
    site, known = name.strip().lower(), _sites(output)
    if site and site not in known:
        raise LookupError(f"no spectrograph stands at {site}; sites: {', '.join(known)}")
    return site


def _sites(output: Path) -> list[str]:
    folder = layout.instruments(output)
    sites: set[str] = set()
    for name in instruments.names(folder):
        try:
            sites.add(instruments.load(name, folder).site)
        except ValueError as error:
            # the other sites still have a catalog
            _log.warning("the table of a spectrograph cannot be used", reason=str(error))
    return sorted(sites)


def _unknown(stars: "tuple[Star, ...]") -> list[str]:
    """Count the stars without each number that a reduction would use."""
    columns = ("pm_ra_mas_yr", "parallax_mas", "rv_kms", "v_mag", "teff_k", "logg", "metallicity")
    counts = [(column, sum(getattr(star, column) is None for star in stars)) for column in columns]
    told = ", ".join(f"{column}: {count}" for column, count in counts if count)
    return [f"without {told}"] if told else []


def _before(output: Path, site: str) -> "tuple[Star, ...]":
    """Return the stars of the present catalog of a site; none where it cannot be read."""
    try:
        return targets.read(targets.in_use(output, site))
    except (OSError, ValueError):
        return ()


def _differences(before: "tuple[Star, ...]", now: "tuple[Star, ...]") -> list[str]:
    old, new = ({star.name: star for star in stars} for stars in (before, now))
    parts = {
        "new": [name for name in new if name not in old],
        "changed": [name for name in new if name in old and new[name] != old[name]],
        "gone": [name for name in old if name not in new],
    }
    return [f"{word}: {', '.join(names)}" for word, names in parts.items() if names] or ["no star has changed"]
