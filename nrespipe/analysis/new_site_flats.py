"""Single flats compared with the master that was made of them, for the report of a new site."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from nrespipe.engine.detector import correction
from nrespipe.engine.extraction import profile, scattered_light
from nrespipe.engine.orders import trace_shift
from nrespipe.errors import BadFrame, MissingCalibration, Skipped, Unavailable
from nrespipe.files.raw import raw_file
from nrespipe.frames.image import Image
from nrespipe.frames.masters import Arc, Bias, Dark, Flat
from nrespipe.frames.raw import Kind, RawFrame
from nrespipe.frames.reports import FlatLook

if TYPE_CHECKING:
    from nrespipe.database.tables import Master
    from nrespipe.frames.spectrograph import Spectrograph

#: Masters of a camera by kind.
Masters = Mapping[Kind, Bias | Dark | Flat | Arc]

#: Side of the squares of the image of a flat [pixel].
_SQUARE = 8


def gather(row: "Master", made: Masters, spectrograph: "Spectrograph") -> tuple[FlatLook, ...]:
    """Compare a flat of each set of lit fibers with the master that was made of it.

    Parameters
    ----------
    row
        Row of the master flat, whose inputs are compared.
    made
        The masters, by kind.

    Returns
    -------
    tuple of FlatLook
        None of fibers whose flats can no longer be read.
    """
    seen: dict[str, FlatLook] = {}
    for frame in row.inputs:
        if frame.objects not in seen:
            try:
                seen[frame.objects] = look(raw_file.read(frame.path), made, spectrograph)
            except (Skipped, BadFrame, Unavailable):
                # the file was deleted or moved since the master was made: another flat of these fibers will do
                continue
    return tuple(seen.values())


def look(raw: RawFrame, made: Masters, spectrograph: "Spectrograph") -> FlatLook:
    """Compare a flat with the master that was made of it.

    Parameters
    ----------
    made
        The masters, by kind.

    Raises
    ------
    BadFrame
        If its orders are not at the positions of the master.
    MissingCalibration
        If a master is missing.
    """
    bias, dark, flat, lit = made.get(Kind.BIAS), made.get(Kind.DARK), made.get(Kind.FLAT), raw.lit_fibers
    if not isinstance(bias, Bias) or not isinstance(dark, Dark) or not isinstance(flat, Flat):
        raise MissingCalibration(f"{raw.filename}: bias, dark and flat are needed to compare it with its master")
    image, _ = correction.correct(raw, bias, dark, spectrograph.detector, flat.gain_e_per_adu)
    image = Image(image.electrons, image.floor_variance, image.mask | flat.mask, image.exposure_s)
    rows, columns = (n // _SQUARE * _SQUARE for n in image.electrons.shape)
    squares = image.electrons[:rows, :columns].reshape(rows // _SQUARE, _SQUARE, columns // _SQUARE, _SQUARE)
    middle = image.electrons.shape[1] // 2
    cut = image.electrons[:, middle - 4 : middle + 4].mean(axis=1)
    start = trace_shift.coarse(image, flat.traces, lit)
    clean = scattered_light.subtract(image, start, flat, lit)
    traces, _ = trace_shift.measure(clean, start, flat, lit)
    return FlatLook(raw.filename, lit, squares.mean(axis=(1, 3)), cut, *profile.misfit(clean, traces, flat, lit))
