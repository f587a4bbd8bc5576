"""Commands that reduce frames and end."""

import sys
from pathlib import Path

import click

from nrespipe.cli import options
from nrespipe.service import assembly
from nrespipe.service.batch import night


@click.command("night")
@click.argument("raw_root", type=click.Path(path_type=Path, file_okay=False, exists=True))
@options.output_option
@click.option("--site", "sites", multiple=True, metavar="S", help="Only this site, e.g. lsc; may be repeated.")
@click.option(
    "--day",
    "days",
    multiple=True,
    metavar="YYYYMMDD",
    callback=lambda _context, _option, days: [options.day(day) for day in days],
    help="Only this local night; may be repeated.",
)
@options.database_option
@options.processes_option
@click.option("--again", is_flag=True, help="Try once more what this version of the program failed on.")
@click.pass_obj
def night_command(given, raw_root, output, sites, days, database, processes, again) -> None:
    """Reduce every raw frame below RAW_ROOT, masters first.

    Running it again does only what is new: frames that came since, frames that waited for a master, frames that could
    not be read. Raw files are never touched, and DIR may not lie among them.

    The exit status is 0 where every frame is done or skipped, 1 where a frame or a master is bad or failed (the reason
    is printed), and 3 where none is, but some still wait for a master or a disk.

    \b
    Example:
      nrespipe night /archive/engineering --site lsc --day 20190405 --output reduced
    """
    with options.complaints():
        assembled = assembly.build(*options.places(given, output, database, processes), raw=[raw_root])
        summary = night.reduce_all(assembled, raw_root, sites, days, options.progress_bar(), again)
    _finish(summary)


@click.command("reduce")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path, dir_okay=False, exists=True))
@options.output_option
@options.database_option
@options.processes_option
@click.pass_obj
def reduce_command(given, files, output, database, processes) -> None:
    """Reduce raw FILES with the masters that DIR has, whether or not they were reduced before.

    No master is made; see `night` for that. A frame that was done keeps its products and velocities if it cannot be
    reduced now. The exit status is that of `night`, and 3 where a frame keeps an earlier result.

    \b
    Example:
      nrespipe reduce raw/lscnrs01-fa09-20190405-0021-e00.fits.fz --output reduced
    """
    with options.complaints():
        raw = sorted({path.parent for path in files})
        assembled = assembly.build(*options.places(given, output, database, processes), raw=raw)
        summary = night.reduce_files(assembled, files, options.progress_bar())
    _finish(summary)


def _finish(summary):
    click.echo("\n".join(options.summary_lines(summary)))
    sys.exit(summary.exit_status)
