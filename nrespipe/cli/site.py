"""Commands for a new site."""

import sys
from pathlib import Path

import click

from nrespipe.cli import options
from nrespipe.service import assembly
from nrespipe.service.batch import site_start


@click.group("site")
def site_group() -> None:
    """Put a new site, or a new spectrograph, to work."""


@site_group.command("start")
@click.argument("raw_root", type=click.Path(path_type=Path, file_okay=False, exists=True))
@click.option("--site", "name", required=True, metavar="S", help="Which site, e.g. lsc.")
@click.option(
    "--table",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    metavar="TOML",
    help="Table of a spectrograph that the program does not know; name, site and optics are enough.",
)
@click.option(
    "--day",
    "days",
    multiple=True,
    metavar="YYYYMMDD",
    callback=lambda _context, _option, days: [options.day(day) for day in days],
    help="Only this local night; may be repeated.",
)
@options.output_option
@options.database_option
@options.processes_option
@click.pass_obj
def start_command(given, raw_root, name, table, days, output, database, processes) -> None:
    """Make the first masters of a site from the raw calibrations of a day below RAW_ROOT, and tell what was found.

    Orders and wavelengths are found blindly: no position, no earlier master is needed. The exit status is 0 where there
    is a master of every kind that may be used, and 1 where something is missing; the reason is printed.

    \b
    Example:
      nrespipe site start /archive/engineering --site lsc --day 20190405 --output reduced
    """
    output, given = options.places(given, output, database, processes)
    with options.complaints():
        assembled = assembly.build(output, given, raw=[raw_root])
        if table is not None:
            try:
                site_start.register(table, output, name)
            except ValueError as error:
                raise click.ClickException(str(error)) from error
        lines, working = site_start.start(assembled, raw_root, name, days, options.progress_bar())
    click.echo("\n".join(lines))
    sys.exit(0 if working else 1)
