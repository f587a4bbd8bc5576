"""A night of raw frames: what is exposed when, and the files of it with their truth beside them."""

import csv
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import date
from pathlib import Path

import numpy as np

from nrespipe.frames.arrays import frozen
from nrespipe.frames.raw import ExposureMeter, Kind
from nrespipe.simulator import bench as benches
from nrespipe.simulator import cards, product, sky
from nrespipe.simulator.bench import State
from nrespipe.simulator.frame import Scene, render

#: Velocity per pressure: the bench stands in air [m / s / PSI].
_MS_PER_PSI = 5500.0

_READOUT_S = 40.0
_BIAS_S, _DARK_S, _FLAT_S, _ARC_S = 0.0, 900.0, 60.0, 600.0
_METER_COUNTS = 4000.0


@dataclass(frozen=True)
class Shot:
    """One exposure of a night.

    Attributes
    ----------
    number : int
        Running number of the night, from 1.
    filename : str
        Without ``.fits.fz``.
    start_mjd : float
        Shutter open, UTC [MJD].
    objects : tuple of str
        As in OBJECTS.
    scene : Scene
        What lights the fibers.
    state : State
        Of the bench.
    sights : mapping of int to Sight
        How each star was seen, by fiber.
    meter : ExposureMeter or None
        None for a calibration.
    """

    number: int
    filename: str
    start_mjd: float
    objects: tuple[str, ...]
    scene: Scene
    state: State
    sights: Mapping[int, sky.Sight] = field(default_factory=dict)
    meter: ExposureMeter | None = None


@dataclass(frozen=True)
class Drift:
    """Movement of the bench through one night.

    Attributes
    ----------
    mjd : ndarray of float, shape (n,)
        Times, evenly spaced [MJD].
    walks : ndarray of float, shape (n, 7)
        Pressure [PSI], shift, stretch, rise [pixel], velocity of fibers 0 and 2 [m / s], temperature [kelvin], all from
        the reference state.
    """

    mjd: np.ndarray
    walks: np.ndarray

    def __post_init__(self):
        frozen(self, mjd=(None,), walks=(len(self.mjd), None))

    def at(self, mjd):
        """Return the state of the bench at a time.

        Parameters
        ----------
        mjd : float
            Time, UTC [MJD].

        Returns
        -------
        State
        """
        pressure, shift, stretch, rise, first, second, warm = (np.interp(mjd, self.mjd, w) for w in self.walks.T)
        return State(
            velocity_ms=float(_MS_PER_PSI * pressure),
            shift_px=float(shift + 0.06 * warm),
            stretch_px=float(stretch + 0.02 * warm),
            fiber_ms=(float(first), 0.0, float(second)),
            rise_px=float(rise),
            pressure_psi=float(12.35 + pressure),
            temperature_c=float(21.5 + warm),
        )


def drift(bench, day, *, still=False):
    """Return how the bench moves through a night.

    Parameters
    ----------
    bench : Bench
    day : str
        DAY-OBS.
    still : bool, optional
        Whether it does not move at all.

    Returns
    -------
    Drift
        A random walk: per night about 60 m/s by pressure, 0.03 px of shift, 0.01 px of stretch, 0.03 px across, and
        0.7 m/s between fibers, on top of an offset of the night of about as much.
    """
    start = _mjd(day)
    mjd = start + np.arange(0, 1.8, 1 / 288)
    rng = np.random.default_rng([bench.seed, int(day), 21])
    per_night = np.array([0.011, 0.03, 0.010, 0.03, 0.7, 0.7, 0.03])
    offset = per_night * (1, 1, 1, 2, 0.6, 0.6, 1) * rng.standard_normal(7)
    walk = np.cumsum(rng.standard_normal((len(mjd), 7)), axis=0) / np.sqrt(288)
    # five samples of five minutes each: the bench has inertia
    walk = np.apply_along_axis(lambda w: np.convolve(np.pad(w, 3, mode="edge"), np.ones(7) / 7, "valid"), 0, walk)
    return Drift(mjd, (offset + per_night * walk) * (0.0 if still else 1.0))


def _mjd(day):
    return float((date(int(day[:4]), int(day[4:6]), int(day[6:])) - date(1858, 11, 17)).days)


