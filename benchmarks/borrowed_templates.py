"""Velocities by the template of another star against the truth: how far they are off, and what error they have.

Run ``python benchmarks/borrowed_templates.py``: templates of nine exposures of three G2, K2 and K5 dwarfs each measure
other stars of these types, of the next types and of other rotation, at S/N 100 and 30. With ``NRESPIPE_REALDATA`` the
spectra of the Sun and of Gl 581 (M3) that HARPS publishes measure each other, by far a worse match than the service
allows.
"""

import itertools
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
from astropy.io import fits

from nrespipe import data, instruments
from nrespipe.engine.spectrum import continuum
from nrespipe.engine.spectrum.order_spectra import OrderSpectra
from nrespipe.engine.velocity import measurement, template, template_fit
from nrespipe.frames.star import Star
from nrespipe.simulator import bench as benches
from nrespipe.simulator import extracted_stars, stars

TELLURICS = data.tellurics()
#: Types of the templates, how many of each, and the rotation of their stars [km / s].
TEMPLATES, EACH, SLOW_KMS = ("G2", "K2", "K5"), 3, 2.0
#: Types and rotation [km / s] of the stars.
STARS, ROTATION_KMS = ("F5", "G2", "K2", "K5", "M0"), (2.0, 2.5, 4.0, 6.0)
#: Types whose lines are alike enough for a template to be thought of, beside the same ones.
NEXT = {("F5", "G2"), ("G2", "K2"), ("K2", "G2"), ("K2", "K5"), ("K5", "K2"), ("M0", "K5")}
RV_MS = 5000.0
#: Velocities of the real stars on the scale of their own masks (HARPS) [m / s].
REAL = {"sun": 3.0, "gl581": -9199.0}


def star(name, kind, vsini_kms, snr):
    """Return a star of some type."""
    return replace(stars.target(name), spectral_type=kind, vsini_kms=vsini_kms, snr=snr, rv_ms=RV_MS)


def exposed(bench, target, berv_ms, seed):
    """Return an exposure, with its true velocity."""
    wavelengths = extracted_stars.wavelengths(bench)
    spectrum, numbers = measurement.prepared(extracted_stars.expose(bench, target, berv_ms, seed=seed), wavelengths, 0)
    fwhm = wavelengths.line_shape.fwhm[0][np.isin(bench.spectrograph.orders, numbers)]
    return template.Exposure(spectrum, numbers, target.rv_ms, berv_ms, str(seed), fwhm=fwhm)


def simulated(bench):
    """Print how far velocities of simulated stars are off, in units of two errors."""
    made, rows = [], {}
    for kind, number in itertools.product(TEMPLATES, range(EACH)):
        target = star(f"template {kind} {number}", kind, SLOW_KMS, 100.0)
        bervs = np.linspace(-24e3, 24e3, 9)
        exposures = [exposed(bench, target, berv, [1, number, i]) for i, berv in enumerate(bervs)]
        made.append((kind, template.build(exposures, target.star, rounds=1, tellurics=TELLURICS)))
    for kind, vsini_kms, snr in itertools.product(STARS, ROTATION_KMS, (100.0, 30.0)):
        berv_ms = 2e3 * vsini_kms
        name = f"star {kind} {vsini_kms}"
        seen = exposed(bench, star(name, kind, vsini_kms, snr), berv_ms, [2, int(10 * vsini_kms), int(snr)])
        for of, one in made:
            which = "same type" if of == kind else "next type" if (kind, of) in NEXT else None
            if which:
                fit = template_fit.fit(seen.spectrum, seen.numbers, one, RV_MS, berv_ms, tellurics=TELLURICS)
                by_chi2_ms = fit.photon_error_ms * np.sqrt(max(fit.order_chi2, 1.0))
                row = fit.rv_ms - RV_MS, fit.photon_error_ms, by_chi2_ms, fit.error_ms, fit.order_chi2
                rows.setdefault((which, snr), []).append(row)
    print("type        S/N   n   off, rms  photon error  error   pulls by chi2  pulls  order chi2")
    for (which, snr), found in rows.items():
        off, photon, by_chi2, error, chi2 = np.array(found).T
        print(
            f"{which:10} {snr:4.0f} {len(off):3d} {_rms(off):8.2f} {np.median(photon):11.2f} {np.median(error):9.2f} "
            f"{_rms(off / by_chi2):12.2f} {_rms(off / error):9.2f} {np.median(chi2):9.1f}"
        )


def real(folder):
    """Print how far two real stars that are nothing alike measure each other."""
    spectra = {name: harps(folder / f"{name}_harps_s1d.fits") for name in REAL}
    for of, measured in (("sun", "gl581"), ("gl581", "sun"), ("sun", "sun"), ("gl581", "gl581")):
        copies = [template.Exposure(spectra[of], NUMBERS, REAL[of], 0.0, str(i)) for i in range(2)]
        made = template.build(copies, Star(of), rounds=1, tellurics=TELLURICS)
        fit = template_fit.fit(
            spectra[measured], NUMBERS, made, REAL[measured], tellurics=TELLURICS, motion_ms=0.0
        )  # fmt: skip
        print(
            f"{measured:6} by {of:6}: {fit.rv_ms - REAL[measured]:+9.1f} m/s off, photon error "
            f"{fit.photon_error_ms:.2f}, error {fit.error_ms:.1f}, order chi2 {fit.order_chi2:.1f}"
        )


NUMBERS = np.arange(60)


def harps(path):
    """Return a merged spectrum of HARPS as sixty pieces, in vacuum."""
    with fits.open(path) as file:
        flux, header = np.asarray(file[0].data, float), file[0].header
    air = header["CRVAL1"] + header["CDELT1"] * np.arange(len(flux))
    # Ciddor (1996, Appl. Opt. 35, 1566) as a function of the wave number in air, good to 0.01 m/s here
    s2 = (1e4 / air) ** 2
    index = (
        1 + 8.336624212083e-5 + 2.408926869968e-2 / (130.1065924522 - s2) + 1.599740894897e-4 / (38.92568793293 - s2)
    )
    inside = np.flatnonzero((air > 4300) & (air < 6800))
    length = len(inside) // len(NUMBERS)
    cut = lambda a: np.ascontiguousarray(a[inside[: length * len(NUMBERS)]].reshape(len(NUMBERS), length))  # noqa: E731
    flux, wavelength = cut(flux), cut(air * index)
    # a signal-to-noise ratio of about 200
    variance = np.maximum(flux, np.median(flux) / 20) * np.median(flux) / 200**2
    good = np.isfinite(flux) & (flux > 0)
    level = continuum.envelope(flux, variance, good)
    known = good & np.isfinite(level) & (level > 0)
    return OrderSpectra(flux, variance, known, wavelength, np.where(known, level, 0.0))


def _rms(values):
    return float(np.sqrt(np.mean(np.square(values))))


if __name__ == "__main__":
    simulated(benches.build(instruments.load("nres01")))
    if "NRESPIPE_REALDATA" in os.environ:
        real(Path(os.environ["NRESPIPE_REALDATA"]))
