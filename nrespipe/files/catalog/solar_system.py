"""Light that is no star's: the Sun, its light on the Moon and planets, on small bodies, and on the sky."""

import re

from nrespipe.frames.star import REFLECTED, SKY, Star

#: Bodies whose motion the ephemeris has, by the words of observers
_BODIES = {
    "sun": "Sun", "sol": "Sun", "solar": "Sun", "moon": "Moon", "luna": "Moon", "lunar": "Moon", "moonlight": "Moon",
    "mercury": "Mercury", "venus": "Venus", "mars": "Mars", "jupiter": "Jupiter", "saturn": "Saturn",
    "uranus": "Uranus", "neptune": "Neptune",
}  # fmt: skip
#: The sky, and bodies whose motion is not known here
_OTHERS = frozenset(
    [
        "sky",
        "skyflat",
        "daysky",
        "bluesky",
        "daylight",
        "twilight",
        "twi",
        "dusk",
        "dawn",
        "blank",
        "pluto",
        "io",
        "europa",
        "ganymede",
        "callisto",
        "titan",
        "rhea",
        "iapetus",
        "dione",
        "tethys",
        "enceladus",
        "titania",
        "oberon",
        "triton",
        "charon",
        "ceres",
        "pallas",
        "juno",
        "vesta",
        "astraea",
        "hebe",
        "iris",
        "flora",
        "metis",
        "hygiea",
        "eunomia",
        "psyche",
        "eros",
        "asteroid",
        "comet",
    ]
)
#: (4) Vesta, 1P/Halley, C/2020 F3, 2004 MN4
_SMALL_BODY = re.compile(r"\(\d+\)|\d+[PDI](/|\b)|[CPDXAI]/\d{4}|\d{4}\s?[A-HJ-Y][A-HJ-Z]\d*$", re.IGNORECASE)


def recognised(name: str) -> Star | None:
    """Return the source of light that is no star by its name.

    Parameters
    ----------
    name
        From OBJECTS or OBJECT.

    Returns
    -------
    Star or None
        Without coordinates, because they move. The Sun, the Moon and planets have the source ``reflected`` and the
        name of the body; small bodies, satellites and the sky ``sky``. None for the name of a star.
    """
    words = [word for word in re.split(r"[^a-z]+", name.lower()) if word]
    first = words[0] if words else ""
    # a word and whatever follows it: Moon_1, twilight test, blue sky
    pair = "".join(words[:2])
    if first in _BODIES:
        return Star(_BODIES[first], spectral_type="G2 V", rv_kms=0.0, source=REFLECTED)
    if first in _OTHERS or pair in _OTHERS or _SMALL_BODY.match(name.strip()):
        return Star(name, spectral_type="G2 V", source=SKY)
    return None
