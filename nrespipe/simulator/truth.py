"""Tables and arrays of the truth of a simulated night on disk, next to its frames."""

import csv
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from nrespipe.simulator import bench as benches

if TYPE_CHECKING:
    from nrespipe.simulator.bench import Bench
    from nrespipe.simulator.frame import Truth
    from nrespipe.simulator.night import Shot


def velocities(path: Path, bench: "Bench", shots: "Sequence[Shot]") -> None:
    """Write the table of the true velocity, time and drift of every star of a night.

    Parameters
    ----------
    path
        Of the CSV file: one row a star and frame.
    shots
        The exposures of the night.

    Notes
    -----
    ``drift_ms`` is the change of the wavelength of a fixed pixel of the reference fiber since the reference state of
    the bench, mean over orders and columns, as in ``Drift.velocity_ms``; ``fiber_drift_ms`` is that of the star's
    fiber. ``snr`` is the median per extracted pixel in the orders 85-95; ``midpoint_mjd`` is weighted by photons, and
    ``berv_ms`` is the photon-weighted mean of the barycentric correction, not its value at one time.
    """
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


def frames(path: Path, bench: "Bench", shots: "Sequence[Shot]") -> None:
    """Write the table of the state of the bench in every frame of a night.

    Parameters
    ----------
    path
        Of the CSV file: one row a frame.
    shots
        The exposures of the night.
    """
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
                "saturated_lines": shot.scene.saturated_lines,
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


def arrays(path: Path, truth: "Truth") -> None:
    """Write the true wavelengths, fluxes and traces of one frame.

    Parameters
    ----------
    path
        Of the NPZ file.

    Notes
    -----
    ``wavelength_angstrom``, ``flux_electron`` and ``rows`` have the axes (fiber, order, pixel) of ``fibers`` and
    ``orders``; ``cosmics`` lists row, column and charge of every pixel with a cosmic ray.
    """
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
