"""Which template serves a star."""

from collections.abc import Sequence

from nrespipe.engine.star import temperature
from nrespipe.frames.star import Star
from nrespipe.frames.template import Template


def choose(
    templates: Sequence[Template], star: Star, *, site: str = "", farthest_k: float = 250.0, farthest_logg: float = 0.5
) -> Template | None:
    """Choose the template of a star.

    Parameters
    ----------
    templates
        All that there are.
    star
        Whose velocity is asked for.
    site
        Where it was observed: a template of that site comes first.
    farthest_k, farthest_logg
        Farthest temperature and surface gravity of another star whose template may serve [kelvin, cgs].

    Returns
    -------
    Template or None
        One of the star that the catalog names for it, or of the star itself, the best of them; or a trusted one of the
        star whose temperature is nearest; or None.
    """
    named = [template for template in templates if star.template and _key(star.template) in _names(template.star)]
    own = named or [template for template in templates if is_of(template, star)]
    if own:
        return max(own, key=lambda t: (t.trusted, t.site == site, len(t.inputs), t.end_mjd, t.fingerprint))
    wanted_k, near = temperature.of_star(star), []
    for template in templates:
        its_k = temperature.of_star(template.star)
        if not template.trusted or wanted_k is None or its_k is None or abs(its_k - wanted_k) > farthest_k:
            continue
        if None in (star.logg, template.star.logg) or abs(star.logg - template.star.logg) <= farthest_logg:
            near.append((template.site != site, abs(its_k - wanted_k), template.fingerprint, template))
    return min(near, key=lambda row: row[:3])[3] if near else None


def is_of(template: Template, star: Star) -> bool:
    """Tell whether a template was made of a star itself.

    Returns
    -------
    bool
        Whether they share a name, whatever blanks and capitals it is written with.
    """
    return bool(_names(template.star) & _names(star))


def _names(star):
    return {_key(name) for name in (star.name, *star.aliases)}


def _key(name):
    return "".join(name.split()).upper()
