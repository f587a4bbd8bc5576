"""The products of a science frame, in the EPRV data standard."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from nrespipe.files import fits_io, layout
from nrespipe.files.products import l2, l3, l4
from nrespipe.files.products.product_inputs import ProductInputs, master_names
from nrespipe.frames.raw import Kind, RawFrame

if TYPE_CHECKING:
    from astropy.io.fits import HDUList

    from nrespipe.frames.reduction import Reduction
    from nrespipe.frames.spectrograph import Spectrograph
    from nrespipe.frames.star import Star


def write(
    raw: RawFrame,
    reduction: "Reduction",
    masters: Mapping[str, str | Path],
    spectrograph: "Spectrograph",
    output: str | Path,
    *,
    stars: "Mapping[int, Star] | None" = None,
    steps: Sequence[tuple[str, str]] = (),
    picture: bytes = b"",
    still_mine: Callable[[], bool] | None = None,
) -> list[tuple[str, Path]]:
    """Write the products of each star of a frame; the same input always gives the same bytes.

    Parameters
    ----------
    reduction
        Its reduction.
    masters
        By kind, the file of every master that was used; its directory does not matter.
    stars
        Star of each fiber; one that has a velocity is in the reduction.
    steps
        Function and arguments of each step, for the receipt; the whole recipe as one step where there are none.
    picture
        The drawing of the frame as a PDF; none is written where it is empty.
    still_mine
        As for ``fits_io.write_together``.

    Returns
    -------
    list of (str, Path)
        Level and file of each product: for each star the spectra (``L2``), the joined orders (``L3``) and the velocity
        (``L4``) if there are such; the drawing of the frame (no level) if there is one; none for calibrations. Where a
        frame has two stars, the names of their files have the fiber.

    Raises
    ------
    Unavailable
        If the disk does not take a file, or another process owns the work by now; then nothing was replaced.
    """
    if raw.kind is not Kind.SCIENCE or reduction.spectra is None or reduction.wavelengths is None:
        return []
    names = master_names(masters)
    steps = tuple(steps) or ((f"nrespipe.recipes.{raw.kind}.reduce", " ".join([raw.filename, *names.values()])),)
    # all are made before the first is written: a frame has all of its products or none
    made: list[tuple[str, HDUList | bytes, Path]] = []
    for fiber in raw.star_fibers:
        inputs = ProductInputs(raw, reduction, fiber, names, spectrograph, stars or {}, steps)
        levels = (("L2", l2.build, True), ("L3", l3.build, inputs.stitched), ("L4", l4.build, inputs.velocity))
        for level, build, known in levels:
            if known is not None:
                which = fiber if len(raw.star_fibers) > 1 else None
                path = layout.product_path(output, raw, f"-{level}.fits.fz", which)
                made.append((level, build(inputs, path.name), path))
    if picture:
        made.append(("", picture, layout.product_path(output, raw, ".pdf")))
    fits_io.write_together([(content, path) for _, content, path in made], still_mine)
    return [(level, path) for level, _, path in made]
