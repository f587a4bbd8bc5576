"""What the residuals of the lines tell about the errors of their centers."""

import numpy as np
import pytest

from nrespipe.engine.wavelength import solution, solution_fit
from nrespipe.frames.wavelength import ArcLines, LampLines

_C_MS = 299792458.0
_ORDERS = np.arange(60, 100)
_N_PIXELS = 4096


def _wavelength(order, x):
    scaled = 2 * np.asarray(x) / (_N_PIXELS - 1) - 1
    return 466_000 * (1 + 0.0145 * scaled - 0.0025 * scaled**2 + 1e-5 * (order - 80) * scaled) / order


def _fit(seed, crowd, floor_px, n=3000, exposure=0):
    """Fit lines that their photons, neighbors too faint to be seen, and their profile displace."""
    random = np.random.default_rng(seed)
    order, x = random.choice(_ORDERS, n), random.uniform(0, _N_PIXELS - 1, n)
    flux = 10 ** random.uniform(3, 6, n)
    noise = 2.0 / np.sqrt(flux) * np.sqrt(1 + 3000 / flux)
    always = np.sqrt(crowd**2 / flux + floor_px**2) * random.normal(size=n)
    off = always + noise * np.random.default_rng([seed, exposure]).normal(size=n)
    laboratory = _wavelength(order, x)
    same = np.ones(n)
    lines = ArcLines(same, order, x + off, noise, flux, 4 * same, laboratory, same > 0)
    lamp = LampLines(laboratory, laboratory * 1 / _C_MS, same, np.full(n, "Th"), np.full(n, 2))
    per_pixel = _wavelength(order, x + 1) - laboratory
    found, used, x_error = solution_fit.fit(lines, _ORDERS, _N_PIXELS, lamp, np.arange(n), per_pixel, 1)
    return found, used, off, x_error, noise, flux


@pytest.mark.parametrize(("crowd", "floor_px"), [(4.0, 0.005), (2.0, 0.0), (0.0, 0.02), (8.0, 0.01)])
def test_the_errors_of_centers_are_those_that_they_have_at_every_brightness(crowd, floor_px):
    _, _, off, x_error, _, flux = _fit(1, crowd, floor_px)
    for low, high in ((1e3, 1e4), (1e4, 1e5), (1e5, 1e6)):
        here = (flux > low) & (flux < high)
        assert np.std(off[here] / x_error[here]) == pytest.approx(1, abs=0.25)


def test_photons_alone_are_not_the_error_of_a_center():
    _, _, off, x_error, noise, _ = _fit(2, 4.0, 0.005)
    assert np.std(off / noise) > 1.7
    assert np.all(x_error > noise)


@pytest.mark.parametrize("floor_px", [0.0, 0.03])
def test_bright_lines_count_as_much_as_their_residuals_allow(floor_px):
    pulls = []
    for seed in range(12):
        found, *_ = _fit(10 + seed, 3.0, floor_px)
        x = np.linspace(100, _N_PIXELS - 100, 40)
        wrong_ms = _C_MS * (solution.on_grid(found, 1, _ORDERS, x) / _wavelength(_ORDERS[:, None], x) - 1)
        slopes = solution.slopes_ms(found, 1, _ORDERS[:, None], x)
        claimed_ms = np.sqrt(np.einsum("...i,ij,...j->...", slopes, found.covariance[0], slopes))
        pulls.append(wrong_ms / claimed_ms)
    assert np.std(pulls) == pytest.approx(1, abs=0.25)


def test_two_nights_of_one_lamp_differ_by_what_their_photons_make():
    pulls = []
    for seed in range(12):
        first, second = (_fit(30 + seed, 4.0, 0.01, exposure=night)[0] for night in (1, 2))
        x = np.linspace(100, _N_PIXELS - 100, 40)
        apart_ms = _C_MS * (solution.on_grid(first, 1, _ORDERS, x) / solution.on_grid(second, 1, _ORDERS, x) - 1)
        slopes = solution.slopes_ms(first, 1, _ORDERS[:, None], x)
        noise = first.noise_covariance[0] + second.noise_covariance[0]
        pulls.append(apart_ms / np.sqrt(np.einsum("...i,ij,...j->...", slopes, noise, slopes)))
        assert np.trace(first.noise_covariance[0]) < 0.7 * np.trace(first.covariance[0])
    assert np.std(pulls) == pytest.approx(1, abs=0.25)


def _few(seed, bend, n=120):
    """Fit few lines in three orders; `bend` is the highest degree in x, with 0.1 px."""
    random, orders = np.random.default_rng(seed), np.array([80, 81, 82])
    order, x = random.choice(orders, n), random.uniform(0, _N_PIXELS - 1, n)

    def true(order, x):
        scaled = 2 * np.asarray(x) / (_N_PIXELS - 1) - 1
        return _wavelength(order, x) * (1 + 6e-7 * np.cos(bend * np.arccos(np.clip(scaled, -1, 1))))

    noise, same = np.full(n, 0.01), np.ones(n)
    laboratory = true(order, x)
    lines = ArcLines(same, order, x + noise * random.normal(size=n), noise, 1e4 * same, 4 * same, laboratory, same > 0)
    lamp = LampLines(laboratory, laboratory / _C_MS, same, np.full(n, "Th"), np.full(n, 2))
    per_pixel = _wavelength(order, x + 1) - _wavelength(order, x)
    found, *_ = solution_fit.fit(lines, orders, _N_PIXELS, lamp, np.arange(n), per_pixel, 1)
    columns = np.linspace(30, _N_PIXELS - 30, 60)
    wrong_ms = _C_MS * (solution.on_grid(found, 1, orders, columns) / true(orders[:, None], columns) - 1)
    slopes = solution.slopes_ms(found, 1, orders[:, None], columns)
    claimed_ms = np.sqrt(np.einsum("...i,ij,...j->...", slopes, found.covariance[0], slopes))
    return found.degrees[:, 0].max(), wrong_ms, claimed_ms


def test_few_lines_choose_the_degree_that_predicts_the_lines_left_out():
    for bend in (4, 5, 6, 7):
        degrees, wrong, claimed = zip(*(_few(seed, bend) for seed in range(8)))
        assert min(degrees) >= bend
        assert np.median(degrees) <= bend + 1
        # the fit has chosen itself among four, which it does not claim
        assert 0.7 < np.sqrt(np.mean((np.array(wrong) / claimed) ** 2)) < 1.4
