"""The command that compiles the kernels."""

import sys

import click

from nrespipe.service import limits
from nrespipe.service.operations import kernels, progress
from nrespipe.service.work import process_pool


@click.command("compile")
@click.pass_obj
def compile_command(given) -> None:
    """Compile the numerical kernels, so that no frame has to wait for it.

    Half a minute of one core, shared by all cores. The kernels are kept in NUMBA_CACHE_DIR or, where that is not set,
    beside the modules. Run it once after each installation, as a user who may write there. The exit status is 0 where
    every kernel was compiled.

    \b
    Example:
      NUMBA_CACHE_DIR=/var/cache/nrespipe nrespipe compile
    """
    processes = limits.default_processes() if given.processes is None else given.processes
    with process_pool.open(processes, given.log_level) as run:
        report = progress.bar if sys.stderr.isatty() else progress.words
        compiled = kernels.prepare(run, report, kernels.REDUCTION + kernels.SIMULATION)
    click.echo("\n".join(compiled.lines()))
    sys.exit(1 if compiled.failed else 0)
