"""The command that reduces nights again."""

import click

from nrespipe.cli import options
from nrespipe.database.administration import access
from nrespipe.frames.raw import Kind
from nrespipe.service import assembly
from nrespipe.service.batch import reprocessing


def _day(_context, _option, text):
    return options.day(text)


@click.command("reprocess")
@click.option("--site", required=True, metavar="S", help="Whose nights, e.g. lsc.")
@click.option("--from", "first", required=True, metavar="YYYYMMDD", callback=_day, help="First local night.")
@click.option("--to", "last", required=True, metavar="YYYYMMDD", callback=_day, help="Last local night.")
@click.option(
    "--kind",
    "kinds",
    multiple=True,
    type=click.Choice([str(kind) for kind in Kind]),
    help="Only this kind; may be repeated. Default: all, in the order in which they need each other.",
)
@click.option("--why", default="", metavar="TEXT", help="The reason; it is kept.")
@options.output_option
@options.database_option
@options.processes_option
@click.pass_obj
def reprocess_command(given, site, first, last, kinds, why, output, database, processes) -> None:
    """Reduce the frames of some nights again and make their masters again, after a change of program or masters.

    Products are replaced one by one; what was found before stays in the database, and a table of the velocities before
    and after is written. A run that was interrupted goes on where it was when the same command is given again, with the
    same reason. What cannot be reduced again is listed, and keeps the result that it has.

    \b
    Example:
      nrespipe reprocess --site lsc --from 20190401 --to 20190407 --why "new flat field" --output reduced
    """
    if first > last:
        raise click.UsageError(f"--from {first} is after --to {last}")
    output, given = options.places(given, output, database, processes)
    with options.complaints():
        access.to_read(output, given)
        assembled = assembly.build(output, given)
        chosen = tuple(Kind(kind) for kind in kinds) or tuple(Kind)
        lines, _ = reprocessing.reprocess(assembled, site, first, last, chosen, why, options.progress_bar())
    click.echo("\n".join(lines))
