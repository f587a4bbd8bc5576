"""The tables of stellar and telluric absorption."""

import numpy as np
import pytest

from nrespipe import data


@pytest.mark.parametrize("name", ["F2", *data.stellar_types()])
def test_a_line_list_covers_the_spectrograph_in_increasing_order(name):
    mask = data.stellar_lines(name)
    assert mask.name == name
    assert mask.vacuum_angstrom[0] < 3900
    assert mask.vacuum_angstrom[-1] > 9000
    assert np.all(np.diff(mask.vacuum_angstrom) > 0)
    assert np.all((mask.depth > 0) & (mask.depth < 1))


def test_the_list_of_the_coolest_stars_covers_the_orders_that_their_light_fills():
    mask = data.stellar_lines("M3")
    assert mask.vacuum_angstrom[0] < 4000
    assert mask.vacuum_angstrom[-1] > 7800
    assert np.all(np.diff(mask.vacuum_angstrom) > 0)
    assert np.all((mask.depth > 0) & (mask.depth < 1))
    assert mask.teff_k < min(data.stellar_lines(name).teff_k for name in data.stellar_types())


def test_cooler_stars_have_more_lines():
    temperatures = [data.stellar_lines(name).teff_k for name in data.stellar_types()]
    counts = [len(data.stellar_lines(name).depth) for name in data.stellar_types()]
    assert temperatures == sorted(temperatures, reverse=True)
    assert counts == sorted(counts)


@pytest.mark.parametrize(("line", "vacuum_angstrom"), [("Na D2", 5891.583), ("Na D1", 5897.558), ("Ca K", 3934.777)])
def test_strong_lines_stand_at_their_vacuum_wavelengths(line, vacuum_angstrom):
    mask = data.stellar_lines("G2")
    nearest = np.argmin(np.abs(mask.vacuum_angstrom - vacuum_angstrom))
    assert abs(mask.vacuum_angstrom[nearest] - vacuum_angstrom) < 0.005, line
    assert mask.depth[nearest] > 0.75


def test_the_magnesium_triplet_is_in_every_list():
    for name in data.stellar_types():
        mask = data.stellar_lines(name)
        for vacuum_angstrom in (5168.76, 5174.12, 5185.05):
            near = np.abs(mask.vacuum_angstrom - vacuum_angstrom) < 0.05
            assert mask.depth[near].max() > 0.45, (name, vacuum_angstrom)


def test_an_unknown_type_is_named_in_the_error():
    with pytest.raises(KeyError, match="X9"):
        data.stellar_lines("X9")


def test_telluric_intervals_do_not_overlap_and_hold_the_oxygen_bands():
    tellurics = data.tellurics()
    assert np.all(tellurics.end_angstrom > tellurics.start_angstrom)
    assert np.all(tellurics.start_angstrom[1:] > tellurics.end_angstrom[:-1])
    for oxygen in (6881.829, 7618.240, 7623.087):
        assert np.any((tellurics.start_angstrom < oxygen) & (oxygen < tellurics.end_angstrom))
