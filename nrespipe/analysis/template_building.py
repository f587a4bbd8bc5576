"""Build the template of a star from its reduced spectra, and list the templates."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from nrespipe import __version__, data
from nrespipe.analysis import catalog_deployment, series
from nrespipe.database import star_templates as rows
from nrespipe.database.measurements import velocities
from nrespipe.database.states import Standing
from nrespipe.database.tables import StarTemplate
from nrespipe.errors import BadFrame
from nrespipe.files import layout
from nrespipe.files import template_files as files
from nrespipe.files.atomic_files import md5
from nrespipe.files.catalog import star_match
from nrespipe.files.products import star_spectra_reader
from nrespipe.frames.star import Star, name_keys

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from nrespipe.database.tables import Frame, StarVelocity
    from nrespipe.engine.velocity.template import Exposure
    from nrespipe.frames.template import Template
    from nrespipe.service.assembly import Assembly


def build(
    assembly: "Assembly",
    name: str,
    site: str,
    *,
    first_day: str = "",
    last_day: str = "",
    serves: tuple[str, str] = ("", ""),
) -> list[str]:
    """Make the template of a star, write it, and record it.

    Parameters
    ----------
    assembly
        Database and output directory.
    name
        Any name of the star.
    site
        Where its spectra were taken.
    first_day, last_day
        Only spectra of these nights, ``YYYYMMDD``.
    serves
        Nights whose frames may use it; '' for no limit.

    Returns
    -------
    list of str
        Description of the template, for a person.

    Raises
    ------
    LookupError
        If there are fewer than two spectra of the star that can be used; the message lists those that were left out.
    """
    star = _star(assembly.output, site, name)
    with assembly.readers.begin() as session:
        found = _inputs(session, assembly.output, star, site, first_day, last_day)
    if star.source == "telescope" and found:
        # other stars may have the name
        star = replace(star, ra_deg=found[0][1].ra_deg, dec_deg=found[0][1].dec_deg)
    exposures, broken = _exposures(found, assembly.output)
    if len(exposures) < 2:
        raise LookupError(
            f"a template needs at least two spectra of its star, there are {len(exposures)} of {star.name} at {site}"
            + "".join(f"; {words}" for words in broken)
        )
    # here, as below: the engine brings the compiler of the kernels with it
    from nrespipe.engine.velocity import template as engine

    instrument = found[0][0].instrument
    try:
        made = engine.build(
            exposures, star, site=site, instrument=instrument, tellurics=data.tellurics(), leave_out=True
        )
    except ValueError as error:
        raise LookupError(f"no template of {star.name} at {site}: {error}") from error
    path = layout.template_path(assembly.output, site, star.name, made.fingerprint)
    files.write(made, path)
    with assembly.sessions.begin() as session:
        rows.record(session, _row(made, path, assembly.output, serves))
    return [*_told(made, path), *broken]


#: Columns of the list of templates, as `plain_table.listed` takes them.
COLUMNS = {
    "star": None, "site": None, "spectra": None, "berv_range_kms": 1, "teff_k": 0, "logg": 2, "metallicity": 2,
    "first_day": None, "last_day": None, "trusted": None, "file": None,
}  # fmt: skip


def listed(session: "Session") -> list[dict[str, object]]:
    """List the templates that are in use.

    Returns
    -------
    list of dict
        Values by column; the first and the last night that a template serves are '' where there is no limit.
    """
    return [
        {
            "star": row.star,
            "site": row.site,
            "spectra": len(row.inputs),
            "berv_range_kms": (row.berv_range_ms or 0) / 1e3,
            "teff_k": row.teff_k,
            "logg": row.logg,
            "metallicity": row.metallicity,
            "first_day": row.first_day,
            "last_day": row.last_day,
            "trusted": rows.summary(row).trusted,
            "file": row.path,
        }
        for row in rows.current(session)
    ]


def _star(output: Path, site: str, name: str) -> Star:
    """Return the star of the catalog, or one that only has a name."""
    return star_match.match(catalog_deployment.stars(output, site), name, None, None, 2000.0) or Star(
        name, source="telescope"
    )


def _inputs(
    session: "Session", output: Path, star: Star, site: str, first_day: str, last_day: str
) -> "list[tuple[Frame, StarVelocity]]":
    """Return frame and velocity of each spectrum from which a template may be made."""
    table = series.of_star(session, output, star.name, site=site, first_day=first_day, last_day=last_day)
    wanted = {(row["filename"], row["fiber"]) for row in table}
    found = velocities(session, name_keys(star), site=site)
    found = [(frame, measured) for frame, measured in found if (frame.filename, measured.fiber) in wanted]
    for frame, _ in found:
        frame.products  # noqa: B018  # read while the session is open
    return found


def _exposures(found: "list[tuple[Frame, StarVelocity]]", output: Path) -> "tuple[list[Exposure], list[str]]":
    """Read the spectra; return also a line for each that cannot be used."""
    from nrespipe.engine.velocity import measurement
    from nrespipe.engine.velocity import template as engine

    exposures: list[Exposure] = []
    broken: list[str] = []
    contents: dict[tuple[str | None, int], str] = {}
    for frame, measured in found:
        first = contents.setdefault((frame.md5, measured.fiber), frame.filename)
        if first != frame.filename:
            broken.append(f"left out: {frame.filename}: the same content as {first}")
            continue
        product = next((p for p in frame.products if layout.is_product(p.path, "L2", measured.fiber)), None)
        try:
            if product is None:
                raise BadFrame(f"{frame.filename}: its spectrum was not written")
            if measured.rv_ms is None:
                raise BadFrame(f"{frame.filename}: it has no velocity")
            seen = star_spectra_reader.read(output / product.path, measured.fiber)
        except BadFrame as error:
            broken.append(f"left out: {error}")
            continue
        spectrum, numbers = measurement.prepared(seen.spectra, seen.wavelengths, measured.fiber)
        exposures.append(
            engine.Exposure(
                spectrum, numbers, measured.rv_ms, seen.berv_ms, frame.filename, seen.midpoint_mjd, measured.fiber
            )
        )
    return exposures, broken


def _row(made: "Template", path: Path, output: Path, serves: tuple[str, str]) -> StarTemplate:
    star = made.star
    # the position tells apart stars that no catalog has
    ra_deg, dec_deg = (star.ra_deg, star.dec_deg) if star.source == "telescope" else (None, None)
    return StarTemplate(
        star=star.name, ra_deg=ra_deg, dec_deg=dec_deg, site=made.site, instrument=made.instrument,
        path=str(path.relative_to(output)), md5=md5(path),
        fingerprint=made.fingerprint, teff_k=star.teff_k, logg=star.logg, metallicity=star.metallicity,
        spectral_type=star.spectral_type, aliases=list(star.aliases), inputs=list(made.inputs),
        berv_range_ms=made.berv_range_ms, start_mjd=made.start_mjd, end_mjd=made.end_mjd, first_day=serves[0],
        last_day=serves[1], standing=Standing.CURRENT, code_version=__version__,
    )  # fmt: skip


def _told(made: "Template", path: Path) -> list[str]:
    why = "" if made.trusted else " (8 spectra and 3 km/s are needed before it is trusted)"
    figures = [
        f"{name} {value:g}"
        for name, value in (("Teff", made.star.teff_k), ("logg", made.star.logg), ("[Fe/H]", made.star.metallicity))
        if value is not None
    ]
    return [
        f"{path}: {len(made.inputs)} spectra of {made.star.name} at {made.site}",
        f"motion of the Earth over {made.berv_range_ms / 1e3:.1f} km/s{why}",
        f"of a star of {', '.join(figures)}" if figures else "of a star of unknown type: it serves this star alone",
    ]
