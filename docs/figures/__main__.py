"""``python -m figures``: draw the figures of the manual that are not as the code would draw them now."""

import argparse
import sys

import figures
from figures import drawings
from figures.sources import Sources


def main() -> int:
    """Draw figures, or name those that are stale.

    Returns
    -------
    int
        1 if figures are stale and were only named.
    """
    parser = argparse.ArgumentParser(prog="figures.sh", description="Draw the stale figures of the manual.")
    parser.add_argument("names", nargs="*", metavar="NAME", help="draw this figure, stale or not, and no other")
    parser.add_argument("--all", action="store_true", help="draw all figures")
    parser.add_argument("--check", action="store_true", help="name the stale figures, draw none, and fail if any is")
    asked, sources = parser.parse_args(), Sources()
    unknown = set(asked.names) - set(figures.every())
    if unknown:
        parser.error(f"no figure {', '.join(sorted(unknown))}; there are {', '.join(figures.every())}")
    stale = drawings.stale(sources)
    if asked.check:
        for name, modules in stale.items():
            print(f"{name}: " + (f"drawn before a change of {', '.join(modules)}" if modules else "never drawn"))
        print(f"{len(stale)} of {len(figures.every())} figures are stale", end="; " if stale else "\n")
        if stale:
            print("draw them with scripts/figures.sh")
        return int(bool(stale))
    names = asked.names or (figures.every() if asked.all else stale)
    drawings.draw(names, sources)
    print(f"{len(names)} figures drawn, {len(figures.every()) - len(names)} left as they are")
    return 0


if __name__ == "__main__":
    sys.exit(main())
