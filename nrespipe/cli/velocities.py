"""The command that gives velocities: of all frames, or the series of one star."""

from pathlib import Path

import click

from nrespipe.analysis import series, star_catalog, zero_points
from nrespipe.cli import options
from nrespipe.database.administration import access
from nrespipe.files import series_formats as forms
from nrespipe.frames.quality import Quality
from nrespipe.service.operations import status

_BITS = [bit.name.lower() for bit in Quality if bit in series.DOUBTFUL]


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
    help="Do not leave out what has this doubt; may be repeated.",
)
@click.option(
    "--engine",
    type=click.Choice(["mask", "template"]),
    default="mask",
    show_default=True,
    help="By the line mask, or by a template of the star.",
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
    given, star, output, database, site, first_day, last_day, keep, engine, version, out, form
) -> None:
    """List radial velocities: of every star of every frame that is done, or the series of STAR over all sites.

    Velocities and their errors are barycentric, in m/s; BJD is in TDB. Doubts are words joined by |.

    Without STAR the columns are filename, object, fiber, bjd_tdb, rv_ms, rv_err_ms, berv_ms, drift_ms, snr, quality.
    With STAR, by any of its names, what is in doubt is left out (see --keep), and standard error says how much and why;
    each spectrograph, camera and fiber (tel) has a zero point of its own. With --zeropoints the columns zero_point,
    zero_point_err, rv_corrected and rv_corrected_err stand behind the others, which stay as they are.

    \b
    Example:
      nrespipe velocities "tau Cet" --from 20190401 --to 20190930 --output reduced -o tau_cet.csv
      nrespipe velocities --output reduced --format csv > velocities.csv
    """
    output, given = options.places(given, output, database)
    first_day, last_day = options.nights(first_day, last_day)
    number = _number(version) if version else None
    if not star:
        if any((site, first_day, last_day, keep, out, version, engine != "mask")) or form not in ("csv", "table"):
            raise click.UsageError("without a STAR there is no more to choose than --format csv or table")
        with options.complaints(), access.to_read(output, given).begin() as session:
            text = status.velocity_table(session, form)
        # not before the transaction has ended: a pager may stand still for hours
        click.echo(text)
        return
    kept = series.DOUBTFUL if "all" in keep else Quality(sum(Quality[bit.upper()] for bit in keep))
    with options.complaints():
        site = star_catalog.site_of(output, site)
    with options.complaints(), access.to_read(output, given).begin() as session:
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
                in_form = forms.FORMS.get(f".{form}", form)
                told = series.for_the_eye(table) if form == "table" else forms.text(table, in_form)
                click.echo(told.rstrip("\n"))
            else:
                forms.write(table, out)
        except ValueError as error:
            raise click.ClickException(str(error)) from error


def _number(version):
    if version == "last":
        return None
    if not version.isdecimal():
        raise click.BadParameter(f"{version!r} is no number of a version; write STAR before --zeropoints")
    return int(version)
