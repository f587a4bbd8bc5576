"""The catalog of stars: where it is deployed, and the stars of a frame."""

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nrespipe.files.atomic_files import temporary_path
from nrespipe.files.catalog import solar_system, star_match, target_check
from nrespipe.files.catalog.star_match import Position
from nrespipe.frames.quality import Quality
from nrespipe.frames.raw import Telescope
from nrespipe.frames.star import Star

if TYPE_CHECKING:
    from nrespipe.frames.raw import RawFrame
    from nrespipe.frames.spectrograph import Fibers

#: Name of a catalog wherever one lies
FILENAME = "targets.csv"
_KMS_PER_AU_YR = 4.74047


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
        By star fiber, with the flags of its identification. A star in no catalog has the coordinates of the header of
        the telescope that feeds the fiber, and the source ``telescope``; without those it has none. Where its name is
        that of a star elsewhere, it is named by its place.
    """
    catalog = read(installed()) if catalog is None else tuple(catalog)
    julian_year = 2000.0 + (raw.start_mjd - 51544.5) / 365.25
    return {
        fiber: _star(raw.objects[fiber], _telescope(raw, fiber, fibers), catalog, julian_year)
        for fiber in raw.star_fibers
    }


def _telescope(raw: "RawFrame", fiber: int, fibers: "Fibers") -> Telescope:
    """Return the telescope that feeds a fiber, never another one: it looks at another place."""
    fed = fibers.by_telescope
    number = fed.index(fiber) if fiber in fed else len(raw.telescopes)
    own = raw.telescopes[number] if number < len(raw.telescopes) else None
    if own is None and len(fibers.star) == 1:
        # the only telescope feeds whatever fiber has the star
        own = next((other for other in raw.telescopes if other is not None), None)
    return own or Telescope()


def _star(name: str, telescope: Telescope, catalog: Sequence[Star], julian_year: float) -> Star:
    """Return the star that a telescope observed under a name, with the flags of its identification."""
    other = solar_system.recognised(name) or solar_system.recognised(telescope.object_name or "")
    if other is not None:
        return other
    names = [name, telescope.object_name] if telescope.object_name else [name]
    places = []
    if telescope.ra_deg is not None and telescope.dec_deg is not None:
        places.append(Position(telescope.ra_deg, telescope.dec_deg, julian_year))
    if telescope.catalog_ra_deg is not None and telescope.catalog_dec_deg is not None:
        epoch = telescope.catalog_epoch_year
        year = epoch if epoch is not None and target_check.is_possible("epoch_year", epoch) else 2000.0
        places.append(Position(telescope.catalog_ra_deg, telescope.catalog_dec_deg, year))
    known, quality = star_match.identify(catalog, names, places, julian_year)
    if known is not None:
        return replace(known, quality=quality)
    star = _from_header(name, telescope, places, julian_year)
    if quality and star.ra_deg is not None and star.dec_deg is not None:
        # its name is that of another star
        star = replace(star, name=_by_place(star.ra_deg, star.dec_deg))
    return replace(star, source="telescope", quality=star.quality | quality)


def _from_header(name: str, telescope: Telescope, places: Sequence[Position], julian_year: float) -> Star:
    """Return a star that no catalog has by the header of its telescope: as requested, if the telescope pointed there.

    A proper motion or parallax that no star has is not used; nor is a motion that leads away from the pointing.
    """
    if not places:
        return Star(name)
    at, requested = places[0], places[-1]
    motion, quality = _motion(telescope)
    resting = Star(name, requested.ra_deg, requested.dec_deg, requested.year)
    star = replace(resting, **motion)
    if star_match.separation_arcsec(star, at.ra_deg, at.dec_deg, julian_year) < star_match.NAMED_ARCSEC:
        return replace(star, quality=quality)
    if star_match.from_path_arcsec(resting, at, julian_year) < star_match.NAMED_ARCSEC:
        return replace(resting, quality=Quality.MOTION_IMPLAUSIBLE)
    return Star(name, at.ra_deg, at.dec_deg, at.year, quality=quality | Quality.STAR_DISAGREES)


def _motion(telescope: Telescope, *, fastest_kms: float = 1000.0) -> tuple[dict[str, Any], Quality]:
    """Return proper motion and parallax of a header, None where no star has such, and a flag for that."""
    cosine = float(np.cos(np.radians(telescope.catalog_dec_deg or 0.0)))
    # the header's proper motion in right ascension lacks the cosine of the declination
    pm_ra = None if telescope.pm_ra_mas_yr is None else telescope.pm_ra_mas_yr * cosine
    given = {"pm_ra_mas_yr": pm_ra, "pm_dec_mas_yr": telescope.pm_dec_mas_yr, "parallax_mas": telescope.parallax_mas}
    kept = {name: number for name, number in given.items() if number is None or target_check.is_possible(name, number)}
    if (parallax := kept.get("parallax_mas")) and _KMS_PER_AU_YR * _total(kept) > fastest_kms * parallax:
        kept = {}
    epoch = telescope.catalog_epoch_year
    has_epoch = epoch is None or target_check.is_possible("epoch_year", epoch)
    is_whole = has_epoch and kept == given
    return dict.fromkeys(given) | kept, Quality(0) if is_whole else Quality.MOTION_IMPLAUSIBLE


def _total(motion: Mapping[str, float | None]) -> float:
    return float(np.hypot(motion.get("pm_ra_mas_yr") or 0.0, motion.get("pm_dec_mas_yr") or 0.0))


def _by_place(ra_deg: float, dec_deg: float) -> str:
    """Return a name for a star by its position, as catalogs of surveys have it: ``J114628.5-402943``."""
    tenths = round(ra_deg / 15 * 36000) % 864000
    seconds = round(abs(dec_deg) * 3600)
    sign = "-" if dec_deg < 0 else "+"
    clock = f"{tenths // 36000:02d}{tenths // 600 % 60:02d}{tenths // 10 % 60:02d}.{tenths % 10}"
    return f"J{clock}{sign}{seconds // 3600:02d}{seconds // 60 % 60:02d}{seconds % 60:02d}"
