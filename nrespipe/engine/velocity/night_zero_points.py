"""The common velocity offset of the constant stars of each night."""

import numpy as np
from numpy.typing import ArrayLike

from nrespipe.frames.velocity import ZeroPoints

#: Rounds after which means, zero points and jitters do not change any more.
_ROUNDS = 40
#: The jitter of a star counts where its scatter exceeds that of the others by more than so many of its errors.
_SIGNIFICANT = 2.0
#: Further off than so many errors is no jitter.
_WILD = 5.0


def measure(
    star: ArrayLike,
    night: ArrayLike,
    velocity_ms: ArrayLike,
    error_ms: ArrayLike,
    *,
    fewest_stars: int = 2,
    fewest_nights: int = 3,
    window_days: int = 10,
    fewest_around: int = 3,
) -> ZeroPoints:
    """Measure the zero points of the nights of one fiber.

    Parameters
    ----------
    star : shape (n,)
        Whose velocity it is; stars that are thought to be constant.
    night : shape (n,)
        Number of the day of its night.
    velocity_ms, error_ms : shape (n,)
        Barycentric velocities with their errors, all of the same fiber and made with the same list of lines [m / s].
    fewest_stars
        A night with fewer stars has no measured zero point.
    fewest_nights
        A star with fewer nights is not used.
    window_days
        A night without a measured zero point has the median of those at most so many days away.
    fewest_around
        With fewer of these it has none.

    Returns
    -------
    ZeroPoints
        Of every night that has a velocity.

    Raises
    ------
    ValueError
        If the arrays differ in length, or an error is not positive.

    Notes
    -----
    The velocity of star s in night n is m_s + z_n, with its photon error and an intrinsic jitter j_s. As in
    Trifonov et al. 2020 (A&A 636, A74) each star is compared with its mean of the other nights, so that a night is
    not part of the mean that it is compared with, and z_n is the weighted mean of these deviations; unlike there the
    means are freed of the zero points of their nights in turn, which matters where a star was seen in few of them.
    Weights fall beyond 2.5 sigma as Huber's do. The jitter of a star is the excess of its scatter about the zero
    points by the *other* stars, and where it is not significant that of all stars: a star with a planet loses its
    weight without a list of such stars.
    """
    star, night = np.asarray(star, str), np.asarray(night, int)
    velocity_ms, error_ms = np.asarray(velocity_ms, float), np.asarray(error_ms, float)
    if len({len(column) for column in (star, night, velocity_ms, error_ms)}) > 1:
        raise ValueError("stars, nights, velocities and errors differ in length")
    if not np.all(error_ms > 0):
        raise ValueError("every velocity needs a positive error")
    names, nights, seen, variance = _by_night(star, night, velocity_ms, error_ms)
    often = np.isfinite(seen).sum(axis=1) >= fewest_nights
    names, seen, variance = names[often], seen[often], variance[often]
    zero, jitter, share = np.zeros(len(nights)), np.zeros(len(names)), np.ones(seen.shape)
    for _ in range(_ROUNDS):
        total = variance + jitter[:, None] ** 2
        deviation, spread = _deviations(seen, total / share, total, zero)
        share = _huber(deviation - zero, spread)
        weights = share / spread
        enough = np.isfinite(deviation).sum(axis=0) >= fewest_stars
        zero = np.where(enough, _means(deviation, weights), 0.0)
        jitter = _jitters(deviation, spread, weights, jitter, enough)
    enough = np.isfinite(deviation).sum(axis=0) >= fewest_stars
    own = np.where(enough, zero, np.nan)
    middle = np.median(own[enough]) if enough.any() else 0.0
    value, error = _around(
        nights, own - middle, _errors(weights, enough), window_days=window_days, fewest=fewest_around
    )
    return ZeroPoints(
        nights=nights,
        value_ms=value,
        error_ms=error,
        n_stars=np.isfinite(deviation).sum(axis=0),
        is_own=enough,
        stars=names,
        jitter_ms=jitter,
        deviation_ms=deviation - middle,
        deviation_error_ms=np.sqrt(spread),
    )


