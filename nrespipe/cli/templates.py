"""Commands for the templates of stars."""

import click

from nrespipe.analysis import star_catalog, template_building
from nrespipe.cli import options
from nrespipe.database.administration import access
from nrespipe.service import assembly


@click.group("template")
def template_group() -> None:
    """Make templates of stars from their spectra, and list those in use."""


@template_group.command("build")
@click.option("--target", required=True, metavar="NAME", help="The star, by any of its names.")
@click.option("--site", required=True, metavar="S", help="Where its spectra were taken, e.g. lsc.")
@click.option("--from", "first_day", default="", metavar="YYYYMMDD", help="First night of its spectra.")
@click.option("--to", "last_day", default="", metavar="YYYYMMDD", help="Last night of its spectra.")
@click.option("--serves-from", default="", metavar="YYYYMMDD", help="First night that it may serve.")
@click.option("--serves-to", default="", metavar="YYYYMMDD", help="Last night that it may serve.")
@options.output_option
@options.database_option
@click.pass_obj
def build_command(given, target, site, first_day, last_day, serves_from, serves_to, output, database) -> None:
    """Co-add the reduced spectra of a star into a template, and put it to use.

    At least two spectra without doubts are needed, and eight over 3 km/s of the motion of the Earth for one that is
    trusted. It replaces an earlier one of the same star, site and nights; frames that are reduced from now on use it.

    \b
    Example:
      nrespipe template build --target "tau Cet" --site lsc --from 20190401 --to 20190930 --output reduced
    """
    output, given = options.places(given, output, database)
    first_day, last_day = options.nights(first_day, last_day)
    serves_from, serves_to = options.nights(serves_from, serves_to, "--serves-")
    with options.complaints():
        site = star_catalog.site_of(output, site)
        access.to_read(output, given)
        lines = template_building.build(
            assembly.build(output, given), target, site, first_day=first_day, last_day=last_day,
            serves=(serves_from, serves_to),
        )  # fmt: skip
    click.echo("\n".join(lines))


@template_group.command("list")
@options.output_option
@options.database_option
@click.pass_obj
def list_command(given, output, database) -> None:
    """List the templates that are in use.

    \b
    Example:
      nrespipe template list --output reduced
    """
    with options.complaints(), access.to_read(*options.places(given, output, database)).begin() as session:
        lines = template_building.listed(session)
    click.echo("\n".join(lines))
