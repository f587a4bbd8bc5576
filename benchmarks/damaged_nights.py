"""Nights of raw frames with damaged calibrations among the good ones, and what was damaged; see ``fortnight.py``."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path

import numpy as np

from nrespipe.files.catalog import targets
from nrespipe.frames.raw import Kind
from nrespipe.frames.star import name_key
from nrespipe.simulator import night as simulated
from nrespipe.simulator import raw_file, stars, truth

FIRST = date(2019, 4, 1)
SEED = 11
#: Frames of a usual night, the fewest that make masters; flats and arcs for each pair of fibers.
COUNTS = {"n_bias": 2, "n_dark": 1, "n_flat": 1, "n_arc": 1}
#: What is observed in turn, by site: both fibers where there are two telescopes.
STARS = {"lsc": ("HD102365:100", "HD115617:90:2"), "elp": ("HD126053:100",)}
#: Further than this the bench has moved so that nobody uses its flat without a second opinion [pixel].
BUMP_PX = 2.5


@dataclass(frozen=True)
class Damage:
    """What is wrong with calibrations of one night.

    Attributes
    ----------
    kind : Kind
        Of which.
    what : str
        In words.
    change : callable
        Takes a shot and returns the damaged one, or None where there is no frame at all.
    every : bool
        Whether all of the night are damaged, or only the second of three, of the last pair of fibers.
    diffuse_e : float
        Light that has reached every pixel [electron].
    """

    kind: Kind
    what: str
    change: Callable
    every: bool = False
    diffuse_e: float = 0.0


def lit(factor):
    """Return a change of the light of the lamp."""
    return lambda shot: replace(shot, scene=replace(shot.scene, lamp=factor * shot.scene.lamp))


def moved(**by):
    """Return a change of the state of the bench, by the names of its attributes."""
    return lambda shot: replace(
        shot, state=replace(shot.state, **{name: getattr(shot.state, name) + px for name, px in by.items()})
    )


def leaking(share):
    """Return a change that lets light of the flat lamp into a dark."""
    return lambda shot: replace(shot, scene=replace(shot.scene, sources=("tung", "tung", "none"), lamp=share))


def mislabelled(shot):
    """Return a shot whose header names the other pair of fibers."""
    return replace(shot, objects=shot.objects[::-1])


DAMAGES = {
    ("lsc", 2): (Damage(Kind.FLAT, "one flat saturated", lit(30.0)),),
    ("lsc", 3): (Damage(Kind.FLAT, "flats with the lamp off", lit(0.0), every=True),),
    ("lsc", 5): (Damage(Kind.ARC, "one arc with the lamp off", lit(0.0)),),
    ("lsc", 6): (Damage(Kind.FLAT, "one flat with the wrong pair in its header", mislabelled),),
    ("lsc", 8): (Damage(Kind.FLAT, "one flat moved across by 3 px", moved(rise_px=3.0)),),
    ("lsc", 9): (Damage(Kind.ARC, "arcs with the lamp off", lit(0.0), every=True),),
    ("lsc", 12): (Damage(Kind.ARC, "one arc moved across by 3 px", moved(rise_px=3.0)),),
    ("elp", 2): (Damage(Kind.DARK, "one dark with a little light", lambda shot: shot, diffuse_e=25.0),),
    ("elp", 4): (Damage(Kind.ARC, "no arcs", lambda shot: None, every=True),),
    ("elp", 6): (Damage(Kind.DARK, "darks with light", leaking(0.5), every=True),),
    ("elp", 7): (Damage(Kind.ARC, "one arc moved along by 3 px", moved(shift_px=3.0)),),
    ("elp", 9): (Damage(Kind.FLAT, "flats saturated", lit(30.0), every=True),),
}
#: From this night on the bench of a site stands elsewhere.
BUMPED = {"elp": 12}
_FEW = {**COUNTS, "n_bias": 0, "n_dark": 0}
#: The same in seven nights: the nights of `DAMAGES` that each has those of, and its frames.
SHORT = {
    ("elp", 1): ((), COUNTS),
    ("lsc", 1): ((), COUNTS),
    ("elp", 2): ((2, 7, 9), COUNTS),
    ("lsc", 2): ((6, 9), _FEW),
    ("elp", 3): ((), COUNTS),
    ("lsc", 3): ((8, 12), _FEW),
    ("elp", 4): ((), _FEW),
}
SHORT_BUMPED = {"elp": 3}


@dataclass(frozen=True)
class Night:
    """A night as it was simulated.

    Attributes
    ----------
    site : str
    number : int
        From 1.
    folder : Path
        Where its raw frames are kept.
    shots : tuple of Shot
        What was exposed.
    damages : tuple of Damage
        What is wrong with them.
    broken : mapping of str to Damage
        The damaged frames, by name.
    is_bumped : bool
        Whether the bench has moved since the night before.
    """

    site: str
    number: int
    folder: Path
    shots: tuple
    damages: tuple[Damage, ...]
    broken: Mapping[str, Damage]
    is_bumped: bool = False

    @property
    def day(self):
        """str: DAY-OBS."""
        return f"{FIRST + timedelta(days=self.number - 1):%Y%m%d}"

    def sound(self, kind):
        """Names of the good frames of a kind."""
        return {s.filename for s in self.shots if s.scene.kind is kind and s.filename not in self.broken}


def fortnight(work, benched, n_nights):
    """Return the nights of `DAMAGES`, each with its bench."""
    return [(plan(work, bench, number), bench) for number in range(1, n_nights + 1) for bench in benched]


def short(work, benched):
    """Return the nights of `SHORT`, each with its bench."""
    by_site = {bench.spectrograph.site: bench for bench in benched}
    found = []
    for (site, number), (others, counts) in SHORT.items():
        if site in by_site:
            damages = [damage for other in others for damage in DAMAGES[site, other]]
            planned = plan(work, by_site[site], number, damages, counts, SHORT_BUMPED.get(site))
            found.append((planned, by_site[site]))
    return found


def plan(work, bench, number, damages=None, counts=None, bumped=None):
    """Return a night with its damages, by default those of `DAMAGES` and `BUMPED`."""
    site, day = bench.spectrograph.site, f"{FIRST + timedelta(days=number - 1):%Y%m%d}"
    bumped = BUMPED.get(site) if damages is None else bumped
    damages = DAMAGES.get((site, number), ()) if damages is None else damages
    counts = dict(COUNTS if counts is None else counts)
    counts |= {f"n_{damage.kind}": 3 for damage in damages if not damage.every}
    known = {name_key(name): star for star in targets.read(targets.installed()) for name in (star.name, *star.aliases)}
    observed = [stars.parse(STARS[site][number % len(STARS[site])], known)]
    shots = simulated.plan(bench, day, seed=SEED, stars=observed, **counts)
    if bumped is not None and number >= bumped:
        shots = [moved(rise_px=BUMP_PX)(shot) for shot in shots]
    broken = {}
    for damage in damages:
        hit = [shot.filename for shot in shots if shot.scene.kind is damage.kind]
        broken |= dict.fromkeys(hit if damage.every else hit[-2:-1], damage)
    shots = [broken[shot.filename].change(shot) if shot.filename in broken else shot for shot in shots]
    folder = work / "raw" / site / bench.spectrograph.name / day / "raw"
    return Night(site, number, folder, tuple(filter(None, shots)), tuple(damages), broken, number == bumped)


def simulate(night, bench):
    """Write the frames of a night that are not there yet."""
    night.folder.mkdir(parents=True, exist_ok=True)
    truth.velocities(night.folder / "velocities.csv", bench, night.shots)
    nres = bench.spectrograph
    for shot in night.shots:
        path = night.folder / f"{shot.filename}.fits.fz"
        if path.exists():
            continue
        adu = simulated.expose(bench, shot, seed=SEED).adu
        if shot.filename in night.broken and night.broken[shot.filename].diffuse_e:
            light_e = night.broken[shot.filename].diffuse_e
            rng = np.random.default_rng([SEED, shot.number])
            # the overscan sees none of it
            rows, columns = nres.detector.rows, nres.detector.columns
            more = (rng.poisson(light_e, (rows, columns)) / bench.gain_e_per_adu).round().astype(adu.dtype)
            adu = adu + np.pad(more, [(0, size - own) for size, own in zip(adu.shape, more.shape)])
        raw_file.save(path, adu, nres, nres.cameras[0], night.day, shot)
