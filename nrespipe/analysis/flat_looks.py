"""Single flats seen with the master that was made of them, for the report of a new site."""

from typing import TYPE_CHECKING

from nrespipe.engine.detector import correction
from nrespipe.engine.extraction import profile, scattered_light
from nrespipe.engine.orders import trace_shift
from nrespipe.errors import BadFrame, Skipped, Unavailable
from nrespipe.files.raw import raw_file
from nrespipe.frames.image import Image
from nrespipe.frames.raw import Kind, RawFrame
from nrespipe.frames.reports import FlatLook

if TYPE_CHECKING:
    from nrespipe.database.tables import Master
    from nrespipe.frames.spectrograph import Spectrograph

#: Side of the squares of the image of a flat [pixel].
_SQUARE = 8


def gather(row: "Master", made, spectrograph: "Spectrograph") -> tuple[FlatLook, ...]:
    """Look at a flat of each set of lit fibers with the master that was made of it.

    Parameters
    ----------
    row
        Row of the master flat, whose inputs are looked at.
    made : mapping of Kind to Bias, Dark or Flat
        The masters.

    Returns
    -------
    tuple of FlatLook
        None of fibers whose flats can no longer be read.
    """
    seen = {}
    for frame in row.inputs:
        if frame.objects not in seen:
            try:
                seen[frame.objects] = look(raw_file.read(frame.path), made, spectrograph)
            except (Skipped, BadFrame, Unavailable):
                # what was good when the master was made is gone, or lies elsewhere: another one of the pair may serve
                continue
    return tuple(seen.values())


def look(raw: RawFrame, made, spectrograph: "Spectrograph") -> FlatLook:
    """Look at a flat with the master that was made of it.

    Parameters
    ----------
    made : mapping of Kind to Bias, Dark or Flat
        The masters.

    Raises
    ------
    BadFrame
        If its orders do not lie where the master has them.
    """
    flat, lit = made[Kind.FLAT], raw.lit_fibers
    image = correction.correct(raw, made[Kind.BIAS], made[Kind.DARK], spectrograph.detector, flat.gain_e_per_adu)
    image = Image(image.electrons, image.floor_variance, image.mask | flat.mask, image.exposure_s)
    rows, columns = (n // _SQUARE * _SQUARE for n in image.electrons.shape)
    squares = image.electrons[:rows, :columns].reshape(rows // _SQUARE, _SQUARE, columns // _SQUARE, _SQUARE)
    middle = image.electrons.shape[1] // 2
    cut = image.electrons[:, middle - 4 : middle + 4].mean(axis=1)
    start = trace_shift.coarse(image, flat.traces, lit)
    clean = scattered_light.subtract(image, start, flat, lit)
    traces, _ = trace_shift.measure(clean, start, flat, lit)
    return FlatLook(raw.filename, lit, squares.mean(axis=(1, 3)), cut, *profile.misfit(clean, traces, flat, lit))
