"""Wavelengths of arrays that are made in other ways than the program's own arcs, and arrays that deserve none."""

import textwrap
from dataclasses import fields, replace
from pathlib import Path

import box_arcs
import numpy as np
import pytest
from astropy.io import fits

from nrespipe import data, instruments
from nrespipe.engine.wavelength import solution, solution_of_arrays
from nrespipe.errors import BadFrame

_C_MS = 299792458.0
_COLUMN = np.arange(4096)
_ORDERS = np.array([80, 81, 82])
NRES03 = instruments.load("nres03")
LAMP = data.lamp_lines()


def _arc(seed, orders=_ORDERS, plane_px=None, bend=1.0, level=1.0, **options):
    bench = box_arcs.truth(NRES03, seed, plane_px=plane_px, bend=bend)
    return bench, box_arcs.draw(bench, orders, box_arcs.thorium(LAMP, seed, level), seed, **options)


@pytest.fixture(scope="module")
def arc():
    return _arc(5)


def _errors_ms(bench, found):
    """Errors of the pixels, without what the asymmetry of the lines adds to all of them."""
    n = found.vacuum_angstrom.shape[1]
    x = np.arange(60, n - 60, 40)
    expected = bench.wavelength(found.orders[:, None], x - box_arcs.first_column(bench, n))
    return _C_MS * (found.vacuum_angstrom[:, x] / expected - 1), found.error_ms[:, x]


def _is_right(bench, found, orders=_ORDERS):
    errors_ms, _ = _errors_ms(bench, found)
    return list(found.orders) == list(orders) and np.median(np.abs(errors_ms)) < 100


def _refused(flux, **options):
    with pytest.raises(BadFrame) as error:
        solution_of_arrays.solve(flux, NRES03, **options)
    return str(error.value)


@pytest.mark.parametrize("orders", [None, _ORDERS + 2, _ORDERS - 5, _ORDERS + 25])
@pytest.mark.slow
def test_three_orders_are_enough_whatever_they_are_called(arc, orders):
    assert _is_right(arc[0], solution_of_arrays.solve(arc[1], NRES03, orders=orders))


def _with_cosmics(flux):
    random = np.random.default_rng(1)
    at = np.arange(3)[:, None].repeat(100, 1), random.integers(0, 4096, (3, 100))
    flux = flux.copy()
    flux[at] += 10 ** random.uniform(2.5, 5, (3, 100))
    return flux


def _without_edges(flux, value):
    flux = flux + 500.0
    flux[:, :200], flux[:, -150:] = value, value
    return flux


@pytest.mark.parametrize(
    "change",
    [
        lambda flux: flux / flux.max(),
        lambda flux: (flux / 3.2).astype(">f4"),
        lambda flux: flux + 1000 + 0.5 * _COLUMN,
        lambda flux: flux - 3000,
        lambda flux: flux / (np.sinc(1.5 * (_COLUMN / 4096 - 0.5)) ** 2 + 0.02),
        lambda flux: np.minimum(flux, 2e4),
        lambda flux: 2e4 * np.tanh(flux / 2e4),
        lambda flux: _without_edges(flux, np.nan),
        lambda flux: _without_edges(flux, 0.0),
        lambda flux: np.ma.masked_where(_without_edges(flux, 0.0) == 0, flux),
        _with_cosmics,
    ],
    ids=[
        "normalised", "big-endian ADU", "pedestal", "negative", "divided by the blaze", "clipped", "non-linear",
        "NaN at the edges", "0 at the edges", "masked edges", "cosmic rays",
    ],
)  # fmt: skip
@pytest.mark.slow
def test_the_unit_the_background_and_damage_do_not_matter(arc, change):
    assert _is_right(arc[0], solution_of_arrays.solve(change(arc[1]), NRES03))


@pytest.mark.parametrize("plane_px", [(60, 10, 0), (-60, -10, 11), (20, 50, -11), (0, -50, 5)])
def test_the_light_may_lie_far_from_where_the_model_has_it(plane_px):
    bench, flux = _arc(6, plane_px=plane_px, bend=2.0)
    assert _is_right(bench, solution_of_arrays.solve(flux, NRES03))


@pytest.mark.parametrize("n_pixels", [4056, 4136])
def test_rows_may_be_cut_or_extended(n_pixels):
    bench, flux = _arc(7, n_pixels=n_pixels)
    assert _is_right(bench, solution_of_arrays.solve(flux, NRES03))


@pytest.mark.parametrize("level", [0.05, 20.0])
def test_the_lamp_may_be_faint_or_bright(level):
    bench, flux = _arc(8, level=level)
    assert _is_right(bench, solution_of_arrays.solve(flux, NRES03))


