"""The commands: a thin face, every one calls one function of the service."""

import signal
import sys

import click

from nrespipe import __version__, logs, settings
from nrespipe.cli import (
    answers,
    daemon,
    exports,
    kernels,
    masters,
    reduction,
    reprocessing,
    simulation,
    site,
    summary,
    targets,
    templates,
    velocities,
    zeropoints,
)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, message="%(version)s")
@click.pass_context
def main(context):
    """Reduce raw frames of the NRES spectrographs to spectra and radial velocities.

    Log lines go to standard error, results to standard output.
    """
    # a plain kill ends the processes of a night as well
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        context.obj = settings.read()
    except ValueError as error:
        raise click.ClickException(str(error)) from error
    logs.configure(context.obj.log_level)


for _command in (
    reduction.night_command,
    reduction.reduce_command,
    answers.status_command,
    answers.why_command,
    velocities.velocities_command,
    zeropoints.zeropoints_group,
    answers.drifts_command,
    exports.export_command,
    daemon.run_command,
    daemon.submit_command,
    daemon.requeue_command,
    daemon.reconcile_command,
    daemon.listen_command,
    daemon.work_command,
    daemon.schedule_command,
    daemon.doctor_command,
    masters.masters_group,
    reprocessing.reprocess_command,
    site.site_group,
    summary.summary_command,
    targets.targets_group,
    templates.template_group,
    simulation.simulate_group,
    simulation.demo_command,
    kernels.compile_command,
):
    main.add_command(_command)
