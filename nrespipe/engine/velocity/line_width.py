"""How much wider the lines of a star are than those of its template."""

from typing import TYPE_CHECKING

import numpy as np
from numpy.polynomial import legendre

from nrespipe.engine.velocity import template_fit

if TYPE_CHECKING:
    from nrespipe.engine.velocity.template_fit import TemplateFit


def change(
    orders, numbers, template, fit: "TemplateFit", berv_ms: float = 0.0, *, degree: int = 3, step_ms: float = 200.0
) -> tuple[float, float]:
    """Measure the differential line width of a spectrum.

    Parameters
    ----------
    orders, numbers, template
        As in ``template_fit.fit``.
    fit
        What that gave: its velocity, and the pixels that took part.
    berv_ms
        Barycentric correction [m / s].
    degree
        Degree of the polynomial by which the level of an order may differ from that of the template.
    step_ms
        Step by which the second derivative of the template is taken [m / s].

    Returns
    -------
    value_m2_s2, error_m2_s2 : float
        Half of what is added to the variance of the lines, and its photon error; NaN and infinite where no order
        tells [m2 / s2].

    Notes
    -----
    A line that widens by a little changes by ``sigma d(sigma) T''`` with the second derivative of the template with
    respect to the velocity (Zechmeister et al. 2018, A&A 609, A12); that is fitted to what the velocity leaves, with
    the level and the velocity of each order free. The noise of the template makes it look less curved than it is,
    so that a change comes out too small by the share that this noise has in the curvature.
    """
    flux, slope, noise = template_fit.expected(orders, numbers, template, fit.rv_ms, berv_ms)
    after, before = (
        template_fit.expected(orders, numbers, template, fit.rv_ms + step, berv_ms)[1] for step in (step_ms, -step_ms)
    )
    curvature = (after - before) / (2 * step_ms)
    used = fit.used & np.isfinite(curvature)
    level = np.where(used, orders.continuum, 0.0)
    flux, slope, curvature, noise = (np.where(used, a, 0.0) for a in (flux, slope, curvature, noise))
    weight = np.where(used, 1 / np.where(used, orders.noise().at(level * flux) + level**2 * noise, 1.0), 0.0)
    basis = legendre.legvander(np.linspace(-1, 1, used.shape[1]), degree)
    signal = information = 0.0
    for o in np.flatnonzero(used.sum(axis=1) > 10 * (degree + 3)):
        # a shift of 10 km/s is of the size of the level
        columns = np.column_stack([basis * (flux[o] * level[o])[:, None], 1e4 * level[o] * slope[o]])
        data = np.where(used[o], orders.flux[o], 0.0)
        terms = template_fit.least_squares(columns, data, weight[o])
        moving = (basis @ terms[:-1]) * level[o] * curvature[o]
        pure = moving - columns @ template_fit.least_squares(columns, moving, weight[o])
        signal += weight[o] @ (pure * (data - columns @ terms))
        information += weight[o] @ pure**2
    if not information > 0:
        return float("nan"), float("inf")
    return float(signal / information), float(information**-0.5)
