"""Commands of the service: its programs, its input, its health, its database."""

import re
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from nrespipe.cli import options
from nrespipe.database.administration import opening
from nrespipe.database.states import State
from nrespipe.database.tables import Delivery, Frame, NightSummary, ScheduledMaster
from nrespipe.files import layout, plain_table
from nrespipe.files.raw import identity
from nrespipe.service import assembly
from nrespipe.service.ingest import submission
from nrespipe.service.operations import database_commands

if TYPE_CHECKING:
    from nrespipe.database.tables import WorkTable
    from nrespipe.settings import Settings

_QUEUES: "dict[str, list[WorkTable]]" = {
    "reduction": [Frame],
    "periodic": [ScheduledMaster, NightSummary],
    "deliveries": [Delivery],
    "all": [Frame, ScheduledMaster, NightSummary, Delivery],
}


def _check_node_name(_context: click.Context, _option: click.Parameter, name: str | None) -> str | None:
    if name is not None and not re.fullmatch(r"[A-Za-z0-9._-]+", name):
        raise click.BadParameter(f"{name!r} cannot name a node, expected letters, digits, and . _ -")
    return name


@click.command("listen")
@options.output_option
@options.database_option
@click.pass_obj
def listen_command(given: "Settings", output: Path | None, database: str | None) -> None:
    """Register the raw frames that the broker announces.

    The broker is FITS_BROKER; a worker is notified of each frame. Runs until it is stopped (TERM). Messages that it has
    not acknowledged by then come again.

    \b
    Example:
      FITS_BROKER=amqp://user:password@rabbit/ BROKER_URL=amqp://user:password@celery/ nrespipe listen
    """
    # here and below: commands that only query the service start without the libraries of its queues
    from nrespipe.service.work import programs

    _require_broker(given)
    if given.fits_broker == options.settings.MEMORY:
        raise click.UsageError("no broker to listen to: set FITS_BROKER_HOST or FITS_BROKER")
    with options.complaints():
        programs.listen(_assembled(given, output, database))


@click.command("work")
@options.output_option
@options.database_option
@options.processes_option
@click.option("--queue", type=click.Choice(list(_QUEUES)), default="reduction", show_default=True, help="Kind of work.")
@click.option(
    "--name",
    metavar="NAME",
    callback=_check_node_name,
    help="Name of this node, unique on its host. Default: that of the queue.",
)
@click.pass_obj
def work_command(
    given: "Settings",
    output: Path | None,
    database: str | None,
    processes: int | None,
    queue: str,
    name: str | None,
) -> None:
    """Reduce frames, make masters, or deliver products.

    The queue says which: reduction, periodic, or deliveries. Any number of these may run, on any number of hosts, with
    one database, each node under a name of its own: a second node of one name is refused. TERM lets the frames at work
    finish.

    \b
    Example:
      BROKER_URL=amqp://user:password@celery/ nrespipe work --processes 4 --name worker1
    """
    from nrespipe.service.work import programs

    _require_broker(given)
    with options.complaints():
        assembled = _assembled(given, output, database, processes)
        status = programs.work(assembled, name or queue, _QUEUES[queue])
    sys.exit(status)


@click.command("schedule")
@options.output_option
@options.database_option
@click.option("--once", is_flag=True, help="Schedule and notify once, and end.")
@click.pass_obj
def schedule_command(given: "Settings", output: Path | None, database: str | None, once: bool) -> None:
    """Schedule masters and summaries; notify workers.

    Workers are notified of everything that is due. Two of these programs do no harm.

    \b
    Example:
      BROKER_URL=amqp://user:password@celery/ nrespipe schedule
    """
    from nrespipe.service.work import programs

    _require_broker(given)
    with options.complaints():
        programs.schedule(_assembled(given, output, database), once)


