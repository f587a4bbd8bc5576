"""The commands: a thin face, every one calls one function of the service."""

import signal
import sys
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import click
from sqlalchemy.exc import SQLAlchemyError

from nrespipe import __version__, logs, settings
from nrespipe.service import assembly, inquiry, night, progress, simulation
from nrespipe.service.arrivals import OutputRefused

_DIRECTORY = click.Path(path_type=Path, file_okay=False)

_output = click.option(
    "--output",
    type=_DIRECTORY,
    metavar="DIR",
    help="Where masters and products go, and the database unless told otherwise. Default: NRES_DATA_ROOT.",
)
_database = click.option("--database", metavar="URL", help="Database, as an SQLAlchemy URL. Default: DB_URL.")
_processes = click.option(
    "--processes",
    type=click.IntRange(min=1),
    metavar="N",
    help="Frames at a time. Default: NRES_PROCESSES, or all cores.",
)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, message="%(version)s")
@click.pass_context
def main(context):
    """Reduce raw frames of the NRES spectrographs to spectra and radial velocities.

    Log lines go to standard error, results to standard output.
    """
    # a plain kill ends the processes of a night as well
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        context.obj = settings.read()
    except ValueError as error:
        raise click.ClickException(str(error)) from error
    logs.configure(context.obj.log_level)


@main.command("night")
@click.argument("raw_root", type=click.Path(path_type=Path, file_okay=False, exists=True))
@_output
@click.option("--site", "sites", multiple=True, metavar="S", help="Only this site, e.g. lsc; may be repeated.")
@click.option(
    "--day",
    "days",
    multiple=True,
    metavar="YYYYMMDD",
    callback=lambda _context, _option, days: [_day(day) for day in days],
    help="Only this local night; may be repeated.",
)
@_database
@_processes
@click.option("--again", is_flag=True, help="Try once more what this version of the program failed on.")
@click.pass_obj
def night_command(given, raw_root, output, sites, days, database, processes, again):
    """Reduce every raw frame below RAW_ROOT, masters first.

    Running it again does only what is new: frames that came since, frames that waited for a master, frames that could
    not be read. Raw files are never touched, and DIR may not lie among them.

    The exit status is 0 where every frame is done or skipped, 1 where a frame or a master is bad or failed (the reason
    is printed), and 3 where none is, but some still wait for a master or a disk.

    \b
    Example:
      nrespipe night /archive/engineering --site lsc --day 20190405 --output reduced
    """
    with _complaints():
        assembled = assembly.build(*_places(given, output, database, processes), raw=[raw_root])
        summary = night.reduce_all(assembled, raw_root, sites, days, _progress(), again)
    _finish(summary)


@main.command("reduce")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path, dir_okay=False, exists=True))
@_output
@_database
@_processes
@click.pass_obj
def reduce_command(given, files, output, database, processes):
    """Reduce raw FILES with the masters that DIR has, whether or not they were reduced before.

    No master is made; see `night` for that. A frame that was done keeps its products and velocities if it cannot be
    reduced now. The exit status is that of `night`, and 3 where a frame keeps an earlier result.

    \b
    Example:
      nrespipe reduce raw/lscnrs01-fa09-20190405-0021-e00.fits.fz --output reduced
    """
    with _complaints():
        raw = sorted({path.parent for path in files})
        assembled = assembly.build(*_places(given, output, database, processes), raw=raw)
        summary = night.reduce_files(assembled, files, _progress())
    _finish(summary)


@main.command("status")
@_output
@_database
@click.pass_obj
def status_command(given, output, database):
    """Count the frames of each night by kind and state, and list those that are not done, with the reason.

    \b
    Example:
      nrespipe status --output reduced
    """
    with _complaints(), assembly.look_up(*_places(given, output, database)).begin() as session:
        lines = inquiry.status(session)
    click.echo("\n".join(lines))


@main.command("why")
@click.argument("name")
@_output
@_database
@click.pass_obj
def why_command(given, name, output, database):
    """Tell all that is known of the frame or the master NAME: state, reason, every attempt, products.

    \b
    Example:
      nrespipe why lscnrs01-fa09-20190405-0021-e00 --output reduced
    """
    output, given = _places(given, output, database)
    with _complaints(), assembly.look_up(output, given).begin() as session:
        lines = inquiry.why(session, name, output.resolve())
    click.echo("\n".join(lines))


@main.command("velocities")
@_output
@_database
@click.option(
    "--format",
    "form",
    type=click.Choice(["csv", "table"]),
    default="table",
    show_default=True,
    help="Form of the list.",
)
@click.pass_obj
def velocities_command(given, output, database, form):
    """List the radial velocity of every star of every frame that is done, in order of time.

    Velocities and their errors are barycentric, in m/s; BJD is in TDB. The columns are filename, object, fiber,
    bjd_tdb, rv_ms, rv_err_ms, berv_ms, drift_ms, snr, quality; the last holds words joined by |, or nothing where
    nothing is known against the frame.

    \b
    Example:
      nrespipe velocities --output reduced --format csv > velocities.csv
    """
    with _complaints(), assembly.look_up(*_places(given, output, database)).begin() as session:
        text = inquiry.velocity_table(session, form)
    click.echo(text)