@pytest.mark.parametrize("orders", [(75, 76, 79, 84), (84, 79, 76, 75), (92, 91, 90)])
@pytest.mark.slow
def test_rows_may_decrease_and_have_gaps(orders):
    bench, flux = _arc(9, orders=orders)
    assert _is_right(bench, solution_of_arrays.solve(flux, NRES03), orders)
    assert _is_right(bench, solution_of_arrays.solve(flux, NRES03, orders=np.array(orders) - 2), orders)


@pytest.mark.slow
def test_all_orders_are_found_and_nearly_all_their_bright_peaks_are_lines():
    orders = np.arange(52, 119)
    bench, flux = _arc(10, orders=orders)
    found = solution_of_arrays.solve(flux, NRES03)
    errors_ms, claimed_ms = _errors_ms(bench, found)
    assert _is_right(bench, found, orders)
    assert np.std(errors_ms[10:50]) < 15
    assert 0.5 < 1.4826 * np.median(np.abs(errors_ms - np.median(errors_ms)) / claimed_ms) < 1.5
    assert 10 < found.rms_ms < 200
    assert np.nanmin(found.share) > 0.5


@pytest.mark.slow
def test_a_handful_of_orders_claims_the_errors_that_it_has():
    pulls = []
    for seed in range(20, 26):
        bench, flux = _arc(seed, orders=70 + 7 * (seed - 20) + np.arange(3))
        errors_ms, claimed_ms = _errors_ms(bench, solution_of_arrays.solve(flux, NRES03))
        pulls.append((errors_ms - np.median(errors_ms)) / claimed_ms)
    assert 0.4 < 1.4826 * np.median(np.abs(pulls)) < 1.3
    assert np.mean(np.abs(pulls) > 4) < 0.03


def _without(lamp, lines):
    kept = np.setdiff1d(np.arange(len(lamp.vacuum_angstrom)), lines)
    return replace(lamp, **{field.name: getattr(lamp, field.name)[kept] for field in fields(lamp)})


def _left_out(found, again, line, of_lamp):
    """Return the residual of a line that the list of the lamp lacked, over its claimed error, and its light."""
    near = (again.lines.order == found.lines.order[line]) & (np.abs(again.lines.x - found.lines.x[line]) < 0.05)
    if not near.any():
        return None
    i, fiber = np.flatnonzero(near)[0], again.solution.fibers[0]
    place = again.lines.order[i], again.lines.x[i]
    laboratory = LAMP.vacuum_angstrom[of_lamp]
    pixel_ms = again.error_ms[list(again.orders).index(place[0]), int(np.clip(np.rint(place[1]), 0, 4095))]
    center_ms = again.lines.x_error[i] * solution.velocity_per_pixel(again.solution, fiber, *place)
    claimed_ms = np.sqrt(pixel_ms**2 + center_ms**2 + (_C_MS * LAMP.error_angstrom[of_lamp] / laboratory) ** 2)
    residual_ms = _C_MS * (solution.evaluate(again.solution, fiber, *place) / laboratory - 1)
    return residual_ms / claimed_ms, again.lines.flux[i]


@pytest.mark.slow
def test_lines_that_the_list_of_the_lamp_lacks_are_where_three_orders_say_within_the_errors_that_they_claim():
    pulls, fluxes, terms = [], [], []
    for seed, bend in ((20, 2.5), (22, 1.0), (24, 2.5)):
        _, flux = _arc(seed, orders=70 + 7 * (seed - 20) + np.arange(3), bend=bend)
        found = solution_of_arrays.solve(flux, NRES03)
        terms.append(len(found.solution.degrees))
        used = np.flatnonzero(found.lines.used)
        of_lamp = np.searchsorted(LAMP.vacuum_angstrom, found.lines.vacuum_angstrom[used])
        for fold in (0, 2):
            lacking = np.unique(of_lamp)[fold::4]
            again = solution_of_arrays.solve(flux, NRES03, lamp=_without(LAMP, lacking))
            for line, its_own in zip(used, of_lamp):
                one = _left_out(found, again, line, its_own) if its_own in lacking else None
                if one is not None:
                    pulls.append(one[0]), fluxes.append(one[1])
    bright = np.array(fluxes) > np.median(fluxes)
    assert len(pulls) > 150
    assert min(terms) > 15
    for some in (np.array(pulls), np.array(pulls)[bright]):
        assert np.sqrt(np.mean(some**2)) == pytest.approx(1.0, abs=0.25)


@pytest.mark.slow
def test_the_asymmetry_of_lines_is_what_wavelengths_are_off_on_a_scale_of_centroids():
    zero_ms, left_ms = [], []
    for seed in range(20, 24):
        bench, flux = _arc(seed, orders=60 + 7 * (seed - 20) + np.arange(5))
        found = solution_of_arrays.solve(flux, NRES03)
        errors_ms, _ = _errors_ms(bench, found)
        zero_ms.append(np.median(errors_ms))
        left_ms.append(zero_ms[-1] - found.centroid_ms)
        assert found.bright_rms_ms < found.rms_ms
    assert np.mean(zero_ms) > 25
    assert abs(np.mean(left_ms)) < 15


