"""The table of the speed benchmark: its rows, its targets, and its comparison with a baseline."""

import copy
import importlib.util
import json
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
BASELINE = ROOT / "benchmarks" / "speed_baseline.json"


@pytest.fixture
def speed(monkeypatch):
    """The benchmark."""
    monkeypatch.setattr(sys, "path", [str(ROOT / "benchmarks"), *sys.path])
    spec = importlib.util.spec_from_file_location("speed", ROOT / "benchmarks" / "speed.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def recorded():
    """The baseline that the repository keeps."""
    return json.loads(BASELINE.read_text(encoding="utf-8"))


def row(*cpu, loop=1.0, peak_mb=500.0):
    """Return a row of these CPU seconds, on a machine that needs so long for the calibration loop."""
    return {"cpu": list(cpu), "wall": list(cpu), "loop": [loop] * len(cpu), "peak_mb": peak_mb}


def test_the_baseline_has_every_row_with_a_target(speed, recorded):
    assert set(speed.TARGETS) <= set(recorded["rows"])
    table, slow = speed.lines(recorded, recorded)
    assert slow == []
    for name in recorded["rows"]:
        (line,) = [line for line in table if line.startswith(f"{name}  ")]
        assert f"as {recorded['version']}" in line


def test_targets_are_met_or_missed(speed):
    assert speed.judged("two stars, warm", row(4.4, 4.6, 4.3)) == ("4.5 s CPU, 1200 MB", "met")
    assert speed.judged("two stars, warm", row(4.4, peak_mb=1300.0))[1] == "missed (MB)"
    assert speed.judged("service, 60 frames", row(200.0, peak_mb=1300.0))[1] == "missed (s, MB)"
    assert speed.judged("  read", row(1.0)) == ("", "")


@pytest.mark.parametrize(
    ("cpu", "words", "is_slower"),
    [
        ((3.03, 2.97, 3.0), "as 1.2.0, within 3 %", False),
        ((3.36, 3.35, 3.37), "12 % slower than 1.2.0", False),
        ((2.4, 2.41, 2.39), "20 % faster than 1.2.0", False),
        ((4.2, 4.21, 4.19), "40 % slower than 1.2.0: TOO SLOW", True),
        # more than 25 percent, but such repetitions say nothing
        ((4.2, 3.4, 5.0), "40 % slower than 1.2.0", False),
    ],
)
def test_a_row_is_compared_with_the_baseline(speed, cpu, words, is_slower):
    before = row(3.0, 3.01, 2.99)
    assert speed.compared(row(*cpu), before, "1.2.0") == (words, is_slower)
    # a machine of half the speed is no reason
    slow = row(*(2 * seconds for seconds in cpu), loop=2.0)
    assert speed.compared(slow, before, "1.2.0") == (words, is_slower)


def test_a_new_row_is_not_compared(speed):
    assert speed.compared(row(1.0), None, "1.2.0") == ("not in 1.2.0", False)


def test_one_repetition_is_uncertain(speed):
    assert speed.compared(row(3.3), row(3.0), "1.2.0") == ("as 1.2.0, within 14 %", False)
    # four scatters are more than the half that it is slower
    assert speed.compared(row(4.5), row(3.0), "1.2.0") == ("50 % slower than 1.2.0", False)
    assert speed.compared(row(6.0), row(3.0), "1.2.0") == ("100 % slower than 1.2.0: TOO SLOW", True)


def test_a_step_of_a_millisecond_is_not_too_slow(speed):
    before, now = row(0.0010, 0.0011, 0.0009), row(0.0020, 0.0021, 0.0019)
    assert speed.compared(now, before, "1.2.0")[1] is False


def test_a_record_is_read_as_it_was_written(speed, recorded):
    assert json.loads(speed.text(recorded)) == recorded


def test_a_slow_row_is_named(speed, recorded):
    now = copy.deepcopy(recorded)
    now["rows"]["two stars, warm"]["cpu"] = [9 * seconds for seconds in now["rows"]["two stars, warm"]["cpu"]]
    table, slow = speed.lines(now, recorded)
    assert slow == ["two stars, warm"]
    (line,) = [line for line in table if line.startswith("two stars, warm")]
    assert "missed" in line
    assert line.endswith("TOO SLOW")


def test_every_step_that_is_measured_is_a_function_of_the_program(speed, monkeypatch):
    monkeypatch.setitem(sys.modules, "speed", speed)
    steps = importlib.import_module("speed_measurements").STEPS
    for functions in steps.values():
        for path in functions:
            module, name = f"nrespipe.{path}".rsplit(".", 1)
            assert callable(getattr(importlib.import_module(module), name)), path
