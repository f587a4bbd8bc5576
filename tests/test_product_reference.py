"""The kept numbers of products notice every change that matters, and no other."""

import product_reference
import pytest


@pytest.mark.parametrize(
    ("now", "error", "lines"),
    [(1000.1, 10.0, 0), (1000.3, 10.0, 1), (1000.0, 10.3, 1), (1000.0, 10.1, 0), (float("nan"), 10.0, 1)],
)
def test_a_number_that_moves_by_more_than_a_part_of_its_error_is_named(tmp_path, monkeypatch, now, error, lines):
    (tmp_path / "kept.json").write_text('{"frame TRACE1_FLUX": [[1000.0, 10.0]]}', encoding="utf-8")
    monkeypatch.setattr(product_reference, "KEPT", tmp_path / "kept.json")
    monkeypatch.setattr(product_reference, "numbers", lambda _: {"frame TRACE1_FLUX": [[now, error]]})
    assert len(product_reference.moved(tmp_path, limit=0.02)) == lines


def test_numbers_that_are_gone_or_new_are_named(tmp_path, monkeypatch):
    monkeypatch.setattr(product_reference, "numbers", lambda _: {"frame TRACE1_FLUX": [[1.0, 1.0]]})
    lines = product_reference.moved(tmp_path, limit=0.02)
    assert any("frame TRACE1_FLUX: 0 numbers are kept" in line for line in lines)
    assert any("numbers are kept, 0 were found" in line for line in lines)
