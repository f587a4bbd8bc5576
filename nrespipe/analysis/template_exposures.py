"""Velocities of the exposures of a template in which they have no part."""

from pathlib import Path
from typing import TYPE_CHECKING

from nrespipe.database import star_templates as rows
from nrespipe.errors import MissingCalibration
from nrespipe.files import template_files as files
from nrespipe.files.catalog import star_match

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from nrespipe.frames.template import LeftOut


def of_star(
    session: "Session", output: Path, names: set[str], site: str = ""
) -> "dict[tuple[str, int], tuple[str, LeftOut]]":
    """Return what the templates of a star say of their own exposures.

    Parameters
    ----------
    names
        All names of the star, as ``star_match.key`` gives them.
    site
        Only templates of this site.

    Returns
    -------
    dict of (str, int) to (str, LeftOut)
        By frame and fiber: the star of the template, and the velocity by all other exposures. A template whose file is
        gone says nothing; of several the newest counts.
    """
    found = {}
    for row in rows.current(session):
        if star_match.key(row.star) not in names or site not in ("", row.site):
            continue
        try:
            template = files.read(output / row.path)
        except MissingCalibration:
            continue
        for one in template.left_out:
            found.setdefault((one.name, one.fiber), (row.star, one))
    return found
