"""How far each line of the lamp has moved from one spectrum to another."""

import numpy as np

from nrespipe.engine.wavelength import arc_lines
from nrespipe.frames.arrays import Floats, Integers
from nrespipe.numerics import peaks


class Lamp:
    """Spectra of the lamp in one fiber, moved by whole pixels, without background.

    Parameters
    ----------
    spectra : Spectra
        Which show the lamp.
    fiber : int
        Fiber number.
    rows : ndarray of int, shape (n_rows,)
        Which of their orders.
    coarse : int
        How far they lie to the right of where they are wanted [pixel].
    """

    def __init__(self, spectra, fiber, rows, coarse):
        flux, variance, weight = arc_lines.prepared(spectra, fiber)
        self.flux, self.variance, self.good = (np.roll(a[rows], -coarse, axis=1) for a in (flux, variance, weight > 0))


def compare(
    frame: Lamp, reference: Lamp, row: Integers, start: Floats, tables: Floats, rounds: int = 3
) -> tuple[Integers, Floats, Floats]:
    """Compare the centers of lines in two spectra.

    Parameters
    ----------
    frame, reference
        Spectra with the same rows.
    row : shape (n_lines,)
        Row of each line.
    start : shape (n_lines, 3)
        Flux, center and width in the reference.
    tables : shape (n_lines, 3 + n_offsets)
        Profiles.
    rounds
        How often all lines are fitted, with their neighbors taken away.

    Returns
    -------
    index : ndarray of int, shape (n_compared,)
        Which of the lines.
    moved, error : ndarray of float, shape (n_compared,)
        How much larger the center is in the frame, and the error of that [pixel].

    Notes
    -----
    The weights are those of the lines as they are drawn with their centers in each spectrum, so that they move with
    them. Weights that stay on the pixels hold a line back: three thousandths of any move were missed.
    """
    level = _level(frame, reference, row, start)
    floor, good = _floor(frame), frame.good & reference.good
    fits = []
    for lamp, factor in ((frame, level), (reference, 1.0)):
        now = start * [factor, 1, 1]
        for _ in range(rounds):
            model = peaks.render(*lamp.flux.shape, row, *now.T, tables, 2.4)
            weight = np.where(good, 1 / (floor + level / factor * model), 0.0)
            fit = peaks.fit(lamp.flux - model, weight, lamp.variance, row, now, tables, 1.5, False)
            found = np.isfinite(fit[:, 1])
            now = np.where(found[:, None], np.column_stack([fit[:, :2], start[:, 2]]), now * [0, 1, 1])
        fits.append(fit)
    a, b = fits
    error = np.hypot(a[:, 4], b[:, 4])
    sound = np.isfinite(error) & (a[:, 0] > 3 * a[:, 5]) & (b[:, 0] > 3 * b[:, 5])
    # a peak of the noise, or a cosmic ray, is not as bright as the lamp makes the line
    sound &= np.abs(a[:, 0] - level * b[:, 0]) < 0.5 * level * b[:, 0] + 2.5 * a[:, 5]
    return np.flatnonzero(sound), (a - b)[sound, 1], error[sound]


def _floor(frame):
    """Variance of the pixels between the lines, per row."""
    return np.array([[np.percentile(v[g], 20) if g.any() else 1.0] for v, g in zip(frame.variance, frame.good)])


def _level(frame, reference, row, start):
    pixel = np.clip(np.rint(start[:, 1]).astype(int), 1, frame.flux.shape[1] - 2)
    ours, theirs = (sum(lamp.flux[row, pixel + i] for i in (-1, 0, 1)) for lamp in (frame, reference))
    bright = theirs > np.percentile(theirs, 50) if len(theirs) else np.zeros(0, bool)
    return max(1e-4, float(np.median(ours[bright] / theirs[bright]))) if bright.any() else 1.0
