"""Commands that show what the service has done: frames, masters, drifts, tables, summaries of nights."""

from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from nrespipe.analysis import catalog_deployment, exports
from nrespipe.cli import options
from nrespipe.database import frames
from nrespipe.database.administration import opening
from nrespipe.database.states import State
from nrespipe.errors import Unavailable
from nrespipe.files import layout, plain_table
from nrespipe.files.raw import identity
from nrespipe.service.operations import status

if TYPE_CHECKING:
    from nrespipe.settings import Settings

_TABLES = {"standards": exports.standards, "velocities": exports.velocities, "masters": exports.masters}


@click.command("status")
@options.output_option
@options.database_option
@click.option("--site", default="", metavar="S", help="Only this site, e.g. lsc. Default: all.")
@click.option("--day", metavar="YYYYMMDD", default="", help="Only this night.")
@click.option("--since", metavar="YYYYMMDD", default="", help="This night and all later ones. Default: the last 14.")
@click.option(
    "--state",
    "states",
    multiple=True,
    type=click.Choice([str(state) for state in State]),
    help="Only frames in this state; may be repeated.",
)
@click.option(
    "--limit",
    "most",
    type=click.IntRange(min=1),
    default=status.RECENT.most,
    show_default=True,
    metavar="N",
    help="Longest list of nights, of masters and of frames.",
)
@click.pass_obj
def status_command(
    given: "Settings",
    output: Path | None,
    database: str | None,
    site: str,
    day: str,
    since: str,
    states: tuple[str, ...],
    most: int,
) -> None:
    """Count frames by night and state; list the problems.

    Problems are the frames and masters that are not done, each with its reason. Both lists are those of the last 14
    nights of which there are frames, unless others are asked for; the lines about the progress of the work are those of
    all nights.

    \b
    Example:
      nrespipe status --output reduced
      nrespipe status --site lsc --since 20190401 --state failed --state bad --output reduced
    """
    if day and since:
        raise click.UsageError("--day and --since exclude each other")
    first, last = options.nights(day or since, day)
    choice = status.Choice(site, first, last, tuple(map(State, states)), most)
    with options.complaints(), opening.to_read(*options.places(given, output, database)).begin() as session:
        lines = status.status(session, choice)
    click.echo("\n".join(lines))


@click.command("why")
@click.argument("name")
@options.output_option
@options.database_option
@click.pass_obj
def why_command(given: "Settings", name: str, output: Path | None, database: str | None) -> None:
    """Show the history of the frame or the master NAME.

    It has the state with its reason, every attempt with its masters and measurements, and the products.

    \b
    Example:
      nrespipe why lscnrs01-fa09-20190405-0021-e00 --output reduced
    """
    output, given = options.places(given, output, database)
    with options.complaints(), opening.to_read(output, given).begin() as session:
        lines = status.why(session, name, output.resolve())
    click.echo("\n".join(lines))


@click.command("plot")
@click.argument("name")
@click.option("--page", type=click.IntRange(min=1), metavar="N", help="Only this page. Default: all.")
@click.option(
    "-o",
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="The drawing, .pdf or .png. Default: a PDF of the name of the product, in this directory.",
)
@options.output_option
@options.database_option
@click.pass_obj
def plot_command(
    given: "Settings", name: str, page: int | None, out: Path | None, output: Path | None, database: str | None
) -> None:
    """Draw the frame NAME again.

    The pages show the velocity, lines of the star, and the exposure. The same PDF lies beside the products of each
    frame. A frame that could not be reduced has the page of its exposure alone, with the reason. As .png each page is
    an image of its own.

    \b
    Example:
      nrespipe plot lscnrs01-fa09-20190405-0021-e00 --page 1 -o velocity.png --output reduced
    """
    # the other commands read no FITS file, and start without astropy.io.fits
    from nrespipe.analysis import frame_drawing

    out = out or Path(f"{layout.reduced_stem(identity.stem(name))}.pdf")
    if out.suffix not in (".pdf", ".png"):
        raise click.BadParameter(f"{out.name}: a drawing is a .pdf or a .png", param_hint="--out")
    output, given = options.places(given, output, database)
    with options.complaints(), opening.to_read(output, given).begin() as session:
        written = frame_drawing.draw_frame(session, name, output.resolve(), out, page)
    click.echo("\n".join(map(str, written)))


