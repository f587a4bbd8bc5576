import numpy as np
import pytest

from nrespipe import data


def test_lamp_lines_are_sorted_and_reach_across_every_order():
    lines = data.lamp_lines()
    assert np.all(np.diff(lines.vacuum_angstrom) > 0)
    assert lines.vacuum_angstrom[0] < 3895
    assert lines.vacuum_angstrom[-1] > 9055


@pytest.mark.parametrize("known_angstrom", [3804.1546, 5891.583, 8693.72106])
def test_lamp_lines_contain_lines_of_the_literature(known_angstrom):
    assert np.min(np.abs(data.lamp_lines().vacuum_angstrom - known_angstrom)) < 1e-3


def test_neither_sodium_nor_an_unclassified_line_may_shape_the_solution():
    lines = data.lamp_lines()
    assert np.all(lines.use[np.isin(lines.species, ["Na", "?"])] == 0)
    assert np.sum(lines.species == "Na") == 2


def test_lines_that_fix_the_zero_point_are_thorium_with_errors_below_25_metres_per_second():
    lines = data.lamp_lines()
    best = lines.use == 2
    assert np.all(lines.species[best] == "Th")
    assert np.all(lines.error_angstrom[best] / lines.vacuum_angstrom[best] < 25 / 299792458)


def test_a_line_that_may_shape_the_solution_has_no_equal_within_a_line_width():
    lines = data.lamp_lines()
    velocity_ms = np.diff(lines.vacuum_angstrom) / lines.vacuum_angstrom[1:] * 299792458
    as_bright = np.minimum(lines.intensity[1:], lines.intensity[:-1]) > 0.5 * np.maximum(
        lines.intensity[1:], lines.intensity[:-1]
    )
    close = np.flatnonzero((velocity_ms < 4000) & as_bright)
    assert np.all(np.minimum(lines.use[close], lines.use[close + 1]) == 0)
