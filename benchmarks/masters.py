"""Masters from raw files, against the truth of the simulator: CPU time, memory, errors, bad pixels, gain, read noise.

Run ``python benchmarks/masters.py``: it writes 2 GB of raw files of one camera to a temporary directory, and makes each
master in a process of its own, of forty frames and of those of a real day. It takes a few minutes.
"""

import functools
import pickle
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from nrespipe import instruments
from nrespipe.files.raw import raw_file
from nrespipe.frames.quality import Pixel
from nrespipe.frames.raw import Kind
from nrespipe.frames.reduction import References
from nrespipe.recipes import RECIPES

_DAY = "20190405"
_EXPOSURE_S = 900.0
#: Of each kind: frames of a real day, and many.
_COUNTS = {Kind.BIAS: (5, 40), Kind.DARK: (3, 40), Kind.FLAT: (10, 40)}
_FLAWED = 0.7


def write_frames(root):
    """Write the raw files that the masters are made of."""
    from nrespipe.simulator import bench as benches
    from nrespipe.simulator import night, raw_file

    bench = benches.build(instruments.load("nres01"))
    counts = {"n_bias": _COUNTS[Kind.BIAS][1], "n_dark": _COUNTS[Kind.DARK][1], "n_flat": _COUNTS[Kind.FLAT][1] // 2}
    for shot in night.plan(bench, _DAY, seed=1, stars=[], n_arc=0, **counts):
        adu = night.expose(bench, shot, seed=1).adu
        path = root / f"{shot.filename}.fits.fz"
        raw_file.save(path, adu, bench.spectrograph, bench.spectrograph.cameras[0], _DAY, shot)


def chosen(root, kind, count):
    """Files of a kind, the same number of both pairs of fibers."""
    files = sorted(root.glob(f"*-{ {Kind.BIAS: 'b', Kind.DARK: 'd', Kind.FLAT: 'w'}[kind] }00.fits.fz"))
    return files[:count] if kind is not Kind.FLAT else files[: count // 2] + files[-(count - count // 2) :]


def make(root, kind, count):
    """Make one master in this process; print what it cost, and keep it."""
    nres = instruments.load("nres01")
    refs = {}
    for needed in RECIPES[kind].NEEDS:
        refs[str(needed)] = pickle.loads((root / f"{needed}.pickle").read_bytes())
    began = time.process_time()
    frames = [raw_file.read(path, whole=False) for path in chosen(root, kind, count)]
    master = RECIPES[kind].combine(frames, References(**refs), nres)
    seconds = time.process_time() - began
    peak_gb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(f"{kind} of {count}: {seconds:.1f} s CPU, {peak_gb:.2f} GB; {' '.join(master.origin.quality.names())}")
    (root / f"{kind}-{count}.pickle").write_bytes(pickle.dumps(master))


def judge_bias(master, bench, fixed):
    """Tell the error of a master bias, and how many good pixels it marks."""
    error = (master.adu - fixed.bias_adu[: len(master.adu), : master.adu.shape[1]])[:, :-1]
    true_adu = np.hypot(bench.read_noise_e / bench.gain_e_per_adu, np.sqrt(1 / 12))
    print(f"    error {np.std(error):.3f} ADU, claimed {np.sqrt(np.mean(master.variance)):.3f}")
    print(f"    read noise {master.read_noise_adu:.3f} ADU, true {true_adu:.3f}")
    print(f"    good pixels marked: {np.mean(master.mask > 0):.1e}")


def judge_dark(master, bench, fixed):
    """Tell the error of a master dark, and what becomes of hot pixels and of good ones."""
    error = (master.adu_per_s * bench.gain_e_per_adu - fixed.dark_e_per_s)[:, :-1] * _EXPOSURE_S
    charge = (fixed.dark_e_per_s - np.median(fixed.dark_e_per_s, axis=1, keepdims=True))[:, :-1] * _EXPOSURE_S
    noise = np.sqrt(bench.read_noise_e**2 + fixed.dark_e_per_s[:, :-1] * _EXPOSURE_S)
    marked, right = (master.mask > 0)[:, :-1], np.abs(error) < 3 * noise
    cold = charge < 0.5 * bench.read_noise_e
    print(f"    error of cold pixels {np.std(error[cold & ~marked]):.2f} electron in {_EXPOSURE_S:.0f} s")
    for low, high in ((3, 5), (5, 20), (20, 1000), (1000, np.inf)):
        hot = (charge > low * bench.read_noise_e) & (charge <= high * bench.read_noise_e)
        found = np.mean((marked | right)[hot])
        print(
            f"    {np.count_nonzero(hot)} hot pixels of {low} to {high} times the read noise: "
            f"{found:.2%} corrected to 3 sigma or marked ({np.mean(marked[hot]):.1%} marked)"
        )
    print(f"    good pixels marked: {np.mean(marked[cold]):.1e}, spoiled: {np.mean(~right[cold & ~marked]):.1e}")


def judge_flat(master, bench, fixed):
    """Tell the gain, and which flawed pixels under the light a master flat marks."""
    from nrespipe.simulator import frame

    gain, error, true = master.gain_e_per_adu, master.gain_error, bench.gain_e_per_adu
    print(f"    gain {gain:.4f} +- {error:.4f}, true {true:.4f}: {(gain - true) / error:+.1f} sigma")
    pairs = ("tung", "tung", "none"), ("none", "tung", "tung")
    light = np.max([frame.render(bench, frame.Scene(Kind.FLAT, lit, 30.0)).electrons for lit in pairs], axis=0)
    marked, lit = master.mask & np.uint8(Pixel.BAD) > 0, light > 5000
    flawed, good = fixed.response < _FLAWED, np.abs(fixed.response - 1) < 0.05
    print(
        f"    {np.count_nonzero(flawed & lit)} flawed pixels under 5000 electron and more: "
        f"{np.mean(marked[flawed & lit]):.1%} marked; good pixels marked: {np.mean(marked[good & lit]):.1e}"
    )
    bright = light > 30_000
    error = np.std((master.profile.response - fixed.response)[bright & good & ~marked])
    print(f"    error of the response above 30000 electron: {error:.2%}, scatter {np.std(fixed.response[good]):.2%}")


def main():
    """Print the table."""
    from nrespipe.simulator import bench as benches
    from nrespipe.simulator import detector

    bench = benches.build(instruments.load("nres01"))
    fixed = detector.pattern(bench.seed)
    judges = {Kind.BIAS: judge_bias, Kind.DARK: judge_dark, Kind.FLAT: judge_flat}
    show = functools.partial(print, flush=True)
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory)
        # the simulator runs in a process of its own, so that its memory does not count
        subprocess.run([sys.executable, __file__, directory], check=True)
        for kind, counts in _COUNTS.items():
            for count in reversed(counts):
                told = subprocess.run(
                    [sys.executable, __file__, directory, kind, str(count)], check=True, capture_output=True, text=True
                )
                show(told.stdout.rstrip())
                judges[kind](pickle.loads((root / f"{kind}-{count}.pickle").read_bytes()), bench, fixed)
            # what follows uses the masters of a real day
            (root / f"{kind}-{counts[0]}.pickle").rename(root / f"{kind}.pickle")


if __name__ == "__main__":
    if len(sys.argv) == 1:
        main()
    elif len(sys.argv) == 2:
        write_frames(Path(sys.argv[1]))
    else:
        make(Path(sys.argv[1]), Kind(sys.argv[2]), int(sys.argv[3]))
