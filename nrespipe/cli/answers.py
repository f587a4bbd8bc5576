"""Commands that tell what is known."""

import click

from nrespipe.cli import options
from nrespipe.service import assembly, inquiry


@click.command("status")
@options.output_option
@options.database_option
@click.pass_obj
def status_command(given, output, database):
    """Count the frames of each night by kind and state, and list those that are not done, with the reason.

    \b
    Example:
      nrespipe status --output reduced
    """
    with options.complaints(), assembly.look_up(*options.places(given, output, database)).begin() as session:
        lines = inquiry.status(session)
    click.echo("\n".join(lines))


@click.command("why")
@click.argument("name")
@options.output_option
@options.database_option
@click.pass_obj
def why_command(given, name, output, database):
    """Tell all that is known of the frame or the master NAME: state, reason, every attempt, products.

    \b
    Example:
      nrespipe why lscnrs01-fa09-20190405-0021-e00 --output reduced
    """
    output, given = options.places(given, output, database)
    with options.complaints(), assembly.look_up(output, given).begin() as session:
        lines = inquiry.why(session, name, output.resolve())
    click.echo("\n".join(lines))


@click.command("velocities")
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
def velocities_command(given, output, database, form):
    """List the radial velocity of every star of every frame that is done, in order of time.

    Velocities and their errors are barycentric, in m/s; BJD is in TDB. The columns are filename, object, fiber,
    bjd_tdb, rv_ms, rv_err_ms, berv_ms, drift_ms, snr, quality; the last holds words joined by |, or nothing where
    nothing is known against the frame.

    \b
    Example:
      nrespipe velocities --output reduced --format csv > velocities.csv
    """
    with options.complaints(), assembly.look_up(*options.places(given, output, database)).begin() as session:
        text = inquiry.velocity_table(session, form)
    click.echo(text)
