"""Joins the velocities of the orders of a spectrum to one, and measures by how much parts of it disagree."""

import numpy as np

from nrespipe.frames.arrays import Floats

_ROUNDS = 30


def mean(value: Floats, weight: Floats, error: Floats, *, limit: float = 2.5) -> tuple[float, Floats]:
    """Return the weighted mean of the velocities of orders, robust against a few of them that are far off.

    Parameters
    ----------
    value : shape (n_orders,)
        Velocity of each order [m / s].
    weight : shape (n_orders,)
        Its weight, 0 for an order that is not used.
    error : shape (n_orders,)
        Its error [m / s].
    limit
        Distance from the mean, in errors or in scatters of the orders where these are larger, beyond which an order
        loses weight.

    Returns
    -------
    mean : float
        [m / s].
    share : ndarray of float, shape (n_orders,)
        Share of its weight that each order keeps, 1 for nearly all.

    Notes
    -----
    An order at a distance of *r* errors from the mean keeps ``(limit / r)**2`` of its weight if *r* is more than
    `limit`. Its contribution falls with its distance, so that an order with a band of the atmosphere that no list has,
    or with the trail of a saturated line, does not count (a redescending M-estimator: Maronna, Martin & Yohai 2006,
    Robust Statistics, section 2.2). It begins at the weighted median. The distance counts in units of the robust
    scatter of the orders where that exceeds their errors, as it does where all of them disagree with a list or a
    template; with the factor of Rousseeuw & Leroy (1987, Robust Regression and Outlier Detection, section 5.1) for few
    orders, of which some agree by chance.
    """
    used = weight > 0
    share = used.astype(float)
    if not used.any():
        return 0.0, share
    # an order that is not used may have no velocity either
    value, error = np.where(used, value, 0.0), np.where(used, error, 1.0)
    center = _median(value, weight)
    # once, about the median: about a mean that bad orders draw to them it would grow, and let them draw it further
    few = 1 + 5 / max(int(np.count_nonzero(used)) - 1, 1)
    scatter = max(1.0, 1.4826 * few * float(np.median((np.abs(value - center) / error)[used])))
    for _ in range(_ROUNDS):
        pulls = np.abs(value - center) / error
        share = np.where(used, np.minimum(1.0, (limit * scatter / np.maximum(pulls, 1e-9)) ** 2), 0.0)
        now = share * weight / (share @ weight)
        center, before = float(now @ value), center
        if abs(center - before) < 1e-3 * np.sqrt(np.sum((now * error) ** 2)):
            break
    return center, share


def disagreement(
    signal: Floats,
    leverage: Floats,
    shift_ms: float,
    photon_ms: float,
    wavelength: Floats,
    *,
    fine: int = 64,
    coarse: int = 12,
    alarm: float = 3.0,
) -> tuple[float, bool]:
    """Return the excess of the scatter of parts of a spectrum over the photon error, and whether they are independent.

    Parameters
    ----------
    signal, leverage : shape (n_orders, n_pixels)
        Terms of the sums over pixels: they add up to the shift, and to 1 [m / s, 1].
    shift_ms, photon_ms
        The shift and its photon error [m / s].
    wavelength : shape (n_orders, n_pixels)
        Wavelengths of the pixels [angstrom].
    fine, coarse
        Numbers of blocks into which the spectrum is cut.
    alarm
        Ratio of the variances that they give, above which neighboring blocks are not independent.

    Returns
    -------
    excess_ms : float
        Its square is the variance of the mean by the scatter of the blocks, less that of the photons [m / s].
    consistent : bool
        Whether fine and coarse blocks give the same variance.

    Notes
    -----
    Blocks of wavelength and not orders: neighboring orders share lines and their errors. Lines are in error
    independently, so wide blocks give the same error of the mean as narrow ones; a distorted wavelength scale shifts
    neighbors together, and then the error by the wide ones is the right one. The variance ratio passes 3 by chance once
    in 400 times.
    """
    place = np.argsort(wavelength, axis=None, kind="stable")
    signal, leverage = signal.ravel()[place], leverage.ravel()[place]
    share = np.cumsum(leverage)
    variances = []
    for blocks in (fine, coarse):
        block = np.clip(share * blocks, 0, blocks - 1).astype(np.int64)
        rest = np.bincount(block, signal - leverage * shift_ms, blocks)
        variances.append(np.sum(rest**2) * blocks / (blocks - 1))
    consistent = bool(variances[1] < alarm * max(variances[0], photon_ms**2))
    variance = variances[0] if consistent else variances[1]
    return float(np.sqrt(max(variance - photon_ms**2, 0.0))), consistent


def _median(value, weight):
    order = np.argsort(value, kind="stable")
    below = np.cumsum(weight[order])
    return float(value[order][np.searchsorted(below, 0.5 * below[-1])])