@click.command("run")
@options.output_option
@options.database_option
@options.processes_option
@click.pass_obj
def run_command(given: "Settings", output: Path | None, database: str | None, processes: int | None) -> None:
    """Run the whole service in one program.

    It needs neither a broker nor a database server. Bring it frames with `nrespipe submit`, or set FITS_BROKER. TERM or
    Ctrl-C lets the frames at work finish.

    \b
    Example:
      nrespipe run --output reduced
    """
    from nrespipe.service.work import programs

    with options.complaints():
        status = programs.run(_assembled(given, output, database, processes))
    sys.exit(status)


@click.command("submit")
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True))
@options.output_option
@options.database_option
@options.format_option
@click.pass_obj
def submit_command(
    given: "Settings", paths: tuple[Path, ...], output: Path | None, database: str | None, form: plain_table.Form
) -> None:
    """Submit raw frames to the service.

    PATHS are files, or directories of files. The service begins with them within some seconds. The exit status is 1
    where a file can never be reduced.

    \b
    Example:
      nrespipe submit /archive/engineering/lsc/nres01/20190405/raw --output reduced
    """
    with options.complaints():
        submitted = submission.submit(_assembled(given, output, database), paths)
    columns = dict.fromkeys(("file", "state", "reason"))
    rows = [
        {"file": path.name, "state": str(state), "reason": identity.without_name(reason, identity.stem(path))}
        for path, state, reason in submitted
    ]
    click.echo(plain_table.listed(columns, rows, form))
    sys.exit(1 if any(state in (State.BAD, State.FAILED) for _, state, _ in submitted) else 0)


@click.command("requeue")
@click.argument("names", nargs=-1)
@options.output_option
@options.database_option
@click.option(
    "--state",
    "states",
    multiple=True,
    type=click.Choice(["bad", "done", "failed", "retry", "skipped", "waiting"]),
    help="Only frames in this state; may be repeated.",
)
@click.option("--since", metavar="HOURS", type=click.FloatRange(min=0), help="Only frames that changed since then.")
@click.pass_obj
def requeue_command(
    given: "Settings",
    names: tuple[str, ...],
    output: Path | None,
    database: str | None,
    states: tuple[str, ...],
    since: float | None,
) -> None:
    """Make frames due again.

    Choose them by their NAMES, their star, their state, or several of these. A frame that is done keeps its results
    until it is done again.

    \b
    Example:
      nrespipe requeue --state failed --since 24 --output reduced
    """
    if not names and not states:
        raise click.UsageError("no frames chosen: give NAMES, or --state")
    moment = datetime.now(UTC) - timedelta(hours=since) if since is not None else None
    with options.complaints(), opening.to_change(*options.places(given, output, database)).begin() as session:
        requeued = submission.requeue(session, names, [State(state) for state in states], moment)
    click.echo("\n".join([*requeued, f"{len(requeued)} frames are due"]))


@click.command("reconcile")
@options.output_option
@options.database_option
@click.option("--raw", "raw_root", type=options.DIRECTORY, metavar="DIR", help="Raw frames. Default: NRES_RAW_ROOT.")
@click.option("--site", required=True, metavar="S", help="Site, e.g. lsc.")
@click.option("--day", required=True, metavar="YYYYMMDD", callback=options.check_day, help="Night.")
@click.option("--dry-run", is_flag=True, help="Only list them.")
@click.pass_obj
def reconcile_command(
    given: "Settings",
    output: Path | None,
    database: str | None,
    raw_root: Path | None,
    site: str,
    day: str,
    dry_run: bool,
) -> None:
    """Submit the raw frames that no message announced.

    They are searched in the directory of one night.

    \b
    Example:
      nrespipe reconcile --site lsc --day 20190405 --raw /archive/engineering --output reduced
    """
    raw_root = raw_root or given.raw_root
    if raw_root is None:
        raise click.UsageError("no directory of raw frames: give --raw DIR, or set NRES_RAW_ROOT")
    with options.complaints():
        assembled = _assembled(given, output, database)
        with assembled.readers.begin() as session:
            paths = submission.find_missed(session, raw_root, site, day)
        if not dry_run:
            submission.submit(assembled, paths)
    click.echo("\n".join([*map(str, paths), f"{len(paths)} frames were missed"]))


