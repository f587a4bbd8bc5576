"""Commands for the catalog of stars."""

import sys
from pathlib import Path

import click

from nrespipe.analysis import star_catalog
from nrespipe.cli import options

_FILE = click.Path(path_type=Path, exists=True, dir_okay=False)


@click.group("targets")
def targets_group() -> None:
    """Check the catalog of stars, and put a new one to use."""


@targets_group.command("check")
@click.argument("file", required=False, type=_FILE)
def check_command(file) -> None:
    """Say all that is wrong with the catalog of stars FILE, by line and column.

    Without FILE the catalog that came with the program is checked. The exit status is 1 where something is wrong.

    \b
    Example:
      nrespipe targets check targets.csv
    """
    with options.complaints():
        lines, valid = star_catalog.check(file)
    click.echo("\n".join(lines))
    sys.exit(0 if valid else 1)


@targets_group.command("deploy")
@click.argument("file", type=_FILE)
@options.output_option
@click.option("--site", default="", metavar="S", help="Only for this site, e.g. lsc. Default: all sites.")
@click.pass_obj
def deploy_command(given, file, output, site) -> None:
    """Put the catalog of stars FILE where the reductions read it, all at once.

    A catalog with a defect is refused. Frames that are reduced from now on use it; 'nrespipe requeue' reduces others
    again. A site that has a catalog of its own keeps it when one is deployed for all.

    \b
    Example:
      nrespipe targets deploy targets.csv --output reduced
    """
    output, _ = options.places(given, output, None)
    with options.complaints():
        try:
            lines = star_catalog.deploy(file, output, site)
        except ValueError as error:
            raise click.ClickException(str(error)) from error
    click.echo("\n".join(lines))
