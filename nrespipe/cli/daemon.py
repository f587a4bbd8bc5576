"""Commands of the service: programs that go on, and what people ask of them."""

import re
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click

from nrespipe.cli import options
from nrespipe.database.administration import access
from nrespipe.database.states import State
from nrespipe.database.tables import Delivery, Frame, NightSummary, Stacking
from nrespipe.files import layout, plain_table
from nrespipe.service import assembly
from nrespipe.service.ingest import intake

_QUEUES = {
    "reduction": [Frame],
    "periodic": [Stacking, NightSummary],
    "deliveries": [Delivery],
    "all": [Frame, Stacking, NightSummary, Delivery],
}


@click.command("listen")
@options.output_option
@options.database_option
@click.pass_obj
def listen_command(given, output, database) -> None:
    """Write down the raw frames that the broker FITS_BROKER tells of, and wake the workers.

    Goes on until it is told to stop (TERM). What it has not acknowledged by then comes again.

    \b
    Example:
      FITS_BROKER=amqp://user:password@rabbit/ BROKER_URL=amqp://user:password@celery/ nrespipe listen
    """
    # here and below: commands that only ask something of the service start without the libraries of its queues
    from nrespipe.service.work import programs

    _require_broker(given)
    if given.fits_broker == options.settings.MEMORY:
        raise click.UsageError("there is nothing to listen to: set FITS_BROKER_HOST or FITS_BROKER")
    with options.complaints():
        programs.listen(_assembled(given, output, database))


@click.command("work")
@options.output_option
@options.database_option
@options.processes_option
@click.option("--queue", type=click.Choice(list(_QUEUES)), default="reduction", show_default=True, help="What to do.")
@click.option(
    "--name",
    metavar="NAME",
    callback=lambda _c, _o, name: _node_name(name),
    help="Of this node, unique on its host. Default: that of the queue.",
)
@click.pass_obj
def work_command(given, output, database, processes, queue, name) -> None:
    """Reduce frames (queue reduction), make masters (periodic) or deliver products (deliveries), as messages tell.

    Any number of these may run, on any number of hosts, on one database, each node under a name of its own: one whose
    name a live node has is refused. TERM lets the frames in flight finish.

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
@click.option("--once", is_flag=True, help="Do it once and end.")
@click.pass_obj
def schedule_command(given, output, database, once) -> None:
    """Write down the masters that are owed, and wake workers for all that is due; two of these do no harm.

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
def run_command(given, output, database, processes) -> None:
    """Be the whole service in one program, without a broker or a database server.

    Bring it frames with `nrespipe submit`, or set FITS_BROKER. TERM or Ctrl-C lets the frames in flight finish.

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
@click.pass_obj
def submit_command(given, paths, output, database) -> None:
    """Bring raw frames to the service: files, or directories that hold some.

    It takes them up within some seconds. The exit status is 1 where a file can never be reduced.

    \b
    Example:
      nrespipe submit /archive/engineering/lsc/nres01/20190405/raw --output reduced
    """
    with options.complaints():
        told = intake.submit(_assembled(given, output, database), paths)
    click.echo("\n".join(plain_table.aligned([[path.name, str(state), reason] for path, state, reason in told])))
    sys.exit(1 if any(state in (State.BAD, State.FAILED) for _, state, _ in told) else 0)


@click.command("requeue")
@click.argument("names", nargs=-1)
@options.output_option
@options.database_option
@click.option(
    "--state",
    "states",
    multiple=True,
    type=click.Choice(["bad", "done", "failed", "retry", "skipped", "waiting"]),
    help="Those in this state; may be repeated.",
)
@click.option("--since", metavar="HOURS", type=click.FloatRange(min=0), help="Those that changed in the last hours.")
@click.pass_obj
def requeue_command(given, names, output, database, states, since) -> None:
    """Ask for frames to be worked on again: by their NAMES, their state, or both.

    A frame that is done keeps what it has until it is done again.

    \b
    Example:
      nrespipe requeue --state failed --since 24 --output reduced
    """
    if not names and not states:
        raise click.UsageError("say which: names, or --state")
    since = datetime.now(UTC) - timedelta(hours=since) if since is not None else None
    with options.complaints(), access.to_change(*options.places(given, output, database)).begin() as session:
        asked = intake.requeue(session, names, [State(state) for state in states], since)
    click.echo("\n".join([*asked, f"{len(asked)} frames are due"]))


@click.command("reconcile")
@options.output_option
@options.database_option
@click.option("--raw", "raw_root", type=options.DIRECTORY, metavar="DIR", help="Raw frames. Default: NRES_RAW_ROOT.")
@click.option("--site", required=True, metavar="S", help="Site, e.g. lsc.")
@click.option("--day", required=True, metavar="YYYYMMDD", callback=lambda _c, _o, day: options.day(day), help="Night.")
@click.option("--dry-run", is_flag=True, help="Only list them.")
@click.pass_obj
def reconcile_command(given, output, database, raw_root, site, day, dry_run) -> None:
    """Find the raw frames of a night that nobody has told of, and bring them to the service.

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
            paths = intake.find_missed(session, raw_root, site, day)
        if not dry_run:
            intake.submit(assembled, paths)
    click.echo("\n".join([*map(str, paths), f"{len(paths)} frames were missed"]))


@click.command("doctor")
@options.output_option
@options.database_option
@click.pass_obj
def doctor_command(given, output, database) -> None:
    """Look whether the service can work: database, brokers, disk, masters, clock.

    The exit status is 1 where something is broken; a doubt leaves it at 0.

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
    click.echo("\n".join(plain_table.aligned([[found.name, found.state, found.words] for found in findings])))
    sys.exit(1 if any(found.state == "broken" for found in findings) else 0)


def _node_name(name):
    if name is not None and not re.fullmatch(r"[A-Za-z0-9._-]+", name):
        raise click.BadParameter(f"{name!r} cannot name a node, expected letters, digits, and . _ -")
    return name


def _require_broker(given) -> None:
    """Refuse to start a program whose messages no other could hear: it would think that the workers were told."""
    if given.broker_url == options.settings.MEMORY:
        raise click.UsageError(
            "no broker between this program and the others: set RABBITMQ_HOST or BROKER_URL, or use 'nrespipe run'"
        )


def _assembled(given, output, database, processes=None):
    output, given = options.places(given, output, database, processes)
    return assembly.build(output, given, raw=[given.raw_root] if given.raw_root else [])
