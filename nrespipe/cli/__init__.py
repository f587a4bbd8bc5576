"""The commands: a thin face, every one calls one function of the service."""

import importlib
import signal
import sys
from collections.abc import Iterator, Mapping

import click

from nrespipe import __version__

#: Where each command is, and the first sentence of its help: the list of commands is shown without importing any.
_COMMANDS = {
    "compile": ("kernels:compile_command", "Compile the numerical kernels, so that no frame has to wait for it."),
    "database": ("database:database_group", "Upgrade, check and back up the database."),
    "demo": (
        "simulation:demo_command",
        "Simulate a small night, reduce it, and print injected against measured velocities.",
    ),
    "doctor": ("daemon:doctor_command", "Look whether the service can work: database, brokers, disk, masters, clock."),
    "drifts": (
        "answers:drifts_command",
        "List how far the spectrograph had drifted in every frame that is done, in order of time.",
    ),
    "export": (
        "exports:export_command",
        "Write TABLE as comma-separated text: the calibrations, the velocities, or the masters with what was said of"
        " them.",
    ),
    "listen": (
        "daemon:listen_command",
        "Write down the raw frames that the broker FITS_BROKER tells of, and wake the workers.",
    ),
    "masters": ("masters:masters_group", "List, compare and judge master calibrations."),
    "night": ("reduction:night_command", "Reduce every raw frame below RAW_ROOT, masters first."),
    "reconcile": (
        "daemon:reconcile_command",
        "Find the raw frames of a night that nobody has told of, and bring them to the service.",
    ),
    "reduce": (
        "reduction:reduce_command",
        "Reduce raw FILES with the masters that DIR has, whether or not they were reduced before.",
    ),
    "reprocess": (
        "reprocessing:reprocess_command",
        "Reduce the frames of some nights again and make their masters again, after a change of program or masters.",
    ),
    "requeue": (
        "daemon:requeue_command",
        "Ask for frames to be worked on again: by their NAMES, their state, or both.",
    ),
    "run": ("daemon:run_command", "Be the whole service in one program, without a broker or a database server."),
    "schedule": (
        "daemon:schedule_command",
        "Write down the masters that are owed, and wake workers for all that is due; two of these do no harm.",
    ),
    "simulate": ("simulation:simulate_group", "Make raw frames with known truth."),
    "site": ("site:site_group", "Put a new site, or a new spectrograph, to work."),
    "status": (
        "answers:status_command",
        "Count the frames of each night by kind and state, and list those that are not done, with the reason.",
    ),
    "submit": ("daemon:submit_command", "Bring raw frames to the service: files, or directories that hold some."),
    "summary": (
        "summary:summary_command",
        "Sum up a night: frames by state, what is not done and why, masters, stars, drift; as a page and as a PDF.",
    ),
    "targets": ("targets:targets_group", "Check the catalog of stars, and put a new one to use."),
    "template": ("templates:template_group", "Make templates of stars from their spectra, and list those in use."),
    "velocities": (
        "velocities:velocities_command",
        "List radial velocities: of every star of every frame that is done, or the series of STAR over all sites.",
    ),
    "why": (
        "answers:why_command",
        "Tell all that is known of the frame or the master NAME: state, reason, every attempt, products.",
    ),
    "work": (
        "daemon:work_command",
        "Reduce frames (queue reduction), make masters (periodic) or deliver products (deliveries), as messages tell.",
    ),
    "zeropoints": (
        "zeropoints:zeropoints_group",
        "Measure what all constant stars of a night are off together, and list it.",
    ),
}


class _Loaded(Mapping[str, click.Command]):
    """The commands by name, each imported when it is asked for."""

    def __getitem__(self, name: str) -> click.Command:
        module, attribute = _COMMANDS[name][0].split(":")
        return getattr(importlib.import_module(f"nrespipe.cli.{module}"), attribute)

    def __iter__(self) -> Iterator[str]:
        return iter(_COMMANDS)

    def __len__(self) -> int:
        return len(_COMMANDS)


class _LazyGroup(click.Group):
    """A group that lists its commands without importing them: with the libraries below them that takes a second."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands as click does, from the table."""
        names_only = click.Group(commands=[click.Command(name, help=told) for name, (_, told) in _COMMANDS.items()])
        names_only.format_commands(ctx, formatter)


@click.group(
    cls=_LazyGroup,
    commands=_Loaded(),
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, message="%(version)s")
@click.pass_context
def main(context) -> None:
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