def plan(bench, day, *, seed, stars, n_bias=5, n_dark=3, n_flat=5, n_arc=3, still=False):
    """Return the exposures of a night.

    Parameters
    ----------
    bench : Bench
    day : str
        DAY-OBS, ``YYYYMMDD``.
    seed : int
        Of clouds.
    stars : sequence of Exposure
        What is observed after dusk, in turn.
    n_bias, n_dark : int, optional
        Frames of each in the afternoon.
    n_flat, n_arc : int, optional
        Frames for each pair of fibers: 0 and 1 everywhere, also 1 and 2 where there are two telescopes.
    still : bool, optional
        Whether the bench does not drift.

    Returns
    -------
    list of Shot

    Raises
    ------
    ValueError
        If a star is in a fiber that no telescope feeds.
    """
    spectrograph = bench.spectrograph
    movement = drift(bench, day, still=still)
    pairs = [(0, 1), (1, 2)][: len(cards.star_fibers(spectrograph))]
    lamps = lambda name, count: [_lit(name, pair) for pair in pairs for _ in range(count)]  # noqa: E731
    calibrations = [
        *[Scene(Kind.BIAS, exposure_s=_BIAS_S)] * n_bias,
        *[Scene(Kind.DARK, exposure_s=_DARK_S)] * n_dark,
        *[Scene(Kind.FLAT, sources, _FLAT_S) for sources in lamps("tung", n_flat)],
        *[Scene(Kind.ARC, sources, _ARC_S) for sources in lamps("thar", n_arc)],
    ]
    # four hours after the robot's restart it is afternoon, eight hours later dark
    start = _mjd(day) + (spectrograph.restart_hour_utc + 4) / 24
    shots = []
    for scene in calibrations:
        shots.append(_calibration(bench, day, len(shots) + 1, start, scene, movement))
        start += (scene.exposure_s + _READOUT_S) / 86400
    start = max(start, _mjd(day) + (spectrograph.restart_hour_utc + 9) / 24)
    for exposure in stars:
        shots.append(_observation(bench, day, len(shots) + 1, start, exposure, movement, seed))
        start += (exposure.exposure_s + 3 * _READOUT_S) / 86400
    return shots


def _lit(name, pair):
    return tuple(name if fiber in pair else "none" for fiber in range(3))


def _filename(bench, day, number, kind):
    spectrograph = bench.spectrograph
    head = f"{spectrograph.site}{spectrograph.name.replace('nres', 'nrs')}-{spectrograph.cameras[0]}"
    return f"{head}-{day}-{number:04d}-{cards.CODES[kind][0]}"


def _calibration(bench, day, number, start, scene, movement):
    objects = scene.sources or ("none",) * 3
    state = movement.at(start + scene.exposure_s / 2 / 86400)
    return Shot(number, _filename(bench, day, number, scene.kind), start, objects, scene, state)


def _observation(bench, day, number, start, exposure, movement, seed):
    spectrograph = bench.spectrograph
    strangers = set(exposure.targets) - set(cards.star_fibers(spectrograph))
    if strangers:
        raise ValueError(f"{spectrograph.name}: no telescope feeds fiber {strangers.pop()}")
    rng = np.random.default_rng([seed, int(day), number, 31])
    clouds = {fiber: sky.clouds(rng, exposure.exposure_s) for fiber in exposure.targets}
    sights = {
        fiber: sky.see(spectrograph, target.star, start, exposure.exposure_s, clouds[fiber])
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
    )
    counts = {fiber: _METER_COUNTS * (target.snr / 100) ** 2 for fiber, target in exposure.targets.items()}
    meter = sky.meter(rng, start, clouds, counts)
    state = movement.at(start + exposure.exposure_s / 2 / 86400)
    return Shot(number, _filename(bench, day, number, Kind.SCIENCE), start, objects, scene, state, sights, meter)


def expose(bench, shot, *, seed):
    """Return the image of one exposure of a plan.

    Parameters
    ----------
    bench : Bench
    shot : Shot
        From `plan`.
    seed : int
        Of the noise; together with the number of the shot.

    Returns
    -------
    Rendered
    """
    day = int(shot.filename.split("-")[-3])
    return render(bench, shot.scene, shot.state, seed=[seed, day, shot.number])


