"""Commands for the zero points of nights."""

import click

from nrespipe.analysis import star_catalog, zero_points
from nrespipe.cli import options
from nrespipe.database.administration import access


@click.group("zeropoints")
def zeropoints_group() -> None:
    """Measure what all constant stars of a night are off together, and list it."""


@zeropoints_group.command("make")
@click.option("--site", default="", metavar="S", help="Only this site, e.g. lsc. Default: all.")
@click.option("--from", "first_day", default="", metavar="YYYYMMDD", help="First night.")
@click.option("--to", "last_day", default="", metavar="YYYYMMDD", help="Last night.")
@click.option(
    "--star", "stars", multiple=True, metavar="NAME", help="A constant star; may be repeated. Default: the catalog."
)
@click.option(
    "--fewest-stars",
    type=click.IntRange(min=1),
    default=zero_points.LIMITS["fewest_stars"],
    show_default=True,
    help="Stars without which a night has no zero point of its own.",
)
@options.output_option
@options.database_option
@click.pass_obj
def make_command(given, site, first_day, last_day, stars, fewest_stars, output, database) -> None:
    """Measure the zero points of all nights, and keep them as a new version beside the earlier ones.

    Velocities are not changed: see nrespipe velocities STAR --zeropoints.

    \b
    Example:
      nrespipe zeropoints make --star "tau Cet" --star HD115617 --star HD102365 --output reduced
    """
    output, given = options.places(given, output, database)
    first_day, last_day = options.nights(first_day, last_day)
    with options.complaints():
        site = star_catalog.site_of(output, site)
    with options.complaints(), access.to_read(output, given).begin() as session:
        made = zero_points.measure(
            session, output, site=site, first_day=first_day, last_day=last_day, stars=stars, fewest_stars=fewest_stars
        )
    with options.complaints(), access.to_change(output, given).begin() as session:
        session.add(made)
        session.flush()
        lines = zero_points.listing(session, made.id)
    click.echo(f"version {made.id}, of {made.n_velocities} velocities", err=True)
    click.echo("\n".join(lines))


@zeropoints_group.command("list")
@click.argument("version", type=click.IntRange(min=1), required=False)
@options.output_option
@options.database_option
@click.pass_obj
def list_command(given, version, output, database) -> None:
    """List the versions, or the zero points of VERSION.

    \b
    Example:
      nrespipe zeropoints list 3 --output reduced
    """
    with options.complaints(), access.to_read(*options.places(given, output, database)).begin() as session:
        lines = zero_points.listing(session, version)
    click.echo("\n".join(lines))
