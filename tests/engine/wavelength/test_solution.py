from dataclasses import replace

import numpy as np
import pytest

from nrespipe.engine.wavelength import fiber_offset, solution, solution_fit, wavelength_errors
from nrespipe.errors import BadFrame
from nrespipe.frames.wavelength import ArcLines, LampLines

_C_MS = 299792458.0
_ORDERS = np.arange(60, 100)
_N_PIXELS = 4096


def _wavelength(order, x, velocity_ms=0.0):
    scaled = 2 * np.asarray(x) / (_N_PIXELS - 1) - 1
    return (
        466_000
        * (1 + 0.0145 * scaled - 0.0025 * scaled**2 + 1e-5 * (order - 80) * scaled)
        / order
        * (1 + velocity_ms / _C_MS)
    )


def _lines(seed, fiber=1, n=2000, error=0.01, velocity_ms=0.0):
    random = np.random.default_rng(seed)
    order, x = random.choice(_ORDERS, n), random.uniform(0, _N_PIXELS - 1, n)
    laboratory = _wavelength(order, x, velocity_ms)
    measured = x + error * random.normal(size=n)
    same = np.ones(n)
    return ArcLines(fiber * same, order, measured, error * same, 1e4 * same, 4 * same, laboratory, same.astype(bool))


def _lamp(lines, use=2, species="Th"):
    n = len(lines.x)
    wavelength = lines.vacuum_angstrom
    return LampLines(wavelength, wavelength * 3 / _C_MS, np.ones(n), np.full(n, species), np.full(n, use))


def _fit(lines, lamp, index=None):
    per_pixel = _wavelength(lines.order, lines.x + 1) - _wavelength(lines.order, lines.x)
    index = np.arange(len(lines.x)) if index is None else index
    return solution_fit.fit(lines, _ORDERS, _N_PIXELS, lamp, index, per_pixel, 1)[:2]


def _errors_ms(scale, fiber=1, velocity_ms=0.0):
    x = np.linspace(0, _N_PIXELS - 1, 60)
    return _C_MS * (solution.on_grid(scale, fiber, _ORDERS, x) / _wavelength(_ORDERS[:, None], x, velocity_ms) - 1)


def test_the_solution_is_good_to_five_metres_per_second():
    lines = _lines(1)
    scale, used = _fit(lines, _lamp(lines))
    assert np.std(_errors_ms(scale)) < 5
    assert abs(np.mean(_errors_ms(scale))) < 1.5
    assert used.mean() > 0.95
    assert scale.scatter_ms[0] == pytest.approx(0.01 * 2120, rel=0.3)


def test_wrong_identifications_do_not_move_the_solution():
    lines = _lines(2)
    index = np.arange(len(lines.x))
    order = np.lexsort((lines.vacuum_angstrom, lines.order))
    wrong = order[5::15]
    index[wrong] = order[6::15][: len(wrong)]
    scale, used = _fit(lines, _lamp(lines), index)
    assert np.std(_errors_ms(scale)) < 5
    assert used[wrong].mean() < 0.1


def test_argon_off_the_scale_does_not_move_the_zero_point():
    thorium, argon = _lines(3, n=1000), _lines(4, n=1000, velocity_ms=30.0)
    names = ("fiber", "order", "x", "x_error", "flux", "fwhm", "vacuum_angstrom", "used")
    both = ArcLines(*(np.concatenate([getattr(thorium, name), getattr(argon, name)]) for name in names))
    a, b = _lamp(thorium), _lamp(argon, 1, "Ar")
    names = ("vacuum_angstrom", "error_angstrom", "intensity", "species", "use")
    lamp = LampLines(*(np.concatenate([getattr(a, name), getattr(b, name)]) for name in names))
    scale, _ = _fit(both, lamp)
    assert abs(np.mean(_errors_ms(scale))) < 2


def test_the_claimed_error_of_the_zero_point_is_its_scatter():
    pulls = []
    for seed in range(30):
        lines = _lines(seed, n=600)
        scale, used = _fit(lines, _lamp(lines))
        pulls.append(np.mean(_errors_ms(scale)) / wavelength_errors.of_line_mean(scale, replace(lines, used=used), 1))
    assert 0.5 < np.std(pulls) < 1.3


def test_order_ends_without_a_line_do_not_inflate_the_error_of_the_zero_point():
    full = _lines(1)
    inside = (full.x > 0.25 * _N_PIXELS) | (full.order < 90)
    names = ("fiber", "order", "x", "x_error", "flux", "fwhm", "vacuum_angstrom", "used")
    gaps = ArcLines(*(getattr(full, name)[inside] for name in names))
    claims = []
    for lines in (full, gaps):
        scale, used = _fit(lines, _lamp(lines))
        claims.append(wavelength_errors.of_line_mean(scale, replace(lines, used=used), 1))
    assert claims[1] < 1.5 * claims[0]
    assert claims[1] < 1.5


def test_another_fiber_follows_from_the_lines_it_shares_even_if_their_laboratory_wavelengths_are_wrong():
    base, other = _lines(5), _lines(5, fiber=0)
    scale, _ = _fit(base, _lamp(base))
    wrong = base.vacuum_angstrom * (1 + np.random.default_rng(6).normal(size=len(base.x)) * 200 / _C_MS)
    names = ("fiber", "order", "x", "x_error", "flux", "fwhm")
    base, other = (ArcLines(*(getattr(lines, name) for name in names), wrong, lines.used) for lines in (base, other))
    one, error_ms = fiber_offset.fit(scale, replace(other, x=other.x + 3.0), base, 0)
    difference = _C_MS * (solution.evaluate(one, 0, 80, 2003.0) / _wavelength(80, 2000.0) - 1)
    assert abs(difference) < 5
    assert error_ms < 1


def test_too_few_lines_are_an_error_that_says_so():
    lines = _lines(7, n=20)
    with pytest.raises(BadFrame, match="only 20 lines"):
        _fit(lines, _lamp(lines))


def test_the_grid_agrees_with_single_places():
    lines = _lines(8)
    scale, _ = _fit(lines, _lamp(lines))
    x = np.array([0.0, 1000.5, 4095.0])
    np.testing.assert_allclose(
        solution.on_grid(scale, 1, _ORDERS, x), solution.evaluate(scale, 1, _ORDERS[:, None], x), rtol=1e-13
    )
