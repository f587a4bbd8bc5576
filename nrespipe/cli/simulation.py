"""Commands to try the program: compile its kernels, simulate nights, run a demonstration."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Unpack

import click

from nrespipe import logs, settings
from nrespipe.cli import options
from nrespipe.files import plain_table
from nrespipe.service import assembly, time_limits
from nrespipe.service.batch import simulation
from nrespipe.service.operations import kernels, progress_bar
from nrespipe.service.work import process_pool

if TYPE_CHECKING:
    from nrespipe.settings import Settings


@click.group("simulate")
def simulate_group() -> None:
    """Make raw frames with known truth."""


@simulate_group.command("night")
@click.argument("out", type=options.DIRECTORY)
@click.option("--site", default="lsc", show_default=True, help="Site of the spectrograph.")
@click.option(
    "--table",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    metavar="TOML",
    help="Table of the spectrograph, where it is not the one that the program knows at the site.",
)
@click.option("--day", default="20190405", show_default=True, metavar="YYYYMMDD", help="First local night.")
@click.option(
    "--nights", type=click.IntRange(min=1), default=1, show_default=True, help="How many, one after the other."
)
@click.option(
    "--seed",
    type=int,
    default=7,
    show_default=True,
    help="Seed of noise and clouds: the same gives the same files.",
)
@click.option(
    "--stars",
    default="HD102365:120",
    show_default=True,
    metavar="NAME[:SNR[:FIBER]],...",
    help="Stars that are observed in turn; two stars at once are joined by a plus.",
)
@click.option("--bias", "n_bias", type=click.IntRange(min=0), default=5, show_default=True, help="Biases.")
@click.option("--dark", "n_dark", type=click.IntRange(min=0), default=3, show_default=True, help="Darks.")
@click.option(
    "--flat", "n_flat", type=click.IntRange(min=0), default=5, show_default=True, help="Flats of a fiber pair."
)
@click.option("--arc", "n_arc", type=click.IntRange(min=0), default=3, show_default=True, help="Arcs of a fiber pair.")
@click.pass_obj
def simulate_night_command(
    given: "Settings",
    /,
    out: Path,
    site: str,
    table: Path | None,
    day: str,
    nights: int,
    seed: int,
    stars: str,
    **counts: Unpack[simulation.Counts],
) -> None:
    """Write simulated nights below OUT, in the layout of the archive.

    Raw frames go to OUT/site/instrument/day/raw, the injected velocities to .../truth/velocities.csv.

    \b
    Example:
      nrespipe simulate night archive --day 20190405 --stars "HD102365:120,HD10700:80:2,HD22049:90+HD76151:70"
    """
    processes = time_limits.default_processes() if given.processes is None else given.processes
    with options.complaints(), process_pool.open(processes) as run:
        try:
            kernels.prepare(run, options.progress_report(), kernels.SIMULATION)
            paths = simulation.write_nights(
                out, site, day, nights, seed, stars.split(","), options.progress_report(), run, table=table, **counts
            )
        except ValueError as error:
            raise click.UsageError(str(error)) from error
    click.echo("\n".join(map(str, paths)))


@click.command("demo")
@click.option(
    "--output",
    type=options.DIRECTORY,
    default=Path("demo-output"),
    show_default=True,
    metavar="DIR",
    help="Where all files go.",
)
@options.processes_option
@click.pass_obj
def demo_command(given: "Settings", output: Path, processes: int | None) -> None:
    """Simulate a small night and reduce it.

    The velocities that were put in are printed next to those that were measured. Two minutes on two cores. A second run
    uses the frames and the results of the first. The exit status is 0 where every star agrees within 5 of its errors
    and 30 m/s.

    \b
    Example:
      nrespipe demo --output demo-output
    """
    click.echo(f"A small night of one spectrograph is simulated and reduced. All files go to {output}.", err=True)
    # its own database, not the one that the environment names; and text for a person in place of a log
    alone = settings.change(
        given,
        database_url="",
        database_host="",
        processes=processes or given.processes,
        log_level="WARNING",
        log_format="text",
    )
    logs.configure(alone.log_level, alone.log_format)
    with options.complaints():
        assembled = assembly.build(output / "reduced", alone)
        report = progress_bar.bar if sys.stderr.isatty() else progress_bar.words
        stars, summary = simulation.demonstrate(assembled, output / "archive", report)
    click.echo("\n".join([*options.summary_lines(summary), "", "radial velocities in m/s"]))
    click.echo("\n".join(plain_table.aligned([simulation.HEADINGS, *(star.cells() for star in stars)])))
    agrees = all(star.agrees for star in stars)
    verdict = "agrees" if agrees else "DOES NOT AGREE"
    click.echo(f"\nThe reduction {verdict} with the velocities that were simulated. Spectra: {output / 'reduced'}")
    drawn = sorted((output / "reduced").rglob("*-e91.pdf"))
    click.echo("\n".join(["Drawings of the frames:", *map(str, drawn)]))
    sys.exit(summary.exit_status or (0 if agrees else 1))


@click.command("compile")
@click.pass_obj
def compile_command(given: "Settings") -> None:
    """Compile the numerical kernels.

    After that no frame has to wait for them. It takes half a minute of one core, shared by all cores. The kernels are
    kept in NUMBA_CACHE_DIR or, where that is not set, next to the modules. Run it once after each installation, as a
    user who may write there. The exit status is
    0 where every kernel was compiled.

    \b
    Example:
      NUMBA_CACHE_DIR=/var/cache/nrespipe nrespipe compile
    """
    processes = time_limits.default_processes() if given.processes is None else given.processes
    with process_pool.open(processes) as run:
        report = progress_bar.bar if sys.stderr.isatty() else progress_bar.words
        compiled = kernels.prepare(run, report, kernels.REDUCTION + kernels.SIMULATION)
    click.echo("\n".join(compiled.lines()))
    sys.exit(1 if compiled.failed else 0)
