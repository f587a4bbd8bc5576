"""A reduction of a stellar frame with invented numbers, for the tests of products."""

from dataclasses import replace

import numpy as np

from nrespipe import instruments
from nrespipe.frames.reduction import Reduction
from nrespipe.frames.spectra import Spectra, Stitched
from nrespipe.frames.star import Star
from nrespipe.frames.velocity import Barycentric, OrderVelocities, Velocity
from nrespipe.frames.wavelength import Drift, LineShape, Wavelengths

N_ORDERS, N_PIXELS = 4, 4096
ORDERS = np.arange(80, 80 + N_ORDERS)
NRES01 = instruments.load("nres01")
MASTERS = {kind: f"/some/where/{kind}_lsc_nres01_fa09_20190405.fits.fz" for kind in ("bias", "dark", "flat", "arc")}


def wavelengths_of(fibers, drift):
    x = np.linspace(-1, 1, N_PIXELS)
    angstrom = np.stack([(5000 + 40 * x + i * 0.1) * 90 / ORDERS[:, None] for i in range(len(fibers))])
    angstrom[:, 0, :100] = np.nan
    shape = (len(fibers), N_ORDERS, N_PIXELS)
    widths, columns, values = np.full(shape, 4.0), np.arange(2.0), np.ones((shape[0], 2, 3))
    line_shape = LineShape(fibers, ORDERS, widths, np.arange(3.0), columns, values)
    return Wavelengths(fibers, ORDERS, angstrom, np.full(shape[0], 1.0), drift, line_shape)


def spectra_of(fibers):
    rng = np.random.default_rng(2)
    shape = (len(fibers), N_ORDERS, N_PIXELS)
    flux = rng.normal(10000, 100, shape)
    flux[0, 1, :10] = np.nan
    quality = rng.integers(0, 256, shape).astype(np.uint8)
    rejected, lamp = np.array([[3, 4], [2000, 4095]]), 1e4 + rng.normal(size=shape[:2])
    return Spectra(fibers, ORDERS, flux, np.full(shape, 1e4), quality, np.ones(shape), rejected, lamp)


def stitched_of(fiber):
    rng = np.random.default_rng(fiber)
    angstrom = 5000 * np.exp(np.arange(700) * 1500 / 299792458.0)
    arrays = rng.normal(100, 1, (4, 700))
    arrays[:, 5] = np.nan
    return Stitched(fiber, angstrom, *arrays)


def velocity_of(fiber, name, barycentric):
    rng = np.random.default_rng(fiber)
    known = {"pm_ra_mas_yr": 207.25, "rv_kms": -33.2, "source": "Gaia DR3", "aliases": ("HD 217014",)}
    star = Star(name, 344.366585, 20.768833, **known)
    by_order, *ends = OrderVelocities(*rng.normal(size=(3, N_ORDERS))), *rng.normal(size=(2, N_ORDERS))
    grid = np.linspace(-20000.0, 20000.0, 81)
    ccfs = rng.normal(size=(2, N_ORDERS, 81))
    errors = (1.5, 1.0, 0.8, 0.5)
    shape = (120.0, 7000.0, 0.4, -12.0)
    return Velocity(fiber, star, "G2", -33200.5, *errors, barycentric, *shape, grid, *ccfs, ORDERS, by_order, *ends)


def reduction_of(raw, drift=True, **changes):
    fibers = raw.lit_fibers
    unmeasured = Drift(0.0, np.inf, 0.0, np.inf, 0.0, np.inf, 0)
    found = Drift(0.5, 0.01, 0.2, 0.02, -900.0, 2.0, 1500) if drift else unmeasured
    seen = {i: Barycentric(58579.1035 + i, 2458579.6 + i, 12345.6 - i, True) for i in raw.star_fibers}
    made = Reduction(
        measurements={"drift_ms": -900.0},
        spectra=spectra_of(fibers),
        wavelengths=wavelengths_of(fibers, found),
        barycentric=seen,
        stitched={i: stitched_of(i) for i in raw.star_fibers},
        velocities=tuple(velocity_of(fiber, raw.objects[fiber], seen[fiber]) for fiber in raw.star_fibers),
    )
    return replace(made, **changes)
