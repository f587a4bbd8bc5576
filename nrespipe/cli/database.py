"""Commands for the database as a whole."""

import sys
from pathlib import Path

import click

from nrespipe.cli import options
from nrespipe.files import plain_table
from nrespipe.service.operations import database_upkeep


@click.group("database")
def database_group() -> None:
    """Upgrade, check and back up the database."""


@database_group.command("upgrade")
@click.option(
    "--wait",
    "wait_s",
    type=click.FloatRange(min=0),
    default=0.0,
    metavar="SECONDS",
    help="How long to wait for a database that does not answer. Default: not at all.",
)
@options.output_option
@options.database_option
@click.pass_obj
def upgrade_command(given, wait_s, output, database) -> None:
    """Make the tables, or bring those of an earlier version to the revision of this program.

    No other command changes tables that are there. A copy of an SQLite database is kept beside it; back a PostgreSQL
    database up before. An upgrade that was interrupted goes on when it is started again.

    \b
    Example:
      nrespipe database upgrade --output reduced
    """
    with options.complaints():
        lines = database_upkeep.upgrade(*options.places(given, output, database), wait_s)
    click.echo("\n".join(lines))


@database_group.command("downgrade")
@click.option("--to", "revision", required=True, metavar="REVISION", help="Revision that the earlier version needs.")
@options.output_option
@options.database_option
@click.pass_obj
def downgrade_command(given, revision, output, database) -> None:
    """Take the tables back for an earlier version of the program; what its tables cannot hold is lost.

    Stop all programs of the service first. The rows that were written since the upgrade stay. A version that differs in
    its last number only needs none of this.

    \b
    Example:
      nrespipe database downgrade --to 0010 --output reduced
    """
    with options.complaints():
        lines = database_upkeep.downgrade(*options.places(given, output, database), revision)
    click.echo("\n".join(lines))


@database_group.command("check")
@options.output_option
@options.database_option
@click.pass_obj
def check_command(given, output, database) -> None:
    """Look whether the tables are those of this program, and whether the database is damaged; nothing is changed.

    The exit status is 1 where something is wrong.

    \b
    Example:
      nrespipe database check --output reduced
    """
    with options.complaints():
        found = database_upkeep.check(*options.places(given, output, database))
    rows = [[name, told] for name, defects in found.items() for told in defects or ["ok"]]
    click.echo("\n".join(plain_table.aligned(rows)))
    sys.exit(1 if any(found.values()) else 0)


@database_group.command("backup")
@click.argument("path", type=click.Path(path_type=Path, dir_okay=False))
@options.output_option
@options.database_option
@click.pass_obj
def backup_command(given, path, output, database) -> None:
    """Copy the database into PATH while the service goes on: an SQLite database, or an archive for pg_restore.

    PATH must not be there yet. It appears when the copy is complete and was checked. PostgreSQL needs pg_dump.

    \b
    Example:
      nrespipe database backup backups/20190405.sqlite --output reduced
    """
    with options.complaints():
        database_upkeep.backup(*options.places(given, output, database), path)
    click.echo(path)
