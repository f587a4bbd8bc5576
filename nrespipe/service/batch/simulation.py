"""Simulate nights, and compare the velocities of their reduction with the injected ones."""

import csv
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict, Unpack

from sqlalchemy.orm import Session, sessionmaker

from nrespipe import instruments
from nrespipe.database import measurements
from nrespipe.files.catalog import targets
from nrespipe.frames.star import name_key
from nrespipe.service.batch import night as nights
from nrespipe.service.operations import kernels
from nrespipe.service.operations.progress_bar import Report
from nrespipe.service.outcome import RunJobs
from nrespipe.service.work import process_pool

if TYPE_CHECKING:
    from nrespipe.frames.spectrograph import Spectrograph
    from nrespipe.frames.star import Star
    from nrespipe.service.assembly import Assembly
    from nrespipe.service.batch.night import Summary


class Counts(TypedDict, total=False):
    """Numbers of calibration frames of a simulated night."""

    n_bias: int
    n_dark: int
    n_flat: int
    n_arc: int


#: Stars of the demonstration: on fiber 0, on fiber 2, and two at once.
DEMO_STARS = ("HD102365:120", "HD126053:60:2", "HD22049:100+HD76151:70")
#: The fewest calibrations that determine gain, read noise and four arcs.
_DEMO_COUNTS: Counts = {"n_bias": 3, "n_dark": 2, "n_flat": 2, "n_arc": 2}

#: The demonstration fails where a star is off by more than this many errors, or by more than this velocity [m / s].
MOST_ERRORS, MOST_OFF_MS = 5.0, 30.0


@dataclass(frozen=True)
class Comparison:
    """Injected against measured velocity of one star.

    Attributes
    ----------
    filename, object
        The frame and the star.
    fiber
        Its fiber.
    snr
        Signal-to-noise ratio per pixel.
    injected_ms
        Velocity that the simulator put in [m / s].
    measured_ms, error_ms, absolute_error_ms
        Velocity that the reduction measured, its error within a series of the star, and its error as an absolute one,
        with those of line mask and lamp scale; None where it measured none [m / s].
    """

    filename: str
    object: str
    fiber: int
    snr: float | None
    injected_ms: float
    measured_ms: float | None
    error_ms: float | None
    absolute_error_ms: float | None

    @property
    def agrees(self) -> bool:
        """Whether the two differ by less than the limits."""
        if self.measured_ms is None or not self.absolute_error_ms:
            return False
        off_ms = abs(self.measured_ms - self.injected_ms)
        return off_ms <= MOST_OFF_MS and off_ms <= MOST_ERRORS * self.absolute_error_ms

    def cells(self) -> list[str]:
        """Return the row of a table.

        Returns
        -------
        list of str
            Under `HEADINGS`.
        """
        head = [self.object, str(self.fiber)]
        if self.measured_ms is None:
            return [*head, "-", f"{self.injected_ms:.2f}", "-", "-", "-", "-", "-"]
        off_ms = self.measured_ms - self.injected_ms
        pull = f"{off_ms / self.absolute_error_ms:+.1f}" if self.absolute_error_ms else "-"
        return [
            *head,
            "-" if self.snr is None else f"{self.snr:.0f}",
            f"{self.injected_ms:.2f}",
            f"{self.measured_ms:.2f}",
            *("-" if one is None else f"{one:.2f}" for one in (self.error_ms, self.absolute_error_ms)),
            f"{off_ms:+.2f}",
            pull,
        ]


#: Headings of the columns of `Comparison.cells`; velocities in m/s.
HEADINGS = (
    "object", "fiber", "S/N", "injected", "measured", "error", "absolute error", "difference", "in absolute errors",
)  # fmt: skip


def write_nights(
    out: Path,
    site: str,
    day: str,
    n_nights: int,
    seed: int,
    observed: Sequence[str],
    report: Report,
    run: RunJobs = process_pool.run_serially,
    keep: bool = False,
    table: Path | None = None,
    **counts: Unpack[Counts],
) -> list[Path]:
    """Simulate nights of one site.

    Parameters
    ----------
    out
        Top of the archive to write.
    site
        ``lsc`` ...
    day
        First local night, ``YYYYMMDD``.
    n_nights
        How many, one after the other.
    seed
        Of noise and clouds.
    observed
        Stars, each ``name[:snr[:fiber]]``; two at once are joined by a plus.
    report
        Shows progress.
    run
        Runs a function on jobs, as ``process_pool.open`` gives it; one after the other if not given.
    keep
        Whether frames of the same night that are there already are left as they are.
    table
        Table of the spectrograph, in place of that of the package for the site.
    **counts
        ``n_bias``, ``n_dark``, ``n_flat``, ``n_arc`` of the simulator.

    Returns
    -------
    list of Path
        Directories of the nights.

    Raises
    ------
    ValueError
        If the site, the table, the day or a star cannot be understood.
    """
    # here, not above: the simulator brings the compiler of the kernels with it, and most commands need neither
    from nrespipe.simulator import night, stars

    spectrograph = spectrograph_at(site) if table is None else _tabled(table, site)
    exposures = [stars.parse(text, _catalog()) for text in observed]
    first = _date(day)
    written = []
    for one in (f"{first + timedelta(days=i):%Y%m%d}" for i in range(n_nights)):
        with report(f"simulating {one}", _n_frames(spectrograph, len(exposures), **counts)) as advance:
            path = night.write(
                out,
                spectrograph,
                one,
                seed=seed,
                stars=exposures,
                keep=keep,
                run=lambda work, shots: process_pool.require_values(run(work, shots)),
                progress=lambda path, advance=advance: advance(path.name),
                **counts,
            )
        written.append(path)
    return written


