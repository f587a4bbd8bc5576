"""Nights with other cameras, few calibrations, saturated lamps or a moved bench, reduced without a command by hand.

Run ``python benchmarks/hard_nights.py --work DIR [CASE ...]``. Each case is a run of nights of one spectrograph,
simulated (small detectors of ten orders by default, ``--full`` for the real ones), reduced morning after morning by
``nrespipe night``, and once more sequence by sequence as the workers of the service do. Every star must end reduced;
velocity and flux must be right within their errors, or the frame flagged. A table is printed; it ends with 1 where
anything else happened.
"""

import argparse
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from itertools import groupby
from pathlib import Path

import numpy as np
from astropy.io import fits
from damaged_nights import lit, moved
from sqlalchemy import select

from nrespipe import instruments, logs
from nrespipe.database.states import State
from nrespipe.database.tables import Frame, Master
from nrespipe.files import layout, plain_table
from nrespipe.frames.quality import Quality
from nrespipe.frames.raw import Kind
from nrespipe.service import assembly
from nrespipe.service.batch import night as nights
from nrespipe.service.batch import simulation
from nrespipe.service.ingest import raw_files, registration
from nrespipe.service.time_limits import Pace
from nrespipe.service.work import dispatch, execution
from nrespipe.settings import Settings
from nrespipe.simulator import bench as benches
from nrespipe.simulator import night as simulated
from nrespipe.simulator import raw_file, stars, truth

FIRST, SEED = date(2019, 4, 1), 7
SMALL = Path(__file__).parents[1] / "tests" / "small"
COUNTS = {"n_bias": 3, "n_dark": 1, "n_flat": 3, "n_arc": 1}
OBSERVED = ("HD102365:110", "HD115617:90:2")
CLAIMS = ("GAIN", "RDNOISE", "SATURATE", "MAXLIN")
#: Largest difference of a velocity from the truth [errors, m / s].
LIMIT_ERRORS, LIMIT_MS = 5.0, 40.0


@dataclass(frozen=True)
class Camera:
    """A camera, and what the headers say of it.

    Attributes
    ----------
    gain_e_per_adu, read_noise_e : float
        What is true.
    header_values : mapping of str to float or None
        Cards of the headers; None takes a card out. What is not named is as the simulator has it.
    """

    gain_e_per_adu: float
    read_noise_e: float
    header_values: dict = field(default_factory=dict)


OURS = Camera(3.2, 7.0)
LIKE_FA13 = Camera(1.0, 6.6, {"GAIN": 1.0, "RDNOISE": 6.6, "SATURATE": 65535.0, "MAXLIN": 60000.0})
LIKE_FL09 = Camera(2.17, 8.3, {"GAIN": 2.17, "RDNOISE": 8.3, "SATURATE": 55000.0, "MAXLIN": 55000.0})
UNKNOWN = Camera(0.7, 11.0, dict.fromkeys(CLAIMS))


@dataclass(frozen=True)
class Case:
    """A run of nights.

    Attributes
    ----------
    cameras : tuple of Camera
        That of each night.
    counts : tuple of mapping
        Calibrations of each night beside or in place of `COUNTS`.
    change : callable
        ``change(number, shot)`` returns a shot of a night, counted from 1, as it was really taken; None for none.
    image : callable
        ``image(number, rng, adu, detector)`` changes raw counts in place.
    """

    cameras: tuple[Camera, ...]
    counts: tuple[dict, ...] = ({},)
    change: Callable = lambda number, shot: shot
    image: Callable = lambda number, rng, adu, detector: None


def dimmed(kind, factor, first=2):
    """Return a change of the light of a lamp from a night on."""
    return lambda number, shot: lit(factor)(shot) if number >= first and shot.scene.kind is kind else shot


def without_pair(kind, first=2):
    """Return a change that takes the calibrations of the second pair of fibers out of a night."""
    return lambda number, shot: None if number == first and _is_of_second(kind, shot) else shot


def _is_of_second(kind, shot):
    return shot.scene.kind is kind and shot.scene.sources[0] == "none"


def bumped(px, first=2):
    """Return a change that moves the bench across the dispersion from a night on."""
    return lambda number, shot: moved(rise_px=px)(shot) if number >= first else shot


