"""The catalog of stars: where it is deployed, and the stars of a frame."""

import os
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from nrespipe.files.atomic_files import temporary_path
from nrespipe.files.catalog import star_match, target_check
from nrespipe.frames.velocity import Star

if TYPE_CHECKING:
    from nrespipe.frames.raw import RawFrame, Telescope
    from nrespipe.frames.spectrograph import Fibers

#: Name of a catalog wherever one lies
FILENAME = "targets.csv"


def installed() -> Path:
    """Return the catalog that came with the program.

    Returns
    -------
    Path
        ``targets.csv`` beside this module in an installed package, at the top of the repository otherwise.
    """
    beside = Path(__file__).with_name(FILENAME)
    return beside if beside.is_file() else Path(__file__).parents[3] / FILENAME


def deployed(output: str | Path, site: str = "") -> Path:
    """Return the path of a deployed catalog.

    Parameters
    ----------
    site
        ``lsc`` ...; '' for all sites that have no catalog of their own.

    Returns
    -------
    Path
        It need not exist.
    """
    return Path(output, site, FILENAME)


def in_use(output: str | Path, site: str) -> Path:
    """Return the catalog that the frames of a site are reduced with.

    Parameters
    ----------
    site
        ``lsc`` ...

    Returns
    -------
    Path
        That of the site, else that of all sites, else the one that came with the program.
    """
    return next((path for path in (deployed(output, site), deployed(output)) if path.is_file()), installed())


def deploy(path: str | Path, output: str | Path, site: str = "") -> Path:
    """Put a catalog where the reductions of a site, or of all sites, read it.

    Parameters
    ----------
    site
        ``lsc`` ...; '' for all sites that have no catalog of their own.

    Returns
    -------
    Path
        The deployed file. The next frame that is reduced uses it; a reader never sees a part.

    Raises
    ------
    ValueError
        If it is not a valid catalog; nothing is changed then.
    """
    read(path)
    target = deployed(output, site)
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = temporary_path(target)
    try:
        with partial.open("wb") as stream:
            stream.write(Path(path).read_bytes())
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(partial, target)
    finally:
        partial.unlink(missing_ok=True)
    return target


def read(path: Path | str) -> tuple[Star, ...]:
    """Read a catalog of stars.

    Parameters
    ----------
    path
        A CSV file as ``target_check.read`` takes it.

    Returns
    -------
    tuple of Star
        In the order of the file.

    Raises
    ------
    ValueError
        If the file is not a valid catalog; the message names the file and all its defects.
    """
    path = Path(path)
    known = path.stat()
    stars: tuple[Star, ...] = _read(path, known.st_mtime_ns, known.st_size, known.st_ino)
    return stars


# a catalog that is deployed while the service runs is another file
@lru_cache(maxsize=8)
def _read(path: Path, *_state: int) -> tuple[Star, ...]:
    stars, defects = target_check.read(path)
    if defects:
        raise ValueError(f"{path.name}: {'; '.join(map(str, defects))}")
    return stars


def stars(raw: "RawFrame", fibers: "Fibers", catalog: Iterable[Star] | None = None) -> dict[int, Star]:
    """Return the stars of a frame.

    Parameters
    ----------
    fibers
        Those of its spectrograph.
    catalog
        Stars to choose from; the catalog that came with the program by default.

    Returns
    -------
    dict of int to Star
        By star fiber. A star in no catalog has the coordinates of its telescope's header and the source
        ``telescope``; without those it has none.
    """
    catalog = read(installed()) if catalog is None else catalog
    julian_year = 2000.0 + (raw.start_mjd - 51544.5) / 365.25
    found = {}
    for fiber in raw.star_fibers:
        telescope = _telescope(raw, fiber, fibers.by_telescope)
        ra_deg, dec_deg = _pointing(telescope)
        known = star_match.match(catalog, raw.objects[fiber], ra_deg, dec_deg, julian_year)
        found[fiber] = known or _from_header(raw.objects[fiber], telescope, julian_year)
    return found


def _telescope(raw: "RawFrame", fiber: int, fed: tuple[int, ...]) -> "Telescope | None":
    """Return the telescope that feeds a fiber; of a frame with one star, whichever has coordinates."""
    number = fed.index(fiber) if fiber in fed else 0
    own = raw.telescopes[number] if number < len(raw.telescopes) else None
    if _pointing(own)[0] is not None or len(raw.star_fibers) > 1:
        return own
    return next((other for other in raw.telescopes if _pointing(other)[0] is not None), own)


def _pointing(telescope: "Telescope | None") -> tuple[float, float] | tuple[None, None]:
    """Return the position at which a telescope pointed, or was asked to point."""
    if telescope is None:
        return None, None
    for ra_deg, dec_deg in (
        (telescope.ra_deg, telescope.dec_deg),
        (telescope.catalog_ra_deg, telescope.catalog_dec_deg),
    ):
        if ra_deg is not None and dec_deg is not None:
            return ra_deg, dec_deg
    return None, None


def _from_header(name: str, telescope: "Telescope | None", julian_year: float) -> Star:
    """Return a star by the header of the telescope."""
    ra_deg, dec_deg = _pointing(telescope)
    if telescope is None or ra_deg is None:
        return Star(name, source="telescope")
    if telescope.catalog_ra_deg is None or telescope.catalog_dec_deg is None:
        return Star(name, ra_deg, dec_deg, julian_year, source="telescope")
    # the header's proper motion in right ascension lacks the cosine of the declination
    cosine = np.cos(np.radians(telescope.catalog_dec_deg))
    motion = telescope.pm_ra_mas_yr
    return Star(
        name=name,
        ra_deg=telescope.catalog_ra_deg,
        dec_deg=telescope.catalog_dec_deg,
        pm_ra_mas_yr=None if motion is None else float(motion * cosine),
        pm_dec_mas_yr=telescope.pm_dec_mas_yr,
        parallax_mas=telescope.parallax_mas,
        source="telescope",
    )
