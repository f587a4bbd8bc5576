"""The commands: each calls one function of the service or of the analysis."""

import importlib
import signal
import sys
from collections.abc import Iterator, Mapping

import click

from nrespipe import __version__

#: The commands by group: module of each, and the first sentence of its help. The list of commands is shown from here,
#: without importing any.
_GROUPS = {
    "Reduce": {
        "night": ("reduction:night_command", "Reduce every raw frame below RAW_ROOT, masters first."),
        "reduce": ("reduction:reduce_command", "Reduce raw FILES with the masters that exist."),
        "reprocess": ("reduction:reprocess_command", "Make the masters and products of some nights again."),
        "site": ("reduction:site_group", "Put a new site or a new spectrograph to work."),
    },
    "Look": {
        "status": ("results:status_command", "Count frames by night and state; list the problems."),
        "why": ("results:why_command", "Show the history of the frame or the master NAME."),
        "plot": ("results:plot_command", "Draw the frame NAME again."),
        "velocities": ("velocities:velocities_command", "List radial velocities: of all stars, or of STAR."),
        "drifts": ("results:drifts_command", "List the drift of the spectrograph in the last nights."),
        "summary": ("results:summary_command", "Write the summary of a night as a page and a PDF."),
        "export": ("results:export_command", "Write a TABLE of results as comma-separated text."),
    },
    "Masters": {
        "masters": ("masters:masters_group", "List, compare, draw and review master calibrations."),
        "zeropoints": ("velocities:zeropoints_group", "Measure and list the zero points of nights."),
        "template": ("velocities:template_group", "Make and list templates of stars."),
        "targets": ("velocities:targets_group", "Check the catalog of stars, or deploy a new one."),
    },
    "Service": {
        "run": ("service:run_command", "Run the whole service in one program."),
        "listen": ("service:listen_command", "Register the raw frames that the broker announces."),
        "work": ("service:work_command", "Reduce frames, make masters, or deliver products."),
        "schedule": ("service:schedule_command", "Schedule masters and summaries; notify workers."),
        "submit": ("service:submit_command", "Submit raw frames to the service."),
        "requeue": ("service:requeue_command", "Make frames due again."),
        "reconcile": ("service:reconcile_command", "Submit the raw frames that no message announced."),
        "doctor": ("service:doctor_command", "Check whether the service can work."),
        "database": ("service:database_group", "Upgrade, check and back up the database."),
    },
    "Try": {
        "demo": ("simulation:demo_command", "Simulate a small night and reduce it."),
        "simulate": ("simulation:simulate_group", "Make raw frames with known truth."),
        "compile": ("simulation:compile_command", "Compile the numerical kernels."),
    },
}
_COMMANDS = {name: command for group in _GROUPS.values() for name, command in group.items()}


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

    def invoke(self, ctx: click.Context) -> object:
        """Run the command; an interrupt ends it with the status that shells expect."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            click.echo("\nStopped. Whatever is done is kept: give the same command again to do the rest.", err=True)
            sys.exit(128 + signal.SIGINT)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands by group, from the table."""
        widest = max(map(len, _COMMANDS))
        for heading, group in _GROUPS.items():
            with formatter.section(heading):
                formatter.write_dl([(f"{name:<{widest}}", words) for name, (_, words) in group.items()])


@click.group(
    cls=_LazyGroup,
    commands=_Loaded(),
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, message="%(version)s")
@click.option(
    "--log-format",
    type=click.Choice(["text", "json", "auto"]),
    help="Form of log lines. Default: NRES_LOG_FORMAT, or text at a terminal and JSON elsewhere.",
)
@click.pass_context
def main(context: click.Context, log_format: str | None) -> None:
    """Reduce raw frames of the NRES spectrographs to spectra and radial velocities.

    Log lines go to standard error, results to standard output.
    """
    # --version and --help come before this, and need neither
    from nrespipe import logs, settings

    # a plain kill ends the processes of a night as well
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        given = settings.read()
        context.obj = settings.change(given, log_format=log_format or given.log_format)
    except ValueError as error:
        raise click.ClickException(str(error)) from error
    logs.configure(context.obj.log_level, context.obj.log_format)
