"""The commands: each calls one function of the service or of the analysis."""

import importlib
import signal
import sys
from collections.abc import Iterator, Mapping

import click

from nrespipe import __version__

#: Module of each command, and the first sentence of its help: the list of commands is shown without importing any.
_COMMANDS = {
    "compile": ("simulation:compile_command", "Compile the numerical kernels, so that no frame has to wait for it."),
    "database": ("service:database_group", "Upgrade, check and back up the database."),
    "demo": (
        "simulation:demo_command",
        "Simulate a small night, reduce it, and print injected against measured velocities.",
    ),
    "doctor": (
        "service:doctor_command",
        "Check whether the service can work: database, brokers, disk, masters, clock.",
    ),
    "drifts": (
        "results:drifts_command",
        "List the drift of the spectrograph in every frame that is done, in order of time.",
    ),
    "export": (
        "results:export_command",
        "Write TABLE as comma-separated text: the calibrations, the velocities, or the masters with their review.",
    ),
    "listen": (
        "service:listen_command",
        "Register the raw frames that messages of the broker FITS_BROKER announce, and notify the workers.",
    ),
    "masters": ("masters:masters_group", "List, compare, draw and review master calibrations."),
    "night": ("reduction:night_command", "Reduce every raw frame below RAW_ROOT, masters first."),
    "reconcile": (
        "service:reconcile_command",
        "Find the raw frames of a night that no message has announced, and submit them to the service.",
    ),
    "reduce": (
        "reduction:reduce_command",
        "Reduce raw FILES with the masters in DIR, whether or not they were reduced before.",
    ),
    "reprocess": (
        "reduction:reprocess_command",
        "Reduce the frames of some nights again and make their masters again, after a change of program or masters.",
    ),
    "requeue": ("service:requeue_command", "Make frames due again: by their NAMES, their state, or both."),
    "run": ("service:run_command", "Run the whole service in one program, without a broker or a database server."),
    "schedule": (
        "service:schedule_command",
        "Schedule masters and summaries, and notify workers of everything that is due; two of these do no harm.",
    ),
    "simulate": ("simulation:simulate_group", "Make raw frames with known truth."),
    "site": ("reduction:site_group", "Put a new site, or a new spectrograph, to work."),
    "status": (
        "results:status_command",
        "Count the frames of each night by kind and state, and list those that are not done, with the reason.",
    ),
    "submit": ("service:submit_command", "Submit raw frames to the service: files, or directories of files."),
    "summary": (
        "results:summary_command",
        "Write the summary of a night as a page and as a PDF: frames by state, problems, masters, stars, drift.",
    ),
    "targets": ("velocities:targets_group", "Check the catalog of stars, and deploy a new one."),
    "template": ("velocities:template_group", "Make templates of stars from their spectra, and list those in use."),
    "velocities": (
        "velocities:velocities_command",
        "List radial velocities: of every star of every frame that is done, or the series of STAR over all sites.",
    ),
    "why": (
        "results:why_command",
        "Show everything about the frame or the master NAME: state, reason, every attempt, products.",
    ),
    "work": (
        "service:work_command",
        "Reduce frames (queue reduction), make masters (periodic) or deliver products (deliveries).",
    ),
    "zeropoints": (
        "velocities:zeropoints_group",
        "Measure and list the common velocity offset of the standard stars of each night.",
    ),
}


class _Loaded(Mapping[str, click.Command]):
    """The commands by name, each imported when it is used."""

    def __getitem__(self, name: str) -> click.Command:
        module, attribute = _COMMANDS[name][0].split(":")
        command: click.Command = getattr(importlib.import_module(f"nrespipe.cli.{module}"), attribute)
        return command

    def __iter__(self) -> Iterator[str]:
        return iter(_COMMANDS)

    def __len__(self) -> int:
        return len(_COMMANDS)


class _LazyGroup(click.Group):
    """A group that lists its commands without importing them: with the libraries below them that takes a second."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands as click does, from the table."""
        names_only = click.Group(commands=[click.Command(name, help=text) for name, (_, text) in _COMMANDS.items()])
        names_only.format_commands(ctx, formatter)


@click.group(
    cls=_LazyGroup,
    commands=_Loaded(),
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, message="%(version)s")
@click.pass_context
def main(context: click.Context) -> None:
    """Reduce raw frames of the NRES spectrographs to spectra and radial velocities.

    Log lines go to standard error, results to standard output.
    """
    # --version and --help come before this, and need neither
    from nrespipe import logs, settings

    # a plain kill ends the processes of a night as well
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        context.obj = settings.read()
    except ValueError as error:
        raise click.ClickException(str(error)) from error
    logs.configure(context.obj.log_level)
