"""Reduce one frame: read it and its references, run the recipe, write the products."""

import time
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import structlog

from nrespipe import __version__
from nrespipe.analysis import frame_drawing
from nrespipe.errors import MissingCalibration
from nrespipe.files.atomic_files import md5
from nrespipe.files.products import frame_products
from nrespipe.files.raw import raw_file
from nrespipe.frames.quality import Quality
from nrespipe.service.reduction import frame_results, recipe_references

if TYPE_CHECKING:
    from nrespipe.frames.raw import RawFrame
    from nrespipe.frames.reduction import Reduction, References
    from nrespipe.frames.spectrograph import Spectrograph
    from nrespipe.service.reduction.frame_jobs import Job
    from nrespipe.service.reduction.frame_results import Result

_log = structlog.get_logger(__name__)


def reduce(job: "Job", still_mine: Callable[[], bool] | None = None) -> "Result":
    """Reduce one frame and write its products; runs in any process.

    Parameters
    ----------
    still_mine
        Returns whether the frame still belongs to this process; called just before products are replaced. It always
        does if not given.

    Raises
    ------
    Skipped, BadFrame, MissingCalibration, Unavailable
        As the readers, the recipe and the writers do.
    """
    watch = _Watch()
    raw = raw_file.read(job.path)
    watch.lap("read")
    spectrograph = recipe_references.spectrograph_of(job.spectrographs, raw.instrument, raw.filename)
    recipe_references.require_size(raw, spectrograph.detector)
    if job.missing:
        # not before the frame was read: a damaged one would wait for nothing
        raise MissingCalibration(job.missing)
    refs = recipe_references.fetch(
        job.masters, raw.kind, spectrograph, raw, job.output, job.with_velocities, job.templates,
        drift_scatter_ms=job.drift_scatter_ms,
    )  # fmt: skip
    watch.lap("references")
    reduction = _flagged(
        job.recipe.reduce(raw, refs, spectrograph), job.flags | raw.quality | spectrograph.place_flags(raw)
    )
    watch.lap("recipe")
    picture = b""
    if job.is_drawn:
        picture = _picture(job, raw, reduction, refs, spectrograph)
        if not picture:
            reduction = _flagged(reduction, Quality.NOT_DRAWN)
        watch.lap("drawing")
    paths: dict[str, str] = {kind: file.path for kind, file in job.masters.items()}
    written = frame_products.write(
        raw, reduction, paths, spectrograph, job.output, stars=refs.stars, picture=picture,
        still_mine=still_mine,
    )  # fmt: skip
    products = tuple((level, str(path.relative_to(job.output)), md5(path)) for level, path in written)
    watch.lap("products")
    return frame_results.of_reduction(raw, reduction, products, paths, job.output, watch.laps)


def _picture(
    job: "Job", raw: "RawFrame", reduction: "Reduction", refs: "References", spectrograph: "Spectrograph"
) -> bytes:
    """Return the drawing of a frame as a PDF; nothing where there is none, or where drawing fails."""
    if reduction.spectra is None:
        return b""
    try:
        return frame_drawing.pdf(
            frame_drawing.report_of(
                raw, reduction, spectrograph, flat=refs.flat, arc=refs.arc, masters=job.masters_used,
                earlier=job.earlier, version=__version__,
            )
        )  # fmt: skip
    except Exception:
        # whatever fails here, the spectra and the velocities are as good as without it
        _log.exception("frame not drawn", filename=raw.filename)
        return b""


class _Watch:
    """Measures how long each of some steps takes [second]."""

    def __init__(self) -> None:
        self.laps: dict[str, float] = {}
        self._begin = time.perf_counter()

    def lap(self, step: str) -> None:
        now = time.perf_counter()
        self.laps[step], self._begin = now - self._begin, now


def _flagged(reduction: "Reduction", flags: Quality) -> "Reduction":
    velocities = tuple(replace(velocity, quality=velocity.quality | flags) for velocity in reduction.velocities)
    return replace(reduction, quality=reduction.quality | flags, velocities=velocities)
