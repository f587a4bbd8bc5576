"""Commands for velocities of stars: series, zero points of nights, templates, the catalog of stars."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from nrespipe.analysis import catalog_deployment, series, template_building, zero_points
from nrespipe.cli import options
from nrespipe.database import frames
from nrespipe.database.administration import opening
from nrespipe.files import plain_table
from nrespipe.files import series_formats as forms
from nrespipe.frames.quality import UNCERTAIN, Quality
from nrespipe.service import assembly
from nrespipe.service.operations import status

if TYPE_CHECKING:
    from nrespipe.settings import Settings

_FILE = click.Path(path_type=Path, exists=True, dir_okay=False)
_BITS = [bit.name.lower() for bit in Quality if bit in UNCERTAIN and bit.name]


@click.command("velocities")
@click.argument("star", required=False)
@options.output_option
@options.database_option
@click.option("--site", default="", metavar="S", help="Only this site, e.g. lsc. Default: all.")
@click.option("--from", "first_day", metavar="YYYYMMDD", default="", help="First night.")
@click.option("--to", "last_day", metavar="YYYYMMDD", default="", help="Last night.")
@click.option(
    "--keep",
    multiple=True,
    type=click.Choice([*_BITS, "all"]),
    help="Keep velocities with this flag; may be repeated.",
)
@click.option(
    "--engine",
    type=click.Choice(["mask", "template"]),
    default="mask",
    show_default=True,
    help="Velocities by the line mask, or by a template of the star.",
)
@click.option(
    "--zeropoints",
    "version",
    is_flag=False,
    flag_value="last",
    metavar="[VERSION]",
    help="Add velocities that are free of the zero points of their nights, by default of the last version.",
)
@click.option(
    "-o",
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write the series there: .csv for radvel, .dat or .txt for juliet, .ecsv for astropy.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["csv", "table", "radvel", "juliet", "ecsv"]),
    default="table",
    show_default=True,
    help="Form of the list; of FILE its suffix decides.",
)
@click.pass_obj
def velocities_command(
    given: "Settings",
    star: str | None,
    output: Path | None,
    database: str | None,
    site: str,
    first_day: str,
    last_day: str,
    keep: tuple[str, ...],
    engine: Literal["mask", "template"],
    version: str | None,
    out: Path | None,
    form: Literal["csv", "table", "radvel", "juliet", "ecsv"],
) -> None:
    """List radial velocities: of all stars, or of STAR.

    Without STAR every star in the frames of the last 14 nights is listed; with STAR its series over all sites.

    Velocities and their errors are barycentric, in m/s; BJD is in TDB. Quality flags are words joined by |.

    Without STAR the columns are filename, object, fiber, bjd_tdb, rv_ms, rv_err_ms, rv_abs_err_ms, berv_ms, drift_ms,
    snr, quality. rv_err_ms is the error within a series of the star; rv_abs_err_ms, the error of the absolute velocity,
    also contains what is the same in every frame.
    With STAR, by any of its names, flagged velocities are left out (see --keep), and standard error tells how many and
    why; each spectrograph, camera and fiber (tel) has a zero point of its own. With --zeropoints the columns
    zero_point, zero_point_err, rv_corrected and rv_corrected_err follow the others, which stay as they are.

    \b
    Example:
      nrespipe velocities "tau Cet" --from 20190401 --to 20190930 --output reduced -o tau_cet.csv
      nrespipe velocities --output reduced --from 20190101 --format csv > velocities.csv
    """
    output, given = options.places(given, output, database)
    first_day, last_day = options.nights(first_day, last_day)
    number = _number(version) if version else None
    if not star:
        if any((keep, out, version, engine != "mask")) or (form != "csv" and form != "table"):
            raise click.UsageError("without a STAR the only options are --site, --from, --to, --format csv and table")
        with options.complaints(), opening.to_read(output, given).begin() as session:
            nights, cut = frames.last_nights(session, site, first_day, last_day)
            text = status.velocity_table(session, form, nights)
        options.warn_of_earlier(cut)
        # not before the transaction has ended: a pager may wait for hours
        click.echo(text)
        return
    kept = UNCERTAIN if "all" in keep else Quality(sum(Quality[bit.upper()] for bit in keep))
    with options.complaints():
        site = catalog_deployment.site_of(output, site)
    with options.complaints(), opening.to_read(output, given).begin() as session:
        table = series.of_star(
            session, output, star, site=site, first_day=first_day, last_day=last_day, keep=kept, engine=engine
        )
        if version:
            table = zero_points.apply(session, output, table, number)
    click.echo(series.summary(table), err=True)
    with options.complaints():
        try:
            if out is None:
                # csv means here what it means as a suffix
                in_form = "radvel" if form == "csv" else form
                text = series.for_the_eye(table) if in_form == "table" else forms.text(table, in_form)
                click.echo(text.rstrip("\n"))
            else:
                forms.write(table, out)
        except ValueError as error:
            raise click.ClickException(str(error)) from error


def _number(version: str) -> int | None:
    if version == "last":
        return None
    if not version.isdecimal():
        raise click.BadParameter(f"{version!r} is no number of a version; write STAR before --zeropoints")
    return int(version)


@click.group("zeropoints")
def zeropoints_group() -> None:
    """Measure and list the zero points of nights.

    The zero point of a night is the velocity offset that its standard stars have in common.
    """


@zeropoints_group.command("make")
@click.option("--site", default="", metavar="S", help="Only this site, e.g. lsc. Default: all.")
@click.option("--from", "first_day", default="", metavar="YYYYMMDD", help="First night.")
@click.option("--to", "last_day", default="", metavar="YYYYMMDD", help="Last night.")
@click.option(
    "--star", "stars", multiple=True, metavar="NAME", help="A standard star; may be repeated. Default: the catalog."
)
@click.option(
    "--fewest-stars",
    type=click.IntRange(min=1),
    default=zero_points.LIMITS["fewest_stars"],
    show_default=True,
    help="Fewest stars for which a night has a zero point of its own.",
)
@options.output_option
@options.database_option
@click.pass_obj
def make_zeropoints_command(
    given: "Settings",
    site: str,
    first_day: str,
    last_day: str,
    stars: tuple[str, ...],
    fewest_stars: int,
    output: Path | None,
    database: str | None,
) -> None:
    """Measure the zero points of all nights, and store them as a new version.

    Velocities are not changed: see nrespipe velocities STAR --zeropoints.

    \b
    Example:
      nrespipe zeropoints make --star "tau Cet" --star HD115617 --star HD102365 --output reduced
    """
    output, given = options.places(given, output, database)
    first_day, last_day = options.nights(first_day, last_day)
    with options.complaints():
        site = catalog_deployment.site_of(output, site)
    with options.complaints(), opening.to_read(output, given).begin() as session:
        made = zero_points.measure(
            session, output, site=site, first_day=first_day, last_day=last_day, stars=stars, fewest_stars=fewest_stars
        )
    with options.complaints(), opening.to_change(output, given).begin() as session:
        session.add(made)
        session.flush()
        rows = zero_points.listing(session, made.id)
    click.echo(f"version {made.id}, of {made.n_velocities} velocities", err=True)
    click.echo(plain_table.listed(zero_points.COLUMNS, rows, "table"))


@zeropoints_group.command("list")
@click.argument("version", type=click.IntRange(min=1), required=False)
@options.output_option
@options.database_option
@options.format_option
@click.pass_obj
def list_zeropoints_command(
    given: "Settings", version: int | None, output: Path | None, database: str | None, form: plain_table.Form
) -> None:
    """List the versions, or the zero points of VERSION.

    \b
    Example:
      nrespipe zeropoints list 3 --output reduced
    """
    with options.complaints(), opening.to_read(*options.places(given, output, database)).begin() as session:
        if version is None:
            columns, rows = zero_points.VERSION_COLUMNS, zero_points.versions(session)
        else:
            columns, rows = zero_points.COLUMNS, zero_points.listing(session, version)
    click.echo(plain_table.listed(columns, rows, form))


@click.group("template")
def template_group() -> None:
    """Make and list templates of stars.

    A template is made of the spectra of one star, and velocities of that star are measured with it.
    """


@template_group.command("build")
@click.option("--target", required=True, metavar="NAME", help="The star, by any of its names.")
@click.option("--site", required=True, metavar="S", help="Where its spectra were taken, e.g. lsc.")
@click.option("--from", "first_day", default="", metavar="YYYYMMDD", help="First night of its spectra.")
@click.option("--to", "last_day", default="", metavar="YYYYMMDD", help="Last night of its spectra.")
@click.option("--serves-from", default="", metavar="YYYYMMDD", help="First night for which it may be used.")
@click.option("--serves-to", default="", metavar="YYYYMMDD", help="Last night for which it may be used.")
@options.output_option
@options.database_option
@click.pass_obj
def build_template_command(
    given: "Settings",
    target: str,
    site: str,
    first_day: str,
    last_day: str,
    serves_from: str,
    serves_to: str,
    output: Path | None,
    database: str | None,
) -> None:
    """Co-add the reduced spectra of a star into a template, and use it from now on.

    At least two spectra without quality flags are needed, and eight over 3 km/s of the motion of the Earth for a
    trusted template. It replaces an earlier one of the same star, site and nights; frames that are reduced from now on
    use it.

    \b
    Example:
      nrespipe template build --target "tau Cet" --site lsc --from 20190401 --to 20190930 --output reduced
    """
    output, given = options.places(given, output, database)
    first_day, last_day = options.nights(first_day, last_day)
    serves_from, serves_to = options.nights(serves_from, serves_to, "--serves-")
    with options.complaints():
        site = catalog_deployment.site_of(output, site)
        opening.to_read(output, given)
        lines = template_building.build(
            assembly.build(output, given), target, site, first_day=first_day, last_day=last_day,
            serves=(serves_from, serves_to),
        )  # fmt: skip
    click.echo("\n".join(lines))


@template_group.command("list")
@options.output_option
@options.database_option
@options.format_option
@click.pass_obj
def list_templates_command(
    given: "Settings", output: Path | None, database: str | None, form: plain_table.Form
) -> None:
    """List the templates that are in use.

    \b
    Example:
      nrespipe template list --output reduced
    """
    with options.complaints(), opening.to_read(*options.places(given, output, database)).begin() as session:
        rows = template_building.listed(session)
    click.echo(plain_table.listed(template_building.COLUMNS, rows, form))


@click.group("targets")
def targets_group() -> None:
    """Check the catalog of stars, or deploy a new one."""


@targets_group.command("check")
@click.argument("file", required=False, type=_FILE)
def check_targets_command(file: Path | None) -> None:
    """List all defects of the catalog of stars FILE, by line and column.

    Without FILE the catalog that came with the program is checked. The exit status is 1 where there is a defect.

    \b
    Example:
      nrespipe targets check targets.csv
    """
    with options.complaints():
        lines, valid = catalog_deployment.check(file)
    click.echo("\n".join(lines))
    sys.exit(0 if valid else 1)


@targets_group.command("deploy")
@click.argument("file", type=_FILE)
@options.output_option
@click.option("--site", default="", metavar="S", help="Only for this site, e.g. lsc. Default: all sites.")
@click.pass_obj
def deploy_targets_command(given: "Settings", file: Path, output: Path | None, site: str) -> None:
    """Deploy the catalog of stars FILE: copy it to where the reductions read it, all at once.

    A catalog with a defect is refused. Frames that are reduced from now on use it; 'nrespipe requeue' reduces others
    again. A site that has a catalog of its own keeps it when one is deployed for all.

    \b
    Example:
      nrespipe targets deploy targets.csv --output reduced
    """
    output, _ = options.places(given, output, None)
    with options.complaints():
        try:
            lines = catalog_deployment.deploy(file, output, site)
        except ValueError as error:
            raise click.ClickException(str(error)) from error
    click.echo("\n".join(lines))
