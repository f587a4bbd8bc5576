"""Start a new site: from the raw calibrations of a day to working masters, without hand work."""

import shutil
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from nrespipe import instruments
from nrespipe.analysis import new_site_report
from nrespipe.files import layout
from nrespipe.files.atomic_files import replacing
from nrespipe.files.raw.identity import without_name as bare
from nrespipe.service.batch import night
from nrespipe.service.operations import progress_bar
from nrespipe.service.operations.progress_bar import Report

if TYPE_CHECKING:
    from nrespipe.frames.spectrograph import Spectrograph
    from nrespipe.service.assembly import Assembly


def register(table: Path, output: Path, site: str) -> "Spectrograph":
    """Copy the table of a new spectrograph to where the reductions read it.

    Parameters
    ----------
    table
        A TOML file, in the form of those of the package.
    site
        Site of the spectrograph, which the table must name too.

    Returns
    -------
    Spectrograph
        As the table describes it.

    Raises
    ------
    ValueError
        If the table is not valid, or that of a spectrograph elsewhere; then nothing is changed.
    """
    spectrograph = instruments.read(table)
    if spectrograph.site != site:
        # a copied table that still names the site of the other one would find no frames
        raise ValueError(
            f"{table.name}: site is {spectrograph.site}; expected {site}, the site of the command. Correct one of them"
        )
    target = layout.instruments(output) / f"{spectrograph.name}.toml"
    with replacing(target) as partial:
        shutil.copyfile(table, partial)
    return spectrograph


def start(
    assembly: "Assembly",
    raw_root: Path,
    site: str,
    days: Collection[str] = (),
    report: Report = progress_bar.lines,
) -> tuple[list[str], bool]:
    """Make the first masters of a site, and write a report.

    Parameters
    ----------
    raw_root
        Directory of the raw files.
    site
        ``lsc`` ...
    days
        Local nights to take; all if empty.
    report
        Shows progress.

    Returns
    -------
    lines : list of str
        For a person: each master with its numbers, missing masters and why, what to do next, and the path of the
        report.
    working : bool
        Whether a camera has a usable master of every kind.

    Raises
    ------
    OutputRefused, LookupError
        As `night.reduce_all` does.
    """
    summary = night.reduce_all(assembly, raw_root, {site}, set(days), report)
    with assembly.readers.begin() as session:
        found = new_site_report.gather(session, assembly, site, days)
    counts = ", ".join(f"{count} {state}" for state, count in sorted(summary.counts.items()))
    lines = [f"{sum(summary.counts.values())} frames of {site}: {counts}"]
    for camera in found:
        lines += [
            camera.name,
            *(f"  {line}" for line in (*camera.findings, "what to do next:")),
            *_indented(camera.advice),
        ]
    others = [
        f"{name}: {bare(reason, name)}"
        for name, _, reason in summary.unhappy
        if not any(name in line for line in lines)
    ]
    path = new_site_report.write(found, assembly.output, site, others)
    working = any(set(camera.masters) == set(new_site_report.KINDS) for camera in found)
    return [*lines, *others, f"report: {path}"], working


def _indented(lines: Sequence[str]) -> list[str]:
    return [f"    {line}" for line in lines]