def write(
    root, spectrograph, day, *, seed, stars, n_bias=5, n_dark=3, n_flat=5, n_arc=3, truth_arrays=False, progress=None
):
    """Write a night of raw files, in the layout of the archive, with the truth beside them.

    Parameters
    ----------
    root : path-like
        Top of the archive; files go to ``{root}/{site}/{instrument}/{day}/raw``, the truth to ``.../truth``.
    spectrograph : Spectrograph
        Whose night.
    day : str
        DAY-OBS, ``YYYYMMDD``.
    seed : int
        Of noise and clouds; the bench and its drift belong to the spectrograph and the day.
    stars : sequence of Exposure
        What is observed.
    n_bias, n_dark, n_flat, n_arc : int, optional
        Frames of each; flats and arcs for each pair of fibers.
    truth_arrays : bool, optional
        Whether the arrays of every frame's truth are written too, as ``truth/{filename}.npz``.
    progress : callable, optional
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
    shots = plan(bench, day, seed=seed, stars=stars, n_bias=n_bias, n_dark=n_dark, n_flat=n_flat, n_arc=n_arc)
    _velocities(night / "truth" / "velocities.csv", bench, shots)
    _frames(night / "truth" / "frames.csv", bench, shots)
    for shot in shots:
        rendered = expose(bench, shot, seed=seed)
        path = night / "raw" / f"{shot.filename}.fits.fz"
        product.save(path, rendered.adu, spectrograph, spectrograph.cameras[0], day, shot)
        if truth_arrays:
            _arrays(night / "truth" / f"{shot.filename}.npz", rendered.truth)
        if progress is not None:
            progress(path)
    return night


def _velocities(path, bench, shots):
    rows = []
    for shot in shots:
        for fiber, target in shot.scene.targets.items():
            sight = shot.sights[fiber]
            rows.append(
                {
                    "filename": shot.filename,
                    "fiber": fiber,
                    "object": target.star.name,
                    "spectral_type": target.spectral_type,
                    "rv_ms": f"{target.rv_ms:.4f}",
                    "berv_ms": f"{sight.berv_ms:.4f}",
                    "bjd_tdb": f"{sight.bjd_tdb:.8f}",
                    "midpoint_mjd": f"{sight.midpoint_mjd:.8f}",
                    "snr": f"{target.snr:g}",
                    "vsini_kms": f"{target.vsini_kms:.3f}",
                    "airmass": f"{sight.airmass:.3f}",
                    "drift_ms": f"{benches.drift_ms(bench, shot.state):.4f}",
                    "fiber_drift_ms": f"{benches.drift_ms(bench, shot.state, fiber):.4f}",
                    "exposure_s": f"{shot.scene.exposure_s:g}",
                }
            )
    _table(path, rows)


def _frames(path, bench, shots):
    rows = []
    for shot in shots:
        state = asdict(shot.state)
        fibers = state.pop("fiber_ms")
        rows.append(
            {
                "filename": shot.filename,
                "kind": str(shot.scene.kind),
                "objects": "&".join(shot.objects),
                "start_mjd": f"{shot.start_mjd:.8f}",
                "exposure_s": f"{shot.scene.exposure_s:g}",
                **{key: f"{value:.6f}" for key, value in state.items()},
                **{f"fiber{i}_ms": f"{value:.4f}" for i, value in enumerate(fibers)},
                "drift_ms": f"{benches.drift_ms(bench, shot.state):.4f}",
                "gain_e_per_adu": f"{bench.gain_e_per_adu:.5f}",
                "read_noise_e": f"{bench.read_noise_e:.4f}",
            }
        )
    _table(path, rows)


def _table(path, rows):
    with path.open("w", newline="", encoding="utf-8") as file:
        if rows:
            writer = csv.DictWriter(file, rows[0].keys(), lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)


def _arrays(path, truth):
    np.savez_compressed(
        path,
        fibers=np.array(truth.fibers, int),
        orders=truth.orders,
        wavelength_angstrom=truth.wavelength,
        flux_electron=truth.flux.astype(np.float32),
        rows=truth.rows.astype(np.float32),
        background_electron=truth.background,
        cosmics=truth.cosmics,
        gain_e_per_adu=truth.gain_e_per_adu,
        read_noise_e=truth.read_noise_e,
        level_adu=truth.level_adu,
    )