def bumped_after_calibrations(px, night=2):
    """Return a change that moves the bench between the calibrations and the stars of a night."""
    return lambda number, shot: (
        moved(rise_px=px)(shot) if number > night or (number == night and shot.scene.kind is Kind.SCIENCE) else shot
    )


def saturated(n_lines):
    """Return a change that saturates lines of the lamp."""

    def change(number, shot):
        return replace(shot, scene=replace(shot.scene, saturated_lines=n_lines))

    return change


def jumping(step_adu, first=2):
    """Return a change of images: the half of the columns that another amplifier reads lies elsewhere in each frame."""

    def image(number, rng, adu, detector):
        if number >= first:
            step = round(step_adu * rng.choice((-1, 1)) * rng.uniform(0.5, 1.0))
            adu[:, : detector.columns // 2] = np.clip(
                adu[:, : detector.columns // 2].astype(np.int64) + step, 0, 65535
            ).astype(adu.dtype)

    return image


def twice(camera):
    """Return a camera with twice the read noise."""
    return replace(camera, read_noise_e=2 * camera.read_noise_e)


CASES = {
    "gain 1.0, noise 6.6 ADU": Case((LIKE_FA13,) * 2),
    "gain 2.17, noise 8.3 e-": Case((LIKE_FL09,) * 2),
    "gain 3.2, noise 7.0 e-": Case((OURS,) * 2),
    "unknown to table and header": Case((UNKNOWN,) * 2),
    "exchanged in mid-run": Case((OURS, OURS, LIKE_FA13, LIKE_FA13)),
    "read noise doubled": Case((OURS, twice(OURS), twice(OURS))),
    "level of an amplifier jumps": Case((OURS,) * 2, image=jumping(30.0)),
    "five flats, two arcs": Case((LIKE_FA13,) * 2, ({"n_flat": 5, "n_arc": 2},)),
    "one flat, one arc a pair": Case((OURS,) * 2, ({"n_flat": 1},)),
    "flats of one pair missing": Case((OURS,) * 2, change=without_pair(Kind.FLAT)),
    "arcs of one pair missing": Case((OURS,) * 2, change=without_pair(Kind.ARC)),
    "20 saturated lines": Case((OURS,) * 2, change=saturated(20)),
    "200 saturated lines": Case((OURS,) * 2, change=saturated(200)),
    "400 saturated lines": Case((OURS,) * 2, change=saturated(400)),
    "bench moved by 3 px": Case((OURS,) * 3, change=bumped(3.0)),
    "moved before the stars": Case((OURS,) * 3, change=bumped_after_calibrations(3.0)),
    "flat lamp at a fifth": Case((OURS,) * 2, change=dimmed(Kind.FLAT, 0.2)),
    "arc lamp at a fifth": Case((OURS,) * 2, change=dimmed(Kind.ARC, 0.2)),
}


def spectrograph_of(full):
    """Return the spectrograph of two telescopes on which the cases are tried."""
    nres = instruments.load("nres01") if full else instruments.load("nres01", SMALL)
    return replace(nres, fibers=replace(nres.fibers, star=(0, 2)))


def write(root, nres, case):
    """Simulate the nights of a case; return the directory of each, raw files and truth below it."""
    found = []
    for number, camera in enumerate(case.cameras, 1):
        day = f"{FIRST + timedelta(days=number - 1):%Y%m%d}"
        folder = root / nres.site / nres.name / day
        (folder / "raw").mkdir(parents=True)
        (folder / "truth").mkdir()
        bench = replace(benches.build(nres), gain_e_per_adu=camera.gain_e_per_adu, read_noise_e=camera.read_noise_e)
        counts = {**COUNTS, **case.counts[min(number, len(case.counts)) - 1]}
        shots = simulated.plan(bench, day, seed=SEED, stars=[stars.parse(text) for text in OBSERVED], **counts)
        # observers keep their lamps below what the camera can count
        shots = [_within(camera, shot) for shot in shots]
        shots = [shot for shot in (case.change(number, shot) for shot in shots) if shot is not None]
        truth.velocities(folder / "truth" / "velocities.csv", bench, shots)
        for shot in shots:
            rendered = simulated.expose(bench, shot, seed=SEED)
            adu = np.array(rendered.adu)
            case.image(number, np.random.default_rng([SEED, number, shot.number]), adu, nres.detector)
            path = folder / "raw" / f"{shot.filename}.fits.fz"
            raw_file.save(path, adu, nres, nres.cameras[0], day, shot, changed_cards=camera.header_values)
            if shot.scene.kind is Kind.SCIENCE:
                truth.arrays(folder / "truth" / f"{shot.filename}.npz", rendered.truth)
        found.append(folder)
    return found


def _within(camera, shot):
    if shot.scene.kind is not Kind.FLAT:
        return shot
    return lit(min(1.0, camera.gain_e_per_adu / 2.5))(shot)


def build(output, full):
    """Return the service that reduces the nights."""
    if not full:
        shutil.copytree(SMALL, output / "instruments")
    return assembly.build(output, Settings(processes=0, log_level="ERROR"))


def by_night(service, folders):
    """Reduce the nights morning after morning."""
    for number in range(1, len(folders) + 1):
        days = [folder.name for folder in folders[:number]]
        nights.reduce_all(service, folders[0].parents[2], days=days)


def by_workers(service, folders):
    """Reduce the nights with the functions of the workers, each sequence of frames as it arrives."""
    paced = replace(service, pace=Pace(quiet_s=0.0, past_s=0.0))
    for folder in folders:
        for _, sequence in groupby(sorted((folder / "raw").iterdir()), lambda path: path.name.split("-")[4][0]):
            for path in sequence:
                registration.register_file(service.sessions, path, *raw_files.identify(path))
            settle(paced)


def settle(service):
    """Do what is due until nothing is."""
    while True:
        told = []
        dispatch.sweep(service, lambda *row, told=told: told.append(row), lambda _: True)
        if not told:
            return
        for table, row in told:
            execution.execute(service, table, row, "bench")


@dataclass(frozen=True)
class Row:
    """What came of a star of a night.

    Attributes
    ----------
    day, fiber, state : str, int, State
    off_ms, error_ms : float
        Measured against injected velocity, and its error; NaN where there is none [m / s].
    flux_pull, flux_bias : float
        Robust scatter of the fluxes about the truth in units of their errors; what they have too much, relative.
    gain_error : float
        Error of the gain that the product states, relative.
    flags : Quality
        Of the frame.
    """

    day: str
    fiber: int
    state: State
    off_ms: float
    error_ms: float
    flux_pull: float
    flux_bias: float
    gain_error: float
    flags: Quality

    @property
    def is_right(self):
        """bool: whether velocity and flux are right within their errors."""
        velocity = abs(self.off_ms) <= min(LIMIT_ERRORS * self.error_ms, LIMIT_MS)
        return bool(velocity and 0.9 < self.flux_pull < 1.15 and abs(self.flux_bias) < 0.002 + 4 * self.gain_error)

    @property
    def told(self):
        """list of str: flags that speak of the calibrations or of the instrument."""
        usual = Quality.NO_METER | Quality.FEW_CALIBRATIONS | Quality.BLENDED_FIBERS | Quality.TYPE_GUESSED
        return (self.flags & ~usual).names()


def look(service, folders):
    """Compare what was measured with what was put in; return a row for each star."""
    rows = []
    for folder in folders:
        compared = simulation.compare(service.sessions, folder / "truth" / "velocities.csv")
        for star in compared:
            with service.sessions.begin() as session:
                frame = session.scalars(select(Frame).where(Frame.filename == star.filename)).one()
                state, flags, paths = frame.state, Quality(frame.quality), [p.path for p in frame.products]
            light = np.nan, np.nan, np.nan
            spectra = [path for path in paths if layout.is_product(path, "L2", star.fiber)]
            if spectra:
                light = fluxes(service.output / spectra[0], folder / "truth" / f"{star.filename}.npz", star.fiber)
            measured = star.measured_ms is not None
            off, error = (star.measured_ms - star.injected_ms, star.absolute_error_ms) if measured else (np.nan, np.nan)
            rows.append(Row(folder.name, star.fiber, state, off, error, *light, flags))
    return rows


def fluxes(path, true, fiber):
    """Return `flux_pull`, `flux_bias` and `gain_error` of a product."""
    with fits.open(path) as units, np.load(true) as arrays:
        name = next(u.name for u in units if u.name.endswith("_FLUX") and u.header["FIBER"] == fiber)
        part = lambda word: np.array(units[name.replace("FLUX", word)].data, float)  # noqa: E731
        gain_error = units[0].header["GAINERR"] / units[0].header["GAINUSED"]
        flux, variance, quality = part("FLUX"), part("VAR"), part("QUALITY")
        expected = arrays["flux_electron"][list(arrays["fibers"]).index(fiber)]
    good = (quality == 0) & (variance > 0) & (expected > 0)
    pulls = ((flux - expected) / np.sqrt(variance))[good]
    middle = np.median(pulls)
    scatter = 1.4826 * np.median(np.abs(pulls - middle))
    return float(scatter), float(np.sum((flux - expected)[good]) / np.sum(expected[good])), gain_error


def check(name, rows, masters, expected):
    """Return the stars and masters of a case that fail, a line each."""
    wrong = [f"{name}: {len(rows)} stars of {expected}"] * (len(rows) != expected)
    for row in rows:
        if row.state is not State.DONE:
            wrong.append(f"{name}: star of {row.day} in fiber {row.fiber} is {row.state}")
        elif not row.is_right and not row.told:
            wrong.append(f"{name}: {row.day} fiber {row.fiber} is off and not flagged: {row}")
    return wrong + [f"{name}: master {kind} of {day} is {standing}" for kind, day, standing in masters]


def summed_up(name, found):
    """Return the row of the summary of a case: all its stars, in whichever way they were reduced."""
    rows = [row for rows, _ in found.values() for row in rows]
    done = [row for row in rows if row.state is State.DONE]
    pulls = [row.flux_pull for row in done]
    errors = [abs(row.off_ms) / row.error_ms for row in done]
    flags = sorted({flag for row in done for flag in row.told} - {"header_disagrees"})
    return [
        name, f"{len(done)} of {len(rows)}", f"{np.sqrt(np.mean(np.square(errors))):.2f}", f"{max(errors):.2f}",
        f"{min(pulls):.2f}-{max(pulls):.2f}", f"{max(abs(row.flux_bias) / row.gain_error for row in done):.1f}",
        " ".join(flags),
    ]  # fmt: skip


def unmade(service):
    """Return the masters that failed."""
    with service.sessions.begin() as session:
        rows = session.scalars(select(Master).where(Master.standing == "failed"))
        return [(row.kind, row.day, row.standing) for row in rows]


def try_case(work, name, full=False, ways=("night", "workers")):
    """Simulate a case and reduce it; return the rows by the way that it was reduced in."""
    case, found = CASES[name], {}
    shutil.rmtree(work, ignore_errors=True)
    folders = write(work / "archive", spectrograph_of(full), case)
    for way in ways:
        service = build(work / way, full)
        {"night": by_night, "workers": by_workers}[way](service, folders)
        found[way] = look(service, folders), unmade(service)
    return found


def main():
    """Read the command line, try the cases, print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cases", nargs="*", metavar="CASE", help="All if not given.")
    parser.add_argument("--work", type=Path, required=True, help="Where frames and products go.")
    parser.add_argument("--full", action="store_true", help="Detectors of the real size.")
    given = parser.parse_args()
    logs.configure("ERROR")
    wrong, table, summary = [], [], []
    for name in given.cases or CASES:
        found = try_case(given.work.resolve() / name.replace(" ", "-"), name, given.full)
        shutil.rmtree(given.work.resolve() / name.replace(" ", "-"))
        for way, (rows, masters) in found.items():
            wrong += check(f"{name} ({way})", rows, masters, 2 * len(CASES[name].cameras))
            for row in rows:
                table.append([
                    name, way, row.day[4:], str(row.fiber), str(row.state), f"{row.error_ms:.2f}", f"{row.off_ms:+.2f}",
                    f"{row.flux_pull:.2f}", f"{1e3 * row.flux_bias:+.1f}", " ".join(row.told),
                ])  # fmt: skip
        summary.append(summed_up(name, found))
        print(f"{name}: {len(wrong)} wrong so far", flush=True)
    heads = ["case", "by", "night", "fiber", "star", "error", "off by", "pull", "bias", "flags"]
    print("\n".join(plain_table.aligned([heads, *table])))
    heads = ["case", "stars", "off rms", "most", "pulls", "flux", "flags of some"]
    print("", *plain_table.aligned([heads, *summary]), sep="\n")
    print("", *(wrong or ["every star is reduced, and right within its error or flagged"]), sep="\n")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