@main.group("simulate")
def simulate_group():
    """Make raw frames with known truth."""


@simulate_group.command("night")
@click.argument("out", type=_DIRECTORY)
@click.option("--site", default="lsc", show_default=True, help="Whose spectrograph.")
@click.option("--day", default="20190405", show_default=True, metavar="YYYYMMDD", help="First local night.")
@click.option(
    "--nights", type=click.IntRange(min=1), default=1, show_default=True, help="How many, one after the other."
)
@click.option(
    "--seed", type=int, default=7, show_default=True, help="Of noise and clouds: the same gives the same files."
)
@click.option(
    "--stars",
    default="HD102365:120",
    show_default=True,
    metavar="NAME[:SNR[:FIBER]],...",
    help="What is observed in turn; two stars at once are joined by a plus.",
)
@click.option("--bias", "n_bias", type=click.IntRange(min=0), default=5, show_default=True, help="Biases.")
@click.option("--dark", "n_dark", type=click.IntRange(min=0), default=3, show_default=True, help="Darks.")
@click.option(
    "--flat", "n_flat", type=click.IntRange(min=0), default=5, show_default=True, help="Flats of a fiber pair."
)
@click.option("--arc", "n_arc", type=click.IntRange(min=0), default=3, show_default=True, help="Arcs of a fiber pair.")
def simulate_night_command(out, site, day, nights, seed, stars, **counts):
    """Write simulated nights below OUT, in the layout of the archive.

    Raw frames go to OUT/site/instrument/day/raw, the velocities that were put in to .../truth/velocities.csv.

    \b
    Example:
      nrespipe simulate night archive --day 20190405 --stars "HD102365:120,HD10700:80:2,HD22049:90+HD76151:70"
    """
    with _complaints():
        try:
            paths = simulation.write_nights(out, site, day, nights, seed, stars.split(","), _progress(), **counts)
        except ValueError as error:
            raise click.UsageError(str(error)) from error
    click.echo("\n".join(map(str, paths)))


@main.command("demo")
@click.option(
    "--output",
    type=_DIRECTORY,
    default=Path("demo-output"),
    show_default=True,
    metavar="DIR",
    help="Where all files go.",
)
@_processes
@click.pass_obj
def demo_command(given, output, processes):
    """Simulate a small night, reduce it, and print injected against measured velocities.

    Some minutes on two cores. The exit status is 0 where every star agrees within 5 of its errors and 30 m/s.

    \b
    Example:
      nrespipe demo --output demo-output
    """
    with _complaints():
        # its own database, whatever the environment says of the real one
        alone = replace(given, database_url="", processes=processes or given.processes)
        assembled = assembly.build(output / "reduced", alone)
        stars, summary = simulation.demonstrate(assembled, output / "archive", _progress())
    click.echo("\n".join([*_summary(summary), "", "radial velocities in m/s"]))
    click.echo("\n".join(inquiry.aligned([simulation.HEADINGS, *(star.cells() for star in stars)])))
    sys.exit(summary.exit_status or (0 if all(star.agrees for star in stars) else 1))


def _day(text):
    """Return a day as it stands in the names of files; a word that is none is refused."""
    try:
        # strptime alone takes 2019315 as well
        if len(text) != 8 or not (text.isascii() and text.isdecimal()):
            raise ValueError
        datetime.strptime(text, "%Y%m%d")
    except ValueError:
        raise click.BadParameter(f"{text!r} is no day, expected YYYYMMDD") from None
    return text


def _places(given, output, database, processes=None):
    """Join the options of a command with the environment: an output directory, and settings."""
    output = output or given.data_root
    if output is None:
        raise click.UsageError("no output directory: give --output DIR, or set NRES_DATA_ROOT")
    try:
        url = settings.read({"DB_URL": database}).database_url if database else given.database_url
    except ValueError as error:
        raise click.BadParameter(str(error).replace("DB_URL", "it"), param_hint="--database") from error
    return output, replace(given, database_url=url, processes=processes or given.processes)


def _progress():
    return progress.bar if sys.stderr.isatty() else progress.lines


def _summary(summary):
    states = ", ".join(f"{count} {state}" for state, count in sorted(summary.counts.items()))
    total = sum(summary.counts.values())
    first = f"{total} frame{'s' * (total != 1)}: {states or 'none found'}; {summary.new} worked on now"
    unhappy = [*summary.unmade, *summary.unhappy]
    return [first, *inquiry.aligned(unhappy)] if unhappy else [first]


def _finish(summary):
    click.echo("\n".join(_summary(summary)))
    sys.exit(summary.exit_status)


@contextmanager
def _complaints():
    """Say in one line what a person can mend; everything else keeps its traceback."""
    try:
        yield
    except (OutputRefused, LookupError, OSError) as error:
        if isinstance(error, KeyError | IndexError):
            raise
        raise click.ClickException(str(error)) from error
    except SQLAlchemyError as error:
        raise click.ClickException(f"database: {str(error).splitlines()[0]}") from error
