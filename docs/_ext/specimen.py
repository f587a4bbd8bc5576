"""Make a small science frame with every part of a product, for the lists of product parts in the manual."""

import numpy as np

from nrespipe import instruments
from nrespipe.files.products.product_inputs import ProductInputs
from nrespipe.frames.raw import ExposureMeter, Kind, RawFrame, Section
from nrespipe.frames.reduction import Reduction
from nrespipe.frames.spectra import Spectra, Stitched
from nrespipe.frames.star import Star
from nrespipe.frames.velocity import Barycentric, OrderVelocities, TemplateVelocity, Velocity
from nrespipe.frames.wavelength import Drift, LineShape, Wavelengths

_FIBERS, _ORDERS, _PIXELS, _VELOCITIES = (0, 1), np.array([90, 91]), 64, 3

#: Names of the axes by their lengths, which all differ.
AXES = {1: "1", len(_ORDERS): "order", _PIXELS: "pixel", _VELOCITIES: "velocity"}


def inputs():
    """Return a reduced frame of a star in fiber 0 with the lamp in fiber 1.

    Returns
    -------
    ProductInputs
        The input of the product writers.
    """
    spectrograph = instruments.load("nres01")
    masters = {kind: f"{kind}_lsc_nres01_fa09_20190405.fits.fz" for kind in ("bias", "dark", "flat", "arc")}
    steps = (("nrespipe.recipes.science.reduce", "lscnrs01-fa09-20190405-0021-e00"),)
    return ProductInputs(_raw(), _reduction(), 0, masters, spectrograph, {}, steps)


def _raw():
    meter = ExposureMeter(np.array([58579.0]), np.array([60.0]), np.ones((1, 3)))
    keywords = ("AIRMASS", "SUNALT", "MOONALT", "MOONFRAC", "WMSTEMP", "WMSHUMID", "WMSPRES", "WINDSPEE", "WINDDIR")
    return RawFrame(
        filename="lscnrs01-fa09-20190405-0021-e00",
        kind=Kind.SCIENCE,
        site="lsc",
        instrument="nres01",
        camera="fa09",
        day="20190405",
        start_mjd=58579.0,
        exposure_s=60.0,
        objects=("HD102365", "thar", "none"),
        adu=np.zeros((2, 4), np.float32),
        bias_section=Section(3, 4, 0, 2),
        data_section=Section(0, 3, 0, 2),
        meter=meter,
        header=dict.fromkeys(keywords, (1.0, "")),
    )


def _reduction():
    shape = (len(_FIBERS), len(_ORDERS), _PIXELS)
    ones = np.ones(shape)
    angstrom = np.linspace(5000, 5060, _PIXELS) * ones
    line_shape = LineShape(_FIBERS, _ORDERS, 4 * ones, np.arange(3.0), np.arange(2.0), np.ones((len(_FIBERS), 2, 3)))
    drift = Drift(0.1, 0.01, 0.0, 0.01, 100.0, 1.0, 1000)
    seen = Barycentric(58579.0, 2458579.5, 1000.0, True)
    return Reduction(
        measurements={"trace_shift_px": 0.0},
        spectra=Spectra(_FIBERS, _ORDERS, ones, ones, np.zeros(shape, np.uint8), ones, None, ones[:, :, 0]),
        wavelengths=Wavelengths(_FIBERS, _ORDERS, angstrom, np.ones(len(_FIBERS)), drift, line_shape),
        barycentric={0: seen},
        velocities=(_velocity(seen),),
        stitched={0: Stitched(0, np.linspace(5000, 5060, _PIXELS), *np.ones((4, _PIXELS)))},
    )


def _velocity(seen):
    n = len(_ORDERS)
    numbers = ("rv_ms", "error_ms", "photon_error_ms", "wavelength_error_ms", "drift_error_ms")
    numbers += ("snr", "fwhm_ms", "contrast", "bisector_ms")
    by_order = OrderVelocities(*np.ones((3, n)))
    return Velocity(
        fiber=0,
        star=Star("HD102365"),
        mask="G2",
        barycentric=seen,
        grid_ms=np.arange(float(_VELOCITIES)),
        ccf=np.ones((n, _VELOCITIES)),
        ccf_variance=np.ones((n, _VELOCITIES)),
        orders=_ORDERS,
        **dict.fromkeys(numbers, 1.0),
        by_order=by_order,
        **dict.fromkeys(("order_start_angstrom", "order_end_angstrom"), np.ones(n)),
        template=TemplateVelocity("HD102365", "0123456789ab", True, 12, 1.0, 1.0, 1.0, 0.0, 1.0, by_order),
    )
