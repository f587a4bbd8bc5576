"""A simulated night: the plan of its exposures, and its raw files with a table of the truth."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from nrespipe.frames.raw import ExposureMeter, Kind
from nrespipe.frames.spectrograph import Spectrograph
from nrespipe.simulator import bench as benches
from nrespipe.simulator import drift, observing_conditions, raw_file, truth
from nrespipe.simulator.bench import Bench, State
from nrespipe.simulator.frame import Rendered, Scene, render
from nrespipe.simulator.lamps import SATURATED_LINES
from nrespipe.simulator.stars import Exposure

_READOUT_S = 40.0
_BIAS_S, _DARK_S, _FLAT_S, _ARC_S = 0.0, 900.0, 60.0, 600.0
_METER_COUNTS = 4000.0


@dataclass(frozen=True)
class Shot:
    """One exposure of a night.

    Attributes
    ----------
    number
        Running number of the night, from 1.
    filename
        Without ``.fits.fz``.
    start_mjd
        Shutter open, UTC [MJD].
    objects
        As in OBJECTS.
    scene
        Light of the fibers.
    state
        Of the bench.
    sights
        Time and motion at which each star was observed, by fiber.
    meter
        None for a calibration.
    """

    number: int
    filename: str
    start_mjd: float
    objects: tuple[str, ...]
    scene: Scene
    state: State
    sights: Mapping[int, observing_conditions.Sight] = field(default_factory=dict)
    meter: ExposureMeter | None = None


def plan(
    bench: Bench,
    day: str,
    *,
    seed: int,
    stars: Sequence[Exposure],
    n_bias: int = 5,
    n_dark: int = 3,
    n_flat: int = 5,
    n_arc: int = 3,
    saturated_lines: int = SATURATED_LINES,
    still: bool = False,
) -> list[Shot]:
    """Return the exposures of a night.

    Parameters
    ----------
    day
        DAY-OBS, ``YYYYMMDD``.
    seed
        Of clouds and lamps.
    stars
        Exposures after dusk, in turn.
    n_bias, n_dark
        Frames of each in the afternoon.
    n_flat, n_arc
        Frames for each pair of fibers: 0 and 1 everywhere, also 1 and 2 where there are two telescopes.
    saturated_lines
        Lines of the lamp that saturate in an arc, 18 to 400, as in ``lamps.thorium_argon``.
    still
        Whether the bench does not drift.

    Raises
    ------
    ValueError
        If a star is in a fiber that no telescope feeds.
    """
    spectrograph = bench.spectrograph
    movement = drift.through(bench, day, still=still)
    pairs = [(0, 1), (1, 2)][: len(spectrograph.fibers.star)]
    lamps = lambda name, count: [_lit(name, pair) for pair in pairs for _ in range(count)]  # noqa: E731
    calibrations = [
        *[Scene(Kind.BIAS, exposure_s=_BIAS_S)] * n_bias,
        *[Scene(Kind.DARK, exposure_s=_DARK_S)] * n_dark,
        *[Scene(Kind.FLAT, sources, _FLAT_S) for sources in lamps("tung", n_flat)],
        *[Scene(Kind.ARC, sources, _ARC_S) for sources in lamps("thar", n_arc)],
    ]
    # four hours after the robot's restart it is afternoon, eight hours later dark
    start = drift.midnight_mjd(day) + (spectrograph.restart_hour_utc + 4) / 24
    shots: list[Shot] = []
    lamp = np.random.default_rng([seed, int(day), 32])
    for scene in calibrations:
        # lamps are not constant: half a percent from flat to flat, a few percent from arc to arc
        level = 1 + {Kind.FLAT: 0.005, Kind.ARC: 0.03}.get(scene.kind, 0.0) * lamp.standard_normal()
        scene = replace(scene, lamp=level, saturated_lines=saturated_lines)
        shots.append(_calibration(bench, day, len(shots) + 1, start, scene, movement))
        start += (scene.exposure_s + _READOUT_S) / 86400
    start = max(start, drift.midnight_mjd(day) + (spectrograph.restart_hour_utc + 9) / 24)
    for exposure in stars:
        shots.append(_observation(bench, day, len(shots) + 1, start, exposure, movement, seed, saturated_lines))
        start += (exposure.exposure_s + 3 * _READOUT_S) / 86400
    return shots


def _lit(name, pair):
    return tuple(name if fiber in pair else "none" for fiber in range(3))


def _filename(bench, day, number, kind):
    spectrograph = bench.spectrograph
    head = f"{spectrograph.site}{spectrograph.name.replace('nres', 'nrs')}-{spectrograph.cameras[0]}"
    return f"{head}-{day}-{number:04d}-{raw_file.CODES[kind][0]}"


def _calibration(bench, day, number, start, scene, movement):
    objects = scene.sources or ("none",) * 3
    state = movement.at(start + scene.exposure_s / 2 / 86400)
    return Shot(number, _filename(bench, day, number, scene.kind), start, objects, scene, state)


def _observation(bench, day, number, start, exposure, movement, seed, saturated_lines):
    spectrograph = bench.spectrograph
    not_fed = set(exposure.targets) - set(spectrograph.fibers.star)
    if not_fed:
        raise ValueError(f"{spectrograph.name}: no telescope feeds fiber {not_fed.pop()}")
    rng = np.random.default_rng([seed, int(day), number, 31])
    clouds = {fiber: observing_conditions.clouds(rng, exposure.exposure_s) for fiber in exposure.targets}
    sights = {
        fiber: observing_conditions.see(spectrograph, target.star, start, exposure.exposure_s, clouds[fiber])
        for fiber, target in exposure.targets.items()
    }
    sources = tuple("star" if f in exposure.targets else "thar" if f == 1 else "none" for f in range(3))
    objects = tuple(exposure.targets[f].star.name if f in exposure.targets else sources[f] for f in range(3))
    scene = Scene(
        kind=Kind.SCIENCE,
        sources=sources,
        exposure_s=exposure.exposure_s,
        targets=exposure.targets,
        berv_ms={fiber: sight.berv_ms for fiber, sight in sights.items()},
        airmass=next(iter(sights.values())).airmass,
        lamp=0.7,
        saturated_lines=saturated_lines,
    )
    counts = {fiber: _METER_COUNTS * (target.snr / 100) ** 2 for fiber, target in exposure.targets.items()}
    meter = observing_conditions.meter(rng, start, clouds, counts)
    state = movement.at(start + exposure.exposure_s / 2 / 86400)
    return Shot(number, _filename(bench, day, number, Kind.SCIENCE), start, objects, scene, state, sights, meter)


def expose(bench: Bench, shot: Shot, *, seed: int) -> Rendered:
    """Return the image of one exposure of a plan.

    Parameters
    ----------
    shot
        From `plan`.
    seed
        Of the noise; together with the number of the shot.
    """
    day = int(shot.filename.split("-")[-3])
    return render(bench, shot.scene, shot.state, seed=[seed, day, shot.number])


def write(
    root: str | Path,
    spectrograph: Spectrograph,
    day: str,
    *,
    seed: int,
    stars: Sequence[Exposure],
    n_bias: int = 5,
    n_dark: int = 3,
    n_flat: int = 5,
    n_arc: int = 3,
    saturated_lines: int = SATURATED_LINES,
    truth_arrays: bool = False,
    keep: bool = False,
    run: Callable[..., Any] = map,
    progress: Callable[..., Any] | None = None,
) -> Path:
    """Write a night of raw files, in the layout of the archive, with the truth next to them.

    Parameters
    ----------
    root
        Top of the archive; files go to ``{root}/{site}/{instrument}/{day}/raw``, the truth to ``.../truth``.
    day
        DAY-OBS, ``YYYYMMDD``.
    seed
        Of noise, clouds and lamps; the bench and its drift belong to the spectrograph and the day.
    stars
        Exposures of the night.
    n_bias, n_dark, n_flat, n_arc
        Frames of each; flats and arcs for each pair of fibers.
    saturated_lines
        Lines of the lamp that saturate in an arc, 18 to 400.
    truth_arrays
        Whether the arrays of every frame's truth are written too, as ``truth/{filename}.npz``.
    keep
        Whether raw files of the same night that are there already are left as they are.
    run
        Applies a function to jobs as ``map`` does, in any order: processes may share the work.
    progress
        Called with the path of each file that is written.

    Returns
    -------
    Path
        The directory of the night.
    """
    bench = benches.build(spectrograph)
    night = Path(root) / spectrograph.site / spectrograph.name / day
    (night / "raw").mkdir(parents=True, exist_ok=True)
    (night / "truth").mkdir(exist_ok=True)
    shots = plan(
        bench, day, seed=seed, stars=stars, n_bias=n_bias, n_dark=n_dark, n_flat=n_flat, n_arc=n_arc,
        saturated_lines=saturated_lines,
    )  # fmt: skip
    tables = {night / "truth" / "velocities.csv": truth.velocities, night / "truth" / "frames.csv": truth.frames}
    before = [path.read_bytes() if path.exists() else b"" for path in tables]
    for path, tell in tables.items():
        tell(path, bench, shots)
    after = [path.read_bytes() for path in tables]
    begun = night / "truth" / "incomplete"
    if keep and before == after and not begun.exists():
        shots = [shot for shot in shots if not _path(night, shot).exists()]
    # a run that is interrupted may leave frames of another plan under the names of this one
    begun.touch()
    for path in run(_write_shot, [(spectrograph, day, seed, night, truth_arrays, shot) for shot in shots]):
        if progress is not None:
            progress(path)
    begun.unlink()
    return night


def _path(night, shot):
    return night / "raw" / f"{shot.filename}.fits.fz"


def _write_shot(job):
    """Write one raw file, and return its path; a process of its own may do it."""
    spectrograph, day, seed, night, truth_arrays, shot = job
    rendered = expose(benches.build(spectrograph), shot, seed=seed)
    raw_file.save(_path(night, shot), rendered.adu, spectrograph, spectrograph.cameras[0], day, shot)
    if truth_arrays:
        truth.arrays(night / "truth" / f"{shot.filename}.npz", rendered.truth)
    return _path(night, shot)