def spectrograph_at(site: str) -> "Spectrograph":
    """Return the spectrograph of a site.

    Parameters
    ----------
    site
        ``lsc`` ...

    Raises
    ------
    ValueError
        If there is none.
    """
    known = {spectrograph.site: spectrograph for spectrograph in map(instruments.load, instruments.names())}
    if site not in known:
        raise ValueError(f"no spectrograph at {site!r}; known: {', '.join(sorted(known))}")
    return known[site]


def _tabled(table: Path, site: str) -> "Spectrograph":
    """Spectrograph of a table, which must have all that frames need."""
    spectrograph = instruments.read(table)
    if spectrograph.site != site:
        raise ValueError(
            f"{table.name}: site is {spectrograph.site}; expected {site}, the site of the command. Correct one of them"
        )
    if not spectrograph.cameras or math.isnan(spectrograph.longitude_deg):
        raise ValueError(f"{table.name}: to simulate frames, a table needs a position and a name in cameras")
    return spectrograph


def demonstrate(assembly: "Assembly", raw_root: Path, report: Report) -> "tuple[list[Comparison], Summary]":
    """Simulate a small night, reduce it, and compare; what an earlier call has done is not done again.

    Parameters
    ----------
    assembly
        What to reduce with.
    raw_root
        Where the simulated frames go.
    report
        Shows progress.

    Returns
    -------
    comparisons : list of Comparison
        One a star.
    summary : Summary
        Of the reduction.
    """
    with process_pool.open(assembly.processes) as run:
        kernels.prepare(run, report, kernels.SIMULATION + kernels.REDUCTION)
        (path,) = write_nights(raw_root, "lsc", "20190405", 1, 7, DEMO_STARS, report, run, keep=True, **_DEMO_COUNTS)
    summary = nights.reduce_all(assembly, path / "raw", report=report)
    return compare(assembly.readers, path / "truth" / "velocities.csv"), summary


def compare(sessions: sessionmaker[Session], truth: Path) -> list[Comparison]:
    """Compare measured velocities with the injected ones.

    Parameters
    ----------
    truth
        ``velocities.csv`` of a simulated night.

    Returns
    -------
    list of Comparison
        One for each star of the truth, in its order.
    """
    with sessions.begin() as session:
        measured = {(row["filename"], row["fiber"]): row for row in measurements.velocity_table(session)}
    with truth.open(newline="", encoding="utf-8") as opened:
        return [_compared(row, measured) for row in csv.DictReader(opened)]


def _date(day: str) -> date:
    try:
        return datetime.strptime(day, "%Y%m%d").date()
    except ValueError:
        raise ValueError(f"no day {day!r}; expected YYYYMMDD") from None


def _catalog() -> "dict[str, Star]":
    """Stars of the catalog by every name they have, so that a simulated star is where the reduction looks for it."""
    known = targets.read(targets.installed())
    return {name_key(name): star for star in known for name in (star.name, *star.aliases)}


def _compared(row: Mapping[str, str], measured: Mapping[tuple[str, int], Mapping[str, Any]]) -> Comparison:
    found = measured.get((row["filename"], int(row["fiber"])), {})
    return Comparison(
        filename=row["filename"],
        object=row["object"],
        fiber=int(row["fiber"]),
        snr=found.get("snr"),
        injected_ms=float(row["rv_ms"]),
        measured_ms=found.get("rv_ms"),
        error_ms=found.get("rv_err_ms"),
        absolute_error_ms=found.get("rv_abs_err_ms"),
    )


def _n_frames(
    spectrograph: "Spectrograph", n_stars: int, n_bias: int = 5, n_dark: int = 3, n_flat: int = 5, n_arc: int = 3
) -> int:
    return n_bias + n_dark + (n_flat + n_arc) * len(spectrograph.fibers.star) + n_stars