@click.command("drifts")
@options.output_option
@options.database_option
@click.option(
    "--format",
    "form",
    type=click.Choice(["csv", "table"]),
    default="table",
    show_default=True,
    help="Form of the list.",
)
@click.option("--site", default="", metavar="S", help="Only this site, e.g. lsc. Default: all.")
@click.option("--from", "first_day", metavar="YYYYMMDD", default="", help="First night. Default: the last 14.")
@click.option("--to", "last_day", metavar="YYYYMMDD", default="", help="Last night.")
@click.pass_obj
def drifts_command(
    given: "Settings",
    output: Path | None,
    database: str | None,
    form: Literal["csv", "table"],
    site: str,
    first_day: str,
    last_day: str,
) -> None:
    """List the drift of the spectrograph in the last nights.

    Frames that are done are listed in order of time. Velocities are in m/s, shifts in pixels, both from the master arc
    that the last column names; mid_mjd is the middle of the exposure in UTC. Further columns are the pressure in PSI
    and the temperature in degree Celsius of the sensors of the spectrograph. Values that could not be measured are
    empty.

    \b
    Example:
      nrespipe drifts --output reduced --format csv > drifts.csv
    """
    with options.complaints(), opening.to_read(*options.places(given, output, database)).begin() as session:
        nights, cut = frames.last_nights(session, site, first_day, last_day)
        text = status.drift_table(session, form, nights)
    options.warn_of_earlier(cut)
    click.echo(text)


@click.command("export")
@click.argument("table", type=click.Choice([*_TABLES]))
@options.output_option
@options.database_option
@click.option("--site", default="", metavar="S", help="Only this site, e.g. lsc. Default: all.")
@click.option("--from", "first_day", metavar="YYYYMMDD", default="", help="First night.")
@click.option("--to", "last_day", metavar="YYYYMMDD", default="", help="Last night.")
@click.option(
    "-o",
    "--out",
    type=click.Path(path_type=Path, dir_okay=False, allow_dash=True),
    metavar="FILE",
    default="-",
    help="Write the table there. Default: standard output.",
)
@click.pass_obj
def export_command(
    given: "Settings",
    table: str,
    output: Path | None,
    database: str | None,
    site: str,
    first_day: str,
    last_day: str,
    out: Path,
) -> None:
    """Write a TABLE of results as comma-separated text.

    TABLE is standards, the calibrations in the form of the commissioning pipeline; velocities; or masters, with their
    review. The first line is a remark with the units, the second has the names of the columns. Such a file is never
    read back: other commands change the database.

    \b
    Example:
      nrespipe export velocities --site lsc --from 20190401 --to 20190430 --output reduced -o velocities.csv
    """
    output, given = options.places(given, output, database)
    first_day, last_day = options.nights(first_day, last_day)
    with options.complaints():
        site = catalog_deployment.site_of(output, site)
    with options.complaints(), opening.to_read(output, given).begin() as session:
        text = _TABLES[table](session, site=site, first_day=first_day, last_day=last_day)
    if str(out) == "-":
        click.echo(text, nl=False)
        return
    with options.complaints():
        plain_table.write(text, out)


@click.command("summary")
@click.option("--site", required=True, metavar="S", help="Site, e.g. lsc.")
@click.option("--day", required=True, metavar="YYYYMMDD", callback=options.check_day, help="Night.")
@click.option("--mail", is_flag=True, help="Also send it to SUMMARY_RECIPIENTS.")
@options.output_option
@options.database_option
@click.pass_obj
def summary_command(
    given: "Settings", site: str, day: str, mail: bool, output: Path | None, database: str | None
) -> None:
    """Write the summary of a night as a page and a PDF.

    It has the frames by state, problems, masters, stars and drift. The scheduler writes it for every night that is
    over, and mails it where SUMMARY_RECIPIENTS are set.

    \b
    Example:
      nrespipe summary --site lsc --day 20190405 --output reduced
    """
    # the other commands start without the templates of pages
    from nrespipe.service.operations import night_summary

    if mail and not given.summary_recipients:
        raise click.UsageError("no recipient of mail: set SUMMARY_RECIPIENTS and SUMMARY_SENDER")
    output, given = options.places(given, output, database)
    with options.complaints():
        with opening.to_read(output, given).begin() as session:
            report = night_summary.gather(session, site, day, output.resolve())
        paths = night_summary.write(report, output.resolve())
        try:
            if mail:
                night_summary.send(report, paths, given)
        except Unavailable as error:
            raise click.ClickException(str(error)) from error
    click.echo("\n".join(map(str, paths)))