@pytest.fixture(scope="module")
def whole():
    return _arc(17, orders=np.arange(52, 119))


@pytest.mark.slow
def test_a_whole_arc_of_raw_counts_with_all_that_spoils_one_is_solved(whole):
    """From blue to red, in unsigned ADU on a bias, clipped and bloomed, hit, dark in two rows, and off the chip."""
    bench, electrons = whole
    random = np.random.default_rng(17)
    flux = np.minimum(electrons, 1.5e5)
    full = np.argwhere(electrons > 1.5e5)
    for step in (-1, 1):
        row = np.clip(full[:, 0] + step, 0, 66)
        flux[row, full[:, 1]] += random.uniform(0, 3e4, len(full))
    flux[random.integers(0, 67, 3000), random.integers(0, 4096, 3000)] += 10 ** random.uniform(2.5, 5.5, 3000)
    scattered = 800 * np.exp(-(((_COLUMN - 2000) / 1500) ** 2)) + 200 * np.sin(_COLUMN / 300)
    counts = np.clip(np.rint(flux / 3.2 + 1000 + scattered), 0, 65535).astype(np.uint16)
    counts[-1, :900], counts[-1, 3500:], counts[30], counts[31] = 0, 0, 0, 0
    found = solution_of_arrays.solve(counts[::-1], NRES03)
    assert _is_right(bench, found, np.arange(118, 51, -1))
    errors_ms, _ = _errors_ms(bench, found)
    assert np.std(errors_ms[15:55]) < 25


@pytest.mark.slow
def test_a_whole_arc_normalised_order_by_order_with_a_row_too_many_and_some_pixels_too_few_is_solved(whole):
    bench, flux = whole
    random = np.random.default_rng(18)
    flux = np.vstack([flux / flux.max(axis=1)[:, None], 1e-3 * random.normal(size=4096)])
    flux[random.uniform(size=flux.shape) < 0.02] = np.nan
    found = solution_of_arrays.solve(np.ma.masked_invalid(flux[:, 6:].astype(">f4")), "nres03")
    assert list(found.orders) == list(range(52, 120))
    x = np.arange(60, 4000, 40)
    errors_ms = _C_MS * (found.vacuum_angstrom[:67, x] / bench.wavelength(found.orders[:67, None], x + 6) - 1)
    assert np.median(np.abs(errors_ms)) < 100
    assert np.std(errors_ms[15:55]) < 25


def test_a_spectrograph_may_be_named_and_every_line_tells_how_far_off_it_is(arc):
    found = solution_of_arrays.solve([list(row) for row in arc[1].astype("f4")], "nres03")
    known = np.isfinite(found.lines.vacuum_angstrom)
    assert found.residual_ms.shape == found.lines.x.shape
    assert np.array_equal(np.isfinite(found.residual_ms), known)
    pixel = np.rint(found.lines.x).astype(int)
    row = found.lines.order - found.orders[0]
    near = found.vacuum_angstrom[row, pixel]
    slope = np.gradient(found.vacuum_angstrom, axis=1)[row, pixel]
    there = near + (found.lines.x - pixel) * slope
    off_ms = _C_MS * (there / found.lines.vacuum_angstrom - 1)
    assert np.nanmax(np.abs(off_ms - found.residual_ms)) < 1
    used = found.lines.used
    assert found.rms_ms == pytest.approx(np.std(found.residual_ms[used]), rel=0.05)
    assert 5 < found.rms_ms < 150


@pytest.mark.slow
def test_every_third_order_is_enough_although_one_of_them_is_not_told_by_its_own_lines():
    orders = np.arange(52, 119, 3)
    for seed in (9, 14):
        bench, flux = _arc(seed, orders=orders)
        flux[3] = np.random.default_rng(seed).normal(0, 33, 4096)
        assert _is_right(bench, solution_of_arrays.solve(flux, NRES03), orders)


def test_the_rows_of_two_fibers_are_refused_and_the_message_says_one():
    flux = np.random.default_rng(16).normal(0, 30, (134, 4096))
    message = _refused(flux)
    assert "134 orders" in message
    assert "one fiber" in message


def test_the_example_of_the_manual_works(arc, tmp_path, monkeypatch):
    manual = Path(__file__).parents[3] / "docs/algorithms/line_identification.rst"
    block = manual.read_text(encoding="utf-8").split(".. code-block:: python\n\n")[1].split("\n\n* The unit")[0]
    fits.PrimaryHDU(arc[1].astype("f4")).writeto(tmp_path / "arc_fiber1.fits")
    monkeypatch.chdir(tmp_path)
    names = {}
    exec(textwrap.dedent(block), names)
    assert _is_right(arc[0], names["found"])


