"""Compare the lamp in the rows of two spectra: which rows are the same, and how far one lies to the right."""

import numpy as np

from nrespipe.frames.arrays import Floats
from nrespipe.frames.spectra import Spectra

#: Farthest whole-pixel move that is looked for [pixel].
_FARTHEST = 12
#: Fewest rows that two spectra must share for their numbers to be compared.
_FEWEST_ROWS = 3
#: Correlation of all rows, in units of what noise gives, from which on a lamp is seen; noise alone has 6 at most.
_SEEN = 10.0
#: Right numbers have a correlation that is larger than that of any others by this factor or more. Simulated arcs have a
#: factor of 14 to 35 with 47 to 67 rows, and 3 with three rows and three thousandths of the light. Spectra without a
#: row in common have 1.3 at most.
_CONTRAST = 2.0


def renumbering(spectra: Spectra, reference: Spectra, fiber: int) -> int | None:
    """Find what to add to the order numbers of spectra so that the lamp shows what it shows in the reference.

    Parameters
    ----------
    spectra, reference
        Both with the fiber. Their numbers may be off by a constant and have gaps.
    fiber
        A fiber that shows the lamp in the reference.

    Returns
    -------
    int or None
        None where the spectra show no lamp, or where two numberings fit about as well.

    Notes
    -----
    Every row of one is correlated with every row of the other, at shifts of up to 13 pixels. A numbering is a set of
    pairs; its score is the correlation of all its pairs together, times the root of their number.
    """
    ours, theirs = (_outline(lamp.of(fiber)[0]) for lamp in (spectra, reference))
    fewest = min(_FEWEST_ROWS, len(ours), len(theirs))
    norms = _square(ours)[:, None] * _square(theirs)
    alike = np.array([_inner(ours, shift) @ _inner(theirs).T for shift in _shifts()])
    added = np.asarray(reference.orders) - np.asarray(spectra.orders)[:, None]
    scores = {}
    for number in range(added.min(), added.max() + 1):
        pairs = added == number
        if pairs.sum() >= fewest:
            scores[number] = _score(alike[:, pairs].sum(axis=1), norms[pairs], ours.shape[1]).max()
    ranked = sorted(scores, key=scores.get, reverse=True)
    if not ranked or scores[ranked[0]] < _SEEN:
        return None
    if len(ranked) > 1 and scores[ranked[0]] < _CONTRAST * scores[ranked[1]]:
        return None
    return int(ranked[0])


def whole_pixels(ours: Floats, theirs: Floats) -> int | None:
    """Find how far the lamp in one spectrum lies to the right of that in another, row by row the same orders.

    Parameters
    ----------
    ours, theirs : shape (n_rows, n_pixels)
        Flux of the lamp [electron].

    Returns
    -------
    int or None
        Whole pixels; None where one of them shows no lamp.
    """
    ours, theirs = _outline(ours), _outline(theirs)
    products = np.array([np.sum(_inner(ours, shift) * _inner(theirs)) for shift in _shifts()])
    scores = _score(products, _square(ours) * _square(theirs), ours.shape[1])
    return int(_shifts()[np.argmax(scores)]) if len(ours) and scores.max() >= _SEEN else None


def _score(products, norms, n_pixels):
    """Correlation in units of what noise gives, at each shift, of pairs of rows with these products of squares."""
    return products / max(np.sqrt(norms).sum(), 1e-30) * np.sqrt(max(len(norms), 1) * n_pixels)


def _shifts():
    return np.arange(-_FARTHEST - 1, _FARTHEST + 2)


def _inner(outline, shift=0, margin=20):
    return outline[:, margin + shift : outline.shape[1] - margin + shift]


def _square(outline):
    return (_inner(outline) ** 2).sum(axis=1)


def _outline(flux):
    light = np.nan_to_num(flux).astype(np.float32)
    level = np.maximum(light - np.median(light, axis=1)[:, None], 0)
    root = np.sqrt(level)
    smooth = root + np.roll(root, 1, axis=1) + np.roll(root, -1, axis=1)
    return smooth - smooth.mean(axis=1)[:, None]
