"""How hot a star is, by what the catalog says of it."""

import re

from nrespipe.frames.star import Star

#: Effective temperature of a dwarf of subtype 0 of each class [kelvin] (Pecaut & Mamajek 2013, ApJS 208, 9)
_SUBTYPE_0_K = {
    "O": 46000.0,
    "B": 31400.0,
    "A": 9700.0,
    "F": 7220.0,
    "G": 5930.0,
    "K": 5280.0,
    "M": 3850.0,
    "L": 2270.0,
}


def of_star(star: Star) -> float | None:
    """Return the effective temperature of a star.

    Parameters
    ----------
    star
        What is known of it.

    Returns
    -------
    float or None
        That of the catalog, or that of a dwarf of its spectral type, or None where neither is known [kelvin].
    """
    if star.teff_k is not None:
        return star.teff_k
    type_ = re.match(r"[a-z]*([OBAFGKM])\s*(\d(?:\.\d)?)?", star.spectral_type.strip())
    if type_ is None:
        return None
    classes = list(_SUBTYPE_0_K)
    hot = classes.index(type_[1])
    share = float(type_[2] or 5) / 10
    return _SUBTYPE_0_K[type_[1]] * (1 - share) + _SUBTYPE_0_K[classes[hot + 1]] * share
