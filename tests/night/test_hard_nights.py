"""Nights that no table foresees: every star is reduced without a hand, and right or flagged."""

from pathlib import Path

import pytest

from nrespipe import logs
from nrespipe.database.states import State
from nrespipe.frames.quality import Quality

pytestmark = pytest.mark.slow

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def hard(monkeypatch):
    """The benchmark, with the fewest calibrations that tell the gain."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import hard_nights

    monkeypatch.setattr(hard_nights, "COUNTS", {"n_bias": 2, "n_dark": 1, "n_flat": 2, "n_arc": 1})
    logs.configure("ERROR")
    yield hard_nights
    logs.configure()


def rows_of(hard, tmp_path, name, way, cameras=None):
    """Return what came of the stars of a case, of which all must be done, and right or flagged."""
    case = hard.CASES[name]
    if cameras is not None:
        hard.CASES[name] = hard.replace(case, cameras=cameras)
    try:
        found = hard.try_case(tmp_path / "work", name, ways=(way,))[way]
        rows, masters = found
        assert hard.check(name, rows, masters, 2 * len(hard.CASES[name].cameras)) == []
    finally:
        hard.CASES[name] = case
    assert {row.state for row in rows} == {State.DONE}
    return rows


def test_a_camera_that_neither_table_nor_header_knows_is_measured(hard, tmp_path):
    rows = rows_of(hard, tmp_path, "unknown to table and header", "night")
    assert all(row.is_right for row in rows), rows
    assert all(Quality.GAIN_DISAGREES in row.flags for row in rows)


def test_the_workers_go_on_with_a_camera_that_was_exchanged_and_the_next_night_accepts_it(hard, tmp_path):
    cameras = (hard.OURS, hard.LIKE_FA13, hard.LIKE_FA13)
    rows = rows_of(hard, tmp_path, "exchanged in mid-run", "workers", cameras)
    assert all(row.is_right for row in rows), rows
    assert not any(Quality.UNREVIEWED_MASTER in row.flags for row in rows)


def test_four_hundred_saturated_lines_leave_the_stars_beside_them_as_they_are(hard, tmp_path):
    rows = rows_of(hard, tmp_path, "400 saturated lines", "night", (hard.OURS,))
    assert all(row.is_right for row in rows), rows
