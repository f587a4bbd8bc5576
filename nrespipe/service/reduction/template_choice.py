"""Templates of stars that a frame may use."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from nrespipe.database import star_templates as rows
from nrespipe.errors import MissingCalibration
from nrespipe.files import template_files as files
from nrespipe.frames.template import Template

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from nrespipe.frames.star import Star


@dataclass(frozen=True)
class Candidate:
    """A template that a frame may use, without its spectrum.

    Attributes
    ----------
    path, md5
        The file and its checksum.
    summary
        The columns of its row: star, site, inputs, times; its arrays are empty.
    """

    path: str
    md5: str
    summary: Template


def candidates(session: "Session", output: Path, day: str) -> tuple[Candidate, ...]:
    """Return the templates that the frames of a night may use.

    Parameters
    ----------
    day
        The night, ``YYYYMMDD``.
    """
    return tuple(Candidate(str(output / row.path), row.md5, rows.summary(row)) for row in rows.current(session, day))


def choose(among: Sequence[Candidate], stars: "Mapping[int, Star]", filename: str, site: str) -> dict[int, Template]:
    """Choose a template for each star of a frame, and read it.

    Parameters
    ----------
    filename
        The frame: a template that it is part of is not used, because it contains the noise of the very frame.
    site
        Where it was taken.

    Returns
    -------
    dict of int to Template
        By fiber; no entry for a star that none fits.
    """
    # here, not above: the engine brings the compiler of the kernels with it
    from nrespipe.engine.velocity import template

    able = {id(one.summary): one for one in among if filename not in one.summary.inputs}
    chosen = {}
    for fiber, star in stars.items():
        known = template.choose([one.summary for one in able.values()], star, site=site)
        if known is not None:
            chosen[fiber] = _read(able[id(known)].path, able[id(known)].md5)
    return chosen


@lru_cache(maxsize=6)
def _read(path: str, _checksum: str) -> Template:
    try:
        return files.read(Path(path))
    except MissingCalibration as error:
        raise MissingCalibration(f"{error}: nrespipe template build") from error
