"""The command that compiles the kernels."""

import sys

import click

from nrespipe.service import kernels, progress


@click.command("compile")
@click.pass_obj
def compile_command(given):
    """Compile the numerical kernels, so that no frame has to wait for it.

    Reduces a small simulated night, which takes some minutes, and leaves the kernels in NUMBA_CACHE_DIR or, where that
    is not set, beside the modules. To be run once after each installation by a user who may write there. The exit
    status is 0 where every frame of that night was reduced.

    \b
    Example:
      NUMBA_CACHE_DIR=/var/cache/nrespipe nrespipe compile
    """
    compiled = kernels.compile_all(given, progress.bar if sys.stderr.isatty() else progress.lines)
    click.echo("\n".join([*compiled.lines(), *(" ".join(row) for row in compiled.unhappy)]))
    sys.exit(1 if compiled.unhappy else 0)
