"""The columns that a reduction leaves in the database hold no number that was not measured."""

import json

import pytest

from nrespipe.engine.wavelength.drift import UNKNOWN
from nrespipe.frames.reduction import References
from nrespipe.frames.star import Index
from nrespipe.recipes import science
from nrespipe.service.reduction import frame_results


def test_a_drift_that_was_not_measured_is_no_measurement():
    found = science._drift_measurements(UNKNOWN, References(drift_scatter_ms=218.0))
    assert found == {"drift_scatter_ms": 218.0, "drift_lines": 0.0}


@pytest.mark.parametrize(
    ("index", "columns"),
    [
        (Index("s_index", 0.2, 0.01), [0.2, 0.01]),
        (Index("s_index", reason="too faint"), [None, "too faint"]),
        (Index("s_index", float("nan"), 0.01), [None, "not a number"]),
        (Index("s_index", 0.2, float("inf")), [None, "not a number"]),
    ],
)
def test_an_index_that_is_no_number_is_stored_as_json_without_one(index, columns):
    stored = frame_results._activity(index)
    assert stored == columns
    json.dumps(stored, allow_nan=False)
