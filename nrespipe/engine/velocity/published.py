"""What of a velocity is published beside it: the cross-correlation function, and what each order gave."""

from typing import TYPE_CHECKING

import numpy as np

from nrespipe import doppler
from nrespipe.engine.spectrum import ccf
from nrespipe.frames.arrays import Floats, Integers
from nrespipe.frames.quality import Quality
from nrespipe.frames.velocity import Velocity

if TYPE_CHECKING:
    from nrespipe.engine.velocity.mask_fit import Fit


def function(
    found: "Fit", n_orders: int, chosen: Integers, berv_ms: float, *, step_ms: float = 500.0
) -> dict[str, np.ndarray]:
    """Return the cross-correlation function to be published, on an even grid of barycentric velocities.

    Parameters
    ----------
    found
        From ``mask_fit.fit``.
    n_orders
        Number of orders of the frame.
    chosen
        Which of them were fitted.
    berv_ms
        Barycentric correction [m / s].
    step_ms
        Step of the grid [m / s].

    Returns
    -------
    dict of str to ndarray
        ``grid_ms``, ``ccf``, ``ccf_variance``, as the attributes of a ``Velocity``.
    """
    reach_ms = max(20e3, 2 * found.fwhm_ms)
    center = np.round(found.rv_ms / step_ms)
    steps = int(np.ceil(reach_ms / step_ms))
    grid_ms = (center + np.arange(-steps, steps + 1)) * step_ms
    seen_ms = doppler.seen_ms(grid_ms, berv_ms)
    orders, lines = found.orders, found.lines
    level = np.where(orders.good, orders.continuum, 1.0)
    flux = np.where(orders.good, orders.flux / level, found.model)
    noise = np.where(orders.good, orders.variance / level**2, 0.0)
    edges, total = ccf.pixel_edges(orders.wavelength), lines.weight.sum()
    function, variance = np.zeros((2, n_orders, len(grid_ms)))
    function[chosen] = ccf.correlate(flux[None], edges, lines, seen_ms, step_ms)[0] / total
    variance[chosen] = ccf.variance(noise, edges, lines, seen_ms, step_ms) / total**2
    return {"grid_ms": grid_ms, "ccf": function, "ccf_variance": variance}


def by_order(found: "Fit", n_orders: int, chosen: Integers) -> dict[str, Floats]:
    """Return what each order gave, for all orders of the frame.

    Parameters
    ----------
    found
        From ``mask_fit.fit``.
    n_orders
        Number of orders of the frame.
    chosen
        Which of them were fitted.

    Returns
    -------
    dict of str to ndarray of float, shape (n_orders,)
        Velocities, errors, weights and ranges of wavelength, as the attributes of a ``Velocity``.
    """
    wavelength = np.where(found.used, found.orders.wavelength, np.nan)
    some = found.used.any(axis=1)
    columns = {
        "order_rv_ms": found.order_rv_ms,
        "order_error_ms": found.order_error_ms,
        "order_start_angstrom": np.nanmin(wavelength, axis=1, where=found.used, initial=np.inf),
        "order_end_angstrom": np.nanmax(wavelength, axis=1, where=found.used, initial=-np.inf),
    }
    result = {}
    for name, values in columns.items():
        result[name] = np.full(n_orders, np.nan)
        result[name][chosen[some]] = values[some]
    result["order_weight"] = np.zeros(n_orders)
    result["order_weight"][chosen] = found.order_weight
    return result


def nothing(orders: Integers, quality: Quality, **common) -> Velocity:
    """Return the result for a star whose velocity could not be measured.

    Parameters
    ----------
    orders : shape (n_orders,)
        Diffraction orders.
    **common
        What is known all the same: attributes of a ``Velocity``.

    Returns
    -------
    Velocity
        Velocities of NaN with infinite errors.
    """
    # as long as a usual one, so that products of stars with and without a velocity are alike
    grid_ms = np.linspace(-20e3, 20e3, 81)
    none, empty = np.full(len(orders), np.nan), np.full((len(orders), len(grid_ms)), np.nan)
    sources = ("photon_", "wavelength_", "drift_", "transfer_", "mask_")
    errors = [f"{source}error_ms" for source in ("", *sources)]
    numbers = dict.fromkeys(("rv_ms", "fwhm_ms", "contrast", "bisector_ms"), np.nan) | dict.fromkeys(errors, np.inf)
    per_order = dict.fromkeys(("order_rv_ms", "order_error_ms", "order_start_angstrom", "order_end_angstrom"), none)
    return Velocity(
        **common, **numbers, **per_order, grid_ms=grid_ms, ccf=empty, ccf_variance=empty, orders=orders,
        order_weight=np.zeros(len(orders)), quality=quality,
    )  # fmt: skip
