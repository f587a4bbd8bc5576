"""The command that writes what the database knows as plain tables."""

from pathlib import Path

import click

from nrespipe.analysis import exports, star_catalog
from nrespipe.cli import options
from nrespipe.database.administration import access
from nrespipe.files import plain_table

_TABLES = {"standards": exports.standards, "velocities": exports.velocities, "masters": exports.masters}


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
def export_command(given, table, output, database, site, first_day, last_day, out) -> None:
    """Write TABLE as comma-separated text: the calibrations, the velocities, or the masters with what was said of them.

    The first line is a remark with the units, the second has the names of the columns. Nothing is ever read back from
    such a file: what is to be changed is changed by other commands.

    \b
    Example:
      nrespipe export velocities --site lsc --from 20190401 --to 20190430 --output reduced -o velocities.csv
    """
    output, given = options.places(given, output, database)
    first_day, last_day = options.nights(first_day, last_day)
    with options.complaints():
        site = star_catalog.site_of(output, site)
    with options.complaints(), access.to_read(output, given).begin() as session:
        text = _TABLES[table](session, site=site, first_day=first_day, last_day=last_day)
    if str(out) == "-":
        click.echo(text, nl=False)
        return
    with options.complaints():
        plain_table.write(text, out)
