"""A list has the same values in every form."""

import csv
import io
import json
import math
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from nrespipe.files import plain_table

MOMENT = datetime(2019, 4, 5, 1, 2, 3, tzinfo=UTC)
COLUMNS = {"name": None, "value_ms": 2, "flags": None, "made": None}
ROWS = [
    {"name": "tau Cet", "value_ms": 1.23456, "flags": ["LOW_SNR", "CLOUDS"], "made": MOMENT, "not listed": 1},
    {"name": "", "value_ms": math.nan, "flags": [], "made": None},
]


def test_a_table_for_the_eye_has_few_digits_and_a_dash_for_what_is_not_there():
    head, first, second = plain_table.listed(COLUMNS, ROWS, "table").splitlines()
    assert head.split() == list(COLUMNS)
    assert first.split() == ["tau", "Cet", "1.23", "LOW_SNR", "CLOUDS", "2019-04-05", "01:02"]
    assert second.split() == ["-", "-", "-", "-"]


def test_json_has_all_digits_and_null_for_what_is_not_there():
    assert json.loads(plain_table.listed(COLUMNS, ROWS, "json")) == [
        {"name": "tau Cet", "value_ms": 1.23456, "flags": ["LOW_SNR", "CLOUDS"], "made": MOMENT.isoformat()},
        {"name": "", "value_ms": None, "flags": [], "made": None},
    ]


def test_csv_has_all_digits_and_joins_the_words_of_a_cell():
    rows = list(csv.DictReader(io.StringIO(plain_table.listed(COLUMNS, ROWS, "csv"))))
    assert rows == [
        {"name": "tau Cet", "value_ms": "1.23456", "flags": "LOW_SNR|CLOUDS", "made": MOMENT.isoformat()},
        {"name": "", "value_ms": "", "flags": "", "made": ""},
    ]


def test_an_empty_list_has_its_columns_or_is_an_empty_array():
    assert plain_table.listed(COLUMNS, [], "table").split() == list(COLUMNS)
    assert plain_table.listed(COLUMNS, [], "csv") == "name,value_ms,flags,made"
    assert plain_table.listed(COLUMNS, [], "json") == "[]"


@given(st.lists(st.fixed_dictionaries({"word": st.text(), "number": st.floats() | st.none(), "count": st.integers()})))
def test_json_gives_back_any_words_and_numbers(rows):
    columns = {"word": None, "number": 2, "count": None}
    expected = [{**row, "number": row["number"] if row["number"] is not None and math.isfinite(row["number"]) else None}
                for row in rows]  # fmt: skip
    assert json.loads(plain_table.listed(columns, rows, "json")) == expected
    table = list(csv.DictReader(io.StringIO(plain_table.listed(columns, rows, "csv"), newline="")))
    told = [(" ".join(row["word"].split()), str(row["count"])) for row in rows]
    assert [(row["word"], row["count"]) for row in table] == told