@click.command("doctor")
@options.output_option
@options.database_option
@options.format_option
@click.pass_obj
def doctor_command(given: "Settings", output: Path | None, database: str | None, form: plain_table.Form) -> None:
    """Check whether the service can work.

    Database, brokers, disk, masters and clock are checked. The exit status is 1 where something is broken, and 0 where
    there are only warnings.

    \b
    Example:
      nrespipe doctor --output reduced
    """
    from nrespipe.service.operations import health

    output, given = options.places(given, output, database)
    with options.complaints():
        if given.raw_root:
            layout.require_apart(output, given.raw_root)
        findings = health.examine(assembly.inspect(output, given))
    rows = [{"check": found.name, "state": found.state, "words": found.words} for found in findings]
    click.echo(plain_table.listed(dict.fromkeys(("check", "state", "words")), rows, form))
    sys.exit(1 if any(found.state == "broken" for found in findings) else 0)


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
def upgrade_command(given: "Settings", wait_s: float, output: Path | None, database: str | None) -> None:
    """Make the tables, or bring those of an earlier version to the revision of this program.

    No other command changes existing tables. A copy of an SQLite database is kept next to it; back up a PostgreSQL
    database before. An upgrade that was interrupted goes on when it is started again.

    \b
    Example:
      nrespipe database upgrade --output reduced
    """
    with options.complaints():
        lines = database_commands.upgrade(*options.places(given, output, database), wait_s)
    click.echo("\n".join(lines))


@database_group.command("downgrade")
@click.option("--to", "revision", required=True, metavar="REVISION", help="Revision that the earlier version needs.")
@options.output_option
@options.database_option
@click.pass_obj
def downgrade_command(given: "Settings", revision: str, output: Path | None, database: str | None) -> None:
    """Take the tables back for an earlier version of the program; columns that it does not have are lost.

    Stop all programs of the service first. The rows that were written since the upgrade stay. A version that differs in
    its last number only needs none of this.

    \b
    Example:
      nrespipe database downgrade --to 0010 --output reduced
    """
    with options.complaints():
        lines = database_commands.downgrade(*options.places(given, output, database), revision)
    click.echo("\n".join(lines))


@database_group.command("check")
@options.output_option
@options.database_option
@options.format_option
@click.pass_obj
def check_database_command(
    given: "Settings", output: Path | None, database: str | None, form: plain_table.Form
) -> None:
    """Check whether the tables are those of this program and the database is sound; nothing is changed.

    The exit status is 1 where something is wrong.

    \b
    Example:
      nrespipe database check --output reduced
    """
    with options.complaints():
        found = database_commands.check(*options.places(given, output, database))
    rows = [{"check": name, "words": words} for name, defects in found.items() for words in defects or ["ok"]]
    click.echo(plain_table.listed(dict.fromkeys(("check", "words")), rows, form))
    sys.exit(1 if any(found.values()) else 0)


@database_group.command("backup")
@click.argument("path", type=click.Path(path_type=Path, dir_okay=False))
@options.output_option
@options.database_option
@click.pass_obj
def backup_command(given: "Settings", path: Path, output: Path | None, database: str | None) -> None:
    """Copy the database into PATH while the service goes on: an SQLite database, or an archive for pg_restore.

    PATH must not exist yet. It appears when the copy is complete and was checked. PostgreSQL needs pg_dump.

    \b
    Example:
      nrespipe database backup backups/20190405.sqlite --output reduced
    """
    with options.complaints():
        database_commands.backup(*options.places(given, output, database), path)
    click.echo(path)


def _require_broker(given: "Settings") -> None:
    """Refuse to start a program whose messages no other could receive."""
    if given.broker_url == options.settings.MEMORY:
        raise click.UsageError(
            "no broker between this program and the others: set RABBITMQ_HOST or BROKER_URL, or use 'nrespipe run'"
        )


def _assembled(
    given: "Settings", output: Path | None, database: str | None, processes: int | None = None
) -> assembly.Assembly:
    output, given = options.places(given, output, database, processes)
    return assembly.build(output, given, raw=[given.raw_root] if given.raw_root else [])
