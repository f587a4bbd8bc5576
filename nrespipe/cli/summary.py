"""The command that sums up a night."""

import click

from nrespipe.cli import options
from nrespipe.database.administration import access
from nrespipe.errors import Unavailable
from nrespipe.service.operations import night_summary


@click.command("summary")
@click.option("--site", required=True, metavar="S", help="Which site, e.g. lsc.")
@click.option(
    "--day", required=True, metavar="YYYYMMDD", callback=lambda _context, _option, day: options.day(day), help="Night."
)
@click.option("--mail", is_flag=True, help="Also send it to SUMMARY_RECIPIENTS.")
@options.output_option
@options.database_option
@click.pass_obj
def summary_command(given, site, day, mail, output, database) -> None:
    """Sum up a night: frames by state, what is not done and why, masters, stars, drift; as a page and as a PDF.

    The scheduler does this by itself for every night that is over, and mails it where SUMMARY_RECIPIENTS are set.

    \b
    Example:
      nrespipe summary --site lsc --day 20190405 --output reduced
    """
    if mail and not given.summary_recipients:
        raise click.UsageError("nobody wants mail: set SUMMARY_RECIPIENTS and SUMMARY_SENDER")
    output, given = options.places(given, output, database)
    with options.complaints():
        with access.to_read(output, given).begin() as session:
            report = night_summary.gather(session, site, day, output.resolve())
        paths = night_summary.write(report, output.resolve())
        try:
            if mail:
                night_summary.send(report, paths, given)
        except Unavailable as error:
            raise click.ClickException(str(error)) from error
    click.echo("\n".join(map(str, paths)))