@pytest.mark.parametrize(
    ("turn", "orders", "words"),
    [
        (np.s_[:, ::-1], None, "the columns mirrored: wavelengths must increase along a row"),
        (np.s_[::-1], _ORDERS, "the rows in the reverse sequence"),
        (np.s_[::-1, ::-1], _ORDERS, "the columns mirrored and the rows in the reverse sequence"),
    ],
)
@pytest.mark.slow
def test_spectra_that_are_turned_around_are_refused_and_how_is_named(arc, turn, orders, words):
    assert f"There is a solution with {words}" in _refused(arc[1][turn], orders=orders)


@pytest.mark.parametrize("place", [0, 4, 8])
@pytest.mark.slow
def test_a_missing_order_is_either_known_or_named(place):
    whole = 60 + np.arange(9)
    orders = np.delete(whole, place)
    bench, flux = _arc(11, orders=orders)
    assert _is_right(bench, solution_of_arrays.solve(flux, NRES03), orders)
    if place == 4:
        assert "rows 0-3 show orders 60-63, rows 4-7 show orders 65-68" in _refused(flux, orders=whole[:-1])


@pytest.mark.parametrize("rows", [(0, 0, 1), (0, 1, 1), (1, 0, 2)])
@pytest.mark.slow
def test_doubled_and_shuffled_rows_are_refused_and_named(arc, rows):
    assert "by its own lines, row" in _refused(arc[1][list(rows)])


def _foreign_lamps():
    random = np.random.default_rng(12)
    listed, electrons = box_arcs.thorium(LAMP, 12)
    anywhere = lambda n: (np.sort(random.uniform(3800, 9100, n)), 2000 * 10 ** random.normal(0, 0.8, n))  # noqa: E731
    return {
        "as dense as uranium": anywhere(12000),
        "as dense as iron": anywhere(3000),
        "as sparse as neon": anywhere(300),
        "thorium with its gaps shuffled": (3800 + np.cumsum(random.permutation(np.diff(listed))), electrons[1:]),
        "thorium out of place": (np.sort(listed * (1 + 3e-4 * random.normal(size=len(listed)))), electrons),
        "thorium moved by 240 km/s": (listed * 1.0008, electrons),
        "thorium with few lines": (listed[::30], electrons[::30]),
    }


@pytest.mark.parametrize("name", _foreign_lamps())
@pytest.mark.slow
def test_another_lamp_is_refused(name):
    bench = box_arcs.truth(NRES03, 13)
    message = _refused(box_arcs.draw(bench, _ORDERS, _foreign_lamps()[name], 13))
    assert "lines of the lamp" in message or "lines that could be identified" in message


@pytest.mark.parametrize("shift", [300, -300, 150])
def test_an_arc_that_lies_out_of_reach_is_refused(arc, shift):
    assert "There is a solution" not in _refused(np.roll(arc[1], shift, axis=1))


def _star(lines):
    random = np.random.default_rng(14)
    light = 2e5 * np.sinc(1.2 * (_COLUMN / 4096 - 0.5)) ** 2 * np.ones((3, 1))
    for row in light:
        for center, depth in random.uniform((0, 0), (4096, 0.9), (lines, 2)):
            row *= 1 - depth * np.exp(-(((_COLUMN - center) / 5) ** 2))
    return random.poisson(light).astype(float)


@pytest.mark.parametrize(
    "flux",
    [_star(0), _star(150), np.zeros((3, 4096)), np.full((3, 4096), np.nan),
     np.random.default_rng(15).normal(0, 30, (3, 4096)), np.roll(_star(150), 1, axis=0) - 1e5],
    ids=["flat", "star", "nothing", "not a number", "noise", "star below 0"],
)  # fmt: skip
def test_what_is_no_arc_is_refused(flux):
    assert "lines of the lamp" in _refused(flux)


@pytest.mark.parametrize(
    ("flux", "options", "words"),
    [
        (np.zeros(4096), {}, "axes"),
        (np.zeros((3, 2048)), {}, "pixel for each"),
        (np.zeros((4096, 67)), {}, "pixels on the last axis"),
        (np.zeros((3, 4096)), {"orders": [80, 81]}, "3 numbers"),
        (np.zeros((3, 4096)), {"orders": [80, 81, 81]}, "each another"),
        (np.zeros((3, 4096)), {"variance": np.ones(4096)}, "shape of flux"),
    ],
)
def test_arrays_of_the_wrong_shape_are_named(flux, options, words):
    with pytest.raises(ValueError, match=words):
        solution_of_arrays.solve(flux, NRES03, **options)