def combine(deviation_ms: ArrayLike, error_ms: ArrayLike, *, fewest_stars: int = 2) -> tuple[float, float]:
    """Return the zero point of a night from the deviations of its stars.

    Parameters
    ----------
    deviation_ms, error_ms : shape (n_stars,)
        Deviation of each star and its error, as `ZeroPoints` has them; NaN where a star was not seen. To correct
        a star that is itself among them, leave it out: else it is drawn to its own mean [m / s].

    Returns
    -------
    value_ms, error_ms : float
        NaN where they tell nothing.
    """
    deviation, variance = np.asarray(deviation_ms, float), np.square(np.asarray(error_ms, float))
    known = np.isfinite(deviation)
    if known.sum() < fewest_stars:
        return float("nan"), float("nan")
    deviation, variance = deviation[known], variance[known]
    zero = np.median(deviation)
    for _ in range(_ROUNDS):
        weights = _huber(deviation - zero, variance) / variance
        zero = np.sum(weights * deviation) / np.sum(weights)
    return float(zero), float(1 / np.sqrt(np.sum(weights)))


def _by_night(star, night, velocity_ms, error_ms):
    """Return the means of the velocities of each star in each night and their variances; NaN where there is none."""
    names, rows = np.unique(star, return_inverse=True)
    nights, columns = np.unique(night, return_inverse=True)
    weights, sums = np.zeros((2, len(names), len(nights)))
    np.add.at(weights, (rows, columns), error_ms**-2)
    np.add.at(sums, (rows, columns), velocity_ms * error_ms**-2)
    with np.errstate(divide="ignore", invalid="ignore"):
        return names, nights, sums / weights, np.where(weights > 0, 1 / weights, np.nan)


def _deviations(seen, trusted, total, zero):
    """Return the distance of every velocity from the mean of the other nights of its star, and the variance of that."""
    weights = np.where(np.isfinite(trusted), 1 / trusted, 0.0)
    corrected = np.where(np.isfinite(seen), seen - zero, 0.0)
    others = weights.sum(axis=1, keepdims=True) - weights
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = ((weights * corrected).sum(axis=1, keepdims=True) - weights * corrected) / others
        deviation = np.where(others > 0, seen - mean, np.nan)
        return deviation, np.where(np.isfinite(deviation), total + 1 / others, np.nan)


def _huber(residual, variance, limit=2.5):
    """Return the share of its weight that a residual keeps."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.minimum(1.0, limit * np.sqrt(variance) / np.abs(residual))


def _means(deviation, weights):
    known = np.isfinite(deviation)
    total = np.where(known, weights, 0.0).sum(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(total > 0, np.where(known, weights * deviation, 0.0).sum(axis=0) / total, 0.0)


def _errors(weights, enough):
    total = np.nansum(weights, axis=0)
    with np.errstate(divide="ignore"):
        return np.where(enough, 1 / np.sqrt(total), np.nan)


def _jitters(deviation, spread, weights, jitter, enough):
    """Return the jitter of every star, by its distance from the zero points by the other stars."""
    weights = np.where(np.isfinite(deviation), weights, 0.0)
    products = weights * np.nan_to_num(deviation)
    others = weights.sum(axis=0) - weights
    usable = np.isfinite(deviation) & enough & (others > 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        residual = deviation - (products.sum(axis=0) - products) / others
        expected = spread + 1 / others
    if not usable.any():
        return jitter
    # a night with hardly another star counts little; one wild night is no jitter
    share = np.where(usable & (residual**2 < _WILD**2 * expected), expected**-2.0, 0.0)
    total = share.sum(axis=1)
    # variances, below zero too where chance has it so: cut there they would be too large on the average
    own = np.sum(share * np.nan_to_num(residual**2 - expected), axis=1) / np.where(total > 0, total, np.nan) + jitter**2
    uncertainty = np.sqrt(2 / np.where(total > 0, total, np.nan))
    usual = max(0.0, np.nanmedian(own)) if np.isfinite(own).any() else 0.0
    for _ in range(3):
        restless = own > usual + _SIGNIFICANT * uncertainty
        calm = ~restless & (total > 0)
        usual = max(0.0, np.average(own[calm], weights=total[calm])) if calm.any() else usual
    # half way, or jitters that are too large and too small follow on each other
    return np.sqrt((np.where(restless, own, usual) + jitter**2) / 2)


def _around(nights, own, error, *, window_days, fewest):
    """Return the zero points, the median of the nights around it for a night without a measured one."""
    value, error = own.copy(), error.copy()
    for i in np.flatnonzero(~np.isfinite(own)):
        near = (np.abs(nights - nights[i]) <= window_days) & np.isfinite(own)
        count = np.count_nonzero(near)
        if count >= max(2, fewest):
            value[i] = np.median(own[near])
            # the zero point of this night may be any of those; the median of n of them is known to 1.25 / sqrt(n)
            scatter = max(np.std(own[near], ddof=1), np.median(error[near]))
            error[i] = scatter * np.sqrt(1 + 1.57 / count)
    return value, error
