"""A new site: from the raw calibrations of a day to working masters, without hand work."""

import os
import shutil

from sqlalchemy import select

from nrespipe import instruments
from nrespipe.database import calibrations
from nrespipe.database.columns import Standing
from nrespipe.database.tables import Master
from nrespipe.files import layout, masters
from nrespipe.frames.quality import Quality
from nrespipe.frames.raw import Kind
from nrespipe.service import night, progress

_KINDS = (Kind.BIAS, Kind.DARK, Kind.FLAT, Kind.ARC)


def register(table, output):
    """Put the table of a new spectrograph where the reductions read it.

    Parameters
    ----------
    table : Path
        A TOML file, in the form of those of the package.
    output : Path
        Output directory.

    Returns
    -------
    Spectrograph
        As the table describes it.

    Raises
    ------
    ValueError
        If the table is not valid; then nothing is changed.
    """
    spectrograph = instruments.read(table)
    target = layout.instruments(output) / f"{spectrograph.name}.toml"
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_suffix(".partial")
    shutil.copyfile(table, partial)
    os.replace(partial, target)
    return spectrograph


def start(assembly, raw_root, site, days=(), report=progress.lines):
    """Make the first masters of a site, and tell what was found.

    Parameters
    ----------
    assembly : Assembly
        What to work with.
    raw_root : Path
        Where the raw files lie.
    site : str
        ``lsc`` ...
    days : collection of str, optional
        Local nights to take; all if empty.
    report : callable, optional
        Shows progress: `progress.bar` or `progress.lines`.

    Returns
    -------
    lines : list of str
        For a person: each master with what it shows, what is missing and why.
    working : bool
        Whether there is a master of every kind that may be used.

    Raises
    ------
    OutputRefused
        If the output directory lies among the raw files.
    """
    summary = night.reduce_all(assembly, raw_root, {site}, set(days), report)
    lines = [f"{sum(summary.counts.values())} frames of {site}: {dict(summary.counts) or 'none found'}"]
    working = True
    with assembly.sessions.begin() as session:
        for kind in _KINDS:
            row = session.scalar(
                select(Master)
                .where(Master.kind == kind, Master.site == site, Master.standing == Standing.CURRENT)
                .order_by(Master.mean_mjd)
                .limit(1)
            )
            if row is None:
                working = False
                lines += [f"{kind}: none"]
            else:
                lines += _told(masters.read(assembly.output / row.path), row, assembly)
        lines += [f"{master.kind} of {master.day}: {master.reason}" for master in calibrations.unmade(session)]
    return [*lines, *(f"{name}: {reason}" for name, _, reason in summary.unhappy)], working


def _told(master, row, assembly):
    judged = assembly.recipes[row.kind].judge(master, None, assembly.spectrographs(row.instrument))
    doubts = ", ".join([*judged.reasons, *Quality(row.quality).names()]) or "nothing against it"
    head = f"{row.kind} of {row.day}, {row.n_inputs} inputs: {doubts}: {assembly.output / row.path}"
    return [head, *(f"  {line}" for line in _SHOWN[row.kind](master))]


def _bias(master):
    return [f"read noise {master.read_noise_adu:.2f} ADU"]


def _dark(master):
    return [f"{(master.mask > 0).mean():.3%} of the pixels are hot or unsteady"]


def _flat(master):
    traces = master.traces
    middle = traces.centers[:, :, traces.centers.shape[2] // 2]
    rows = [f"fiber {f}: rows {r[0]:.1f} to {r[-1]:.1f} in the middle" for f, r in zip(traces.fibers, middle)]
    orders = f"orders {traces.orders[0]} to {traces.orders[-1]}, {len(traces.orders)} in all"
    return [orders, *rows, f"gain {master.gain_e_per_adu:.3f} +- {master.gain_error:.3f} electron / ADU"]


def _arc(master):
    scale = master.solution
    return [
        f"fiber {fiber}: {lines} lines, scatter {scatter:.0f} m/s, zero point +- {error:.1f} m/s"
        for fiber, lines, scatter, error in zip(
            scale.fibers, scale.n_lines, scale.scatter_ms, master.transfer_error_ms, strict=True
        )
    ]


_SHOWN = {Kind.BIAS: _bias, Kind.DARK: _dark, Kind.FLAT: _flat, Kind.ARC: _arc}
