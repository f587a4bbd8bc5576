"""The figures as they have been drawn, each with the fingerprints of the code that drew it."""

import html
import re
import shutil
from collections.abc import Iterable
from pathlib import Path

import figures
from figures import simulated, style
from figures.sources import ROOT, Sources

FOLDER = Path(__file__).parent / "drawn"
#: Where simulated light is kept from one time of drawing to the next.
_LIGHT = ROOT / "docs/_build/light"


def path(name: str, folder: Path = FOLDER) -> Path:
    """Return where a figure lies.

    Parameters
    ----------
    name : str
        Module and function: ``extraction.pulls``.
    folder : Path, optional
        With the figures.

    Returns
    -------
    Path
        An SVG file.
    """
    return folder / f"{name}.svg"


def modules(name: str) -> tuple[str, ...]:
    """Return the modules that a figure comes from in the first place.

    Parameters
    ----------
    name : str
        Module and function.

    Returns
    -------
    tuple of str
        Its own, and that of the simulated light if it shows some.
    """
    _, light = figures.every()[name]
    return (f"figures.{name.partition('.')[0]}", *(["figures.simulated"] if light else []))


def changed(name: str, sources: Sources, folder: Path = FOLDER) -> tuple[str, ...]:
    """Return what has changed since a figure was drawn.

    Parameters
    ----------
    name : str
        Module and function.
    sources : Sources
        The code as it is now.
    folder : Path, optional
        With the figures.

    Returns
    -------
    tuple of str
        Modules and tables that the figure comes from, or came from then; none if it is as it would be drawn now.

    Raises
    ------
    FileNotFoundError
        If it has never been drawn.
    """
    text = path(name, folder).read_text(encoding="utf-8")
    told = re.search(r"<dc:source>(.*?)</dc:source>", text, re.DOTALL)
    then = dict(line.split("=") for line in html.unescape(told[1]).split()) if told else {}
    now = sources.of(*modules(name))
    return tuple(sorted({module for module, _ in then.items() ^ now.items()}))


def stale(sources: Sources, folder: Path = FOLDER) -> dict[str, tuple[str, ...]]:
    """Return the figures that would be drawn by other code now.

    Parameters
    ----------
    sources : Sources
        The code as it is now.
    folder : Path, optional
        With the figures.

    Returns
    -------
    dict of str to tuple of str
        By name: what has changed; nothing where there is no such figure yet.
    """
    found = {}
    for name in figures.every():
        if not path(name, folder).exists():
            found[name] = ()
        elif now := changed(name, sources, folder):
            found[name] = now
    return found


def draw(names: Iterable[str], sources: Sources, folder: Path = FOLDER) -> None:
    """Draw figures, and say which; delete those of functions that do not exist any more.

    Parameters
    ----------
    names : iterable of str
        Module and function of each.
    sources : Sources
        The code as it is now.
    folder : Path, optional
        Where to.
    """
    folder.mkdir(exist_ok=True)
    known, night = figures.every(), None
    for name in names:
        print(f"drawing {name}", flush=True)
        function, needs = known[name]
        if needs:
            night = night or _night(sources)
        told = "\n".join(f"{module}={fingerprint}" for module, fingerprint in sources.of(*modules(name)).items())
        with style.applied():
            style.save(function(*([night] if needs else [])), path(name, folder), told)
    for old in folder.glob("*.svg"):
        if old.stem not in known:
            old.unlink()


def _night(sources: Sources) -> simulated.Night:
    """The simulated night, of the last time where the code that makes it is the same."""
    place = _LIGHT / sources.digest("figures.simulated")
    for old in set(_LIGHT.glob("*")) - {place}:
        shutil.rmtree(old)
    if not place.exists():
        print("simulating a night and making its masters", flush=True)
    return simulated.kept(place / "night")
