"""References of a recipe: masters from their files, stars from the catalog, tables from the package."""

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nrespipe import data
from nrespipe.errors import BadFrame, Skipped, Unavailable
from nrespipe.files import layout, master_files, unpacked_images
from nrespipe.files.catalog import targets
from nrespipe.frames.raw import Kind, RawFrame
from nrespipe.frames.reduction import References
from nrespipe.service.reduction import template_choice

if TYPE_CHECKING:
    from nrespipe.frames.masters import Arc, Bias, Dark, Flat
    from nrespipe.frames.spectrograph import Detector, Spectrograph
    from nrespipe.frames.star import Star
    from nrespipe.service.masters.master_choice import MasterFile
    from nrespipe.service.reduction.template_choice import Candidate


def fetch(
    chosen: "Mapping[Kind, MasterFile]",
    kind: Kind,
    spectrograph: "Spectrograph",
    raw: RawFrame | None = None,
    output: Path | None = None,
    with_velocities: bool = True,
    among: "Sequence[Candidate]" = (),
    **measured: float,
) -> References:
    """Read the references that a recipe needs.

    Parameters
    ----------
    chosen
        File of each master.
    kind
        Whose recipe it is.
    spectrograph
        Names the line list of its lamp.
    raw
        The frame; None where a master is made. A star needs one.
    output
        Output directory, where a catalog of stars may be deployed, and images of masters are kept unpacked; without it
        the catalog of the program is used.
    with_velocities
        Whether velocities are to be measured; without them there are no masks.
    among
        Templates to choose from.
    **measured
        Numbers of the spectrograph from the database: ``drift_scatter_ms``, as in ``References``.

    Raises
    ------
    MissingCalibration, Unavailable
        If a master, a template or the catalog of stars cannot be read.
    """
    read: dict[str, Any] = {str(of): _master(file.path, file.md5, output) for of, file in chosen.items()}
    lamp = data.lamp_lines(spectrograph.line_list) if kind in (Kind.ARC, Kind.SCIENCE) else None
    if raw is None or kind is not Kind.SCIENCE:
        return References(**read, lamp=lamp)
    stars = _stars(raw, spectrograph, output)
    read |= {"lamp": lamp, "stars": stars, **measured}
    if not with_velocities:
        return References(**read)
    read["templates"] = template_choice.choose(among, stars, raw.filename, raw.site)
    masks = {name: data.stellar_lines(name) for name in data.stellar_types()}
    spare = tuple(data.stellar_lines(name) for name in data.SPARE_TYPES)
    return References(**read, masks=masks, spare_masks=spare, tellurics=data.tellurics())


def spectrograph_of(load: "Callable[[str], Spectrograph]", name: str, what: str) -> "Spectrograph":
    """Return the spectrograph that took a frame.

    Parameters
    ----------
    load
        Returns the spectrograph of a name, as ``instruments.load``.
    name
        ``nres01`` ...
    what
        Frame or master it is for, for the message.

    Raises
    ------
    Skipped
        If no table describes it.
    Unavailable
        If its table is damaged: a person may mend it.
    """
    try:
        return load(name)
    except KeyError:
        raise Skipped(f"{what}: no table describes a spectrograph {name}") from None
    except (OSError, ValueError) as error:
        raise Unavailable(f"{what}: the table of {name} cannot be used, correct it: {error}") from error


def require_size(raw: RawFrame, detector: "Detector") -> None:
    """Check that a frame has the size of its detector: a stack of two sizes is none.

    Parameters
    ----------
    detector
        That of its spectrograph.

    Raises
    ------
    BadFrame
        If the light-sensitive part has another size.
    """
    section = raw.data_section
    columns, rows = section.end_column - section.first_column, section.end_row - section.first_row
    if (columns, rows) != (detector.columns, detector.rows):
        raise BadFrame(
            f"{raw.filename}: wrong size: {columns} x {rows} light-sensitive pixels (binning {raw.binning}), "
            f"the detector of {raw.instrument} has {detector.columns} x {detector.rows}"
        )


def _stars(raw: RawFrame, spectrograph: "Spectrograph", output: Path | None) -> "Mapping[int, Star]":
    path = targets.installed() if output is None else targets.in_use(output, raw.site)
    try:
        return targets.stars(raw, spectrograph.fibers, targets.read(path))
    except (OSError, ValueError) as error:
        raise Unavailable(f"{raw.filename}: the catalog of stars {path} cannot be used, correct it: {error}") from error


# the frames of a night use the same few masters, which take longer to read than a frame
@lru_cache(maxsize=6)
def _master(path: str, checksum: str, output: Path | None) -> "Bias | Dark | Flat | Arc":
    if output is None:
        return master_files.read(path)
    unpacked = layout.unpacked_path(output, checksum)
    master = master_files.read(path, unpacked)
    unpacked_images.remove_old(unpacked)
    return master
