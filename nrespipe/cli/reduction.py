"""Commands that reduce frames and end: a night, some files, nights again, a new site."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from nrespipe.cli import options
from nrespipe.database.administration import opening
from nrespipe.frames.raw import Kind
from nrespipe.service import assembly
from nrespipe.service.batch import night

if TYPE_CHECKING:
    from nrespipe.service.batch.night import Summary
    from nrespipe.settings import Settings


@click.command("night")
@click.argument("raw_root", type=click.Path(path_type=Path, file_okay=False, exists=True))
@options.output_option
@click.option("--site", "sites", multiple=True, metavar="S", help="Only this site, e.g. lsc; may be repeated.")
@click.option(
    "--day",
    "days",
    multiple=True,
    metavar="YYYYMMDD",
    callback=options.check_days,
    help="Only this local night; may be repeated.",
)
@options.database_option
@options.processes_option
@click.option("--again", is_flag=True, help="Try frames once more on which this version of the program failed.")
@click.pass_obj
def night_command(
    given: "Settings",
    raw_root: Path,
    output: Path | None,
    sites: tuple[str, ...],
    days: list[str],
    database: str | None,
    processes: int | None,
    again: bool,
) -> None:
    """Reduce every raw frame below RAW_ROOT, masters first.

    A second run does only what is new: frames that came since, frames that waited for a master, frames that could not
    be read. Raw files are never touched, and DIR may not be among them.

    The exit status is 0 where every frame is done or skipped, 1 where a frame or a master is bad or failed (the reason
    is printed), and 3 where none is, but some still wait for a master or a disk.

    \b
    Example:
      nrespipe night /archive/engineering --site lsc --day 20190405 --output reduced
    """
    with options.complaints():
        assembled = assembly.build(*options.places(given, output, database, processes), raw=[raw_root])
        summary = night.reduce_all(assembled, raw_root, sites, days, options.progress_report(), again)
    _finish(summary)


@click.command("reduce")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path, dir_okay=False, exists=True))
@options.output_option
@options.database_option
@options.processes_option
@click.pass_obj
def reduce_command(
    given: "Settings", files: tuple[Path, ...], output: Path | None, database: str | None, processes: int | None
) -> None:
    """Reduce raw FILES with the masters that exist.

    It does not matter whether they were reduced before. No master is made; see `night` for that. A frame that was done
    before keeps its products and velocities if it cannot be reduced now. The exit status is that of `night`, and 3
    where a frame keeps an earlier result.

    \b
    Example:
      nrespipe reduce raw/lscnrs01-fa09-20190405-0021-e00.fits.fz --output reduced
    """
    with options.complaints():
        raw = sorted({path.parent for path in files})
        assembled = assembly.build(*options.places(given, output, database, processes), raw=raw)
        summary = night.reduce_files(assembled, files, options.progress_report())
    _finish(summary)


@click.command("reprocess")
@click.option("--site", required=True, metavar="S", help="Site, e.g. lsc.")
@click.option(
    "--from", "first", required=True, metavar="YYYYMMDD", callback=options.check_day, help="First local night."
)
@click.option("--to", "last", required=True, metavar="YYYYMMDD", callback=options.check_day, help="Last night.")
@click.option(
    "--kind",
    "kinds",
    multiple=True,
    type=click.Choice([str(kind) for kind in Kind]),
    help="Only this kind; may be repeated. Default: all, in the order in which they need each other.",
)
@click.option("--why", default="", metavar="TEXT", help="The reason; it is stored.")
@options.output_option
@options.database_option
@options.processes_option
@click.pass_obj
def reprocess_command(
    given: "Settings",
    site: str,
    first: str,
    last: str,
    kinds: tuple[str, ...],
    why: str,
    output: Path | None,
    database: str | None,
    processes: int | None,
) -> None:
    """Make the masters and products of some nights again.

    This is for a new version of the program, or better masters. Products are replaced one by one; earlier results stay
    in the database, and a table of the velocities before and after is written. A run that was interrupted goes on where
    it was when the same command is given again, with the same reason. Frames that cannot be reduced again are listed,
    and keep their results.

    \b
    Example:
      nrespipe reprocess --site lsc --from 20190401 --to 20190407 --why "new flat field" --output reduced
    """
    # the other commands start without numpy
    from nrespipe.service.batch import reprocessing

    if first > last:
        raise click.UsageError(f"--from {first} is after --to {last}")
    output, given = options.places(given, output, database, processes)
    with options.complaints():
        opening.to_read(output, given)
        assembled = assembly.build(output, given)
        chosen = tuple(Kind(kind) for kind in kinds) or tuple(Kind)
        lines, _ = reprocessing.reprocess(assembled, site, first, last, chosen, why, options.progress_report())
    click.echo("\n".join(lines))


@click.group("site")
def site_group() -> None:
    """Put a new site or a new spectrograph to work."""


@site_group.command("start")
@click.argument("raw_root", type=click.Path(path_type=Path, file_okay=False, exists=True))
@click.option("--site", "name", required=True, metavar="S", help="Site, e.g. lsc.")
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
    callback=options.check_days,
    help="Only this local night; may be repeated.",
)
@options.output_option
@options.database_option
@options.processes_option
@click.pass_obj
def start_command(
    given: "Settings",
    raw_root: Path,
    name: str,
    table: Path | None,
    days: list[str],
    output: Path | None,
    database: str | None,
    processes: int | None,
) -> None:
    """Make the first masters of a site from the raw calibrations of a day below RAW_ROOT, and report their numbers.

    Orders and wavelengths are found blindly, without known positions or earlier masters. The exit status is 0 where
    there is a usable master of every kind, and 1 where one is missing; the reason is printed.

    \b
    Example:
      nrespipe site start /archive/engineering --site lsc --day 20190405 --output reduced
    """
    # the other commands start without the report
    from nrespipe.service.batch import new_site

    output, given = options.places(given, output, database, processes)
    with options.complaints():
        assembled = assembly.build(output, given, raw=[raw_root])
        if table is not None:
            try:
                new_site.register(table, output, name)
            except ValueError as error:
                raise click.ClickException(str(error)) from error
        lines, working = new_site.start(assembled, raw_root, name, days, options.progress_report())
    click.echo("\n".join(lines))
    sys.exit(0 if working else 1)


def _finish(summary: "Summary") -> None:
    click.echo("\n".join(options.summary_lines(summary)))
    sys.exit(summary.exit_status)
