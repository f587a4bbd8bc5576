"""Commands that tell what is known."""

import click

from nrespipe.cli import options
from nrespipe.database.administration import access
from nrespipe.service.operations import status


@click.command("status")
@options.output_option
@options.database_option
@click.pass_obj
def status_command(given, output, database) -> None:
    """Count the frames of each night by kind and state, and list those that are not done, with the reason.

    \b
    Example:
      nrespipe status --output reduced
    """
    with options.complaints(), access.to_read(*options.places(given, output, database)).begin() as session:
        lines = status.status(session)
    click.echo("\n".join(lines))


@click.command("why")
@click.argument("name")
@options.output_option
@options.database_option
@click.pass_obj
def why_command(given, name, output, database) -> None:
    """Tell all that is known of the frame or the master NAME: state, reason, every attempt, products.

    \b
    Example:
      nrespipe why lscnrs01-fa09-20190405-0021-e00 --output reduced
    """
    output, given = options.places(given, output, database)
    with options.complaints(), access.to_read(output, given).begin() as session:
        lines = status.why(session, name, output.resolve())
    click.echo("\n".join(lines))


@click.command("drifts")
@options.output_option
@options.database_option
@click.option(
    "--format",
    "form",
    type=click.Choice(["csv", "table"]),
    default="table",
    show_default=True,
    help="Form of the list.",
)
@click.pass_obj
def drifts_command(given, output, database, form) -> None:
    """List how far the spectrograph had drifted in every frame that is done, in order of time.

    Velocities are in m/s, shifts in pixels, both from the master arc that the last column names; mid_mjd is the middle
    of the exposure in UTC. Beside them stand the pressure in PSI and the temperature in degree Celsius that the
    spectrograph's own sensors told. What could not be measured is empty.

    \b
    Example:
      nrespipe drifts --output reduced --format csv > drifts.csv
    """
    with options.complaints(), access.to_read(*options.places(given, output, database)).begin() as session:
        text = status.drift_table(session, form)
    click.echo(text)
