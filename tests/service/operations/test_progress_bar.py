"""A bar at a terminal, a line for each piece in a log."""

import io
import re

import pytest
import structlog

from nrespipe.service.operations import progress_bar


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_the_bar_of_a_terminal_shows_the_count_the_time_and_the_name(monkeypatch):
    screen = Terminal()
    clock = iter([0.0, 0.0, 61.0, 3725.0, 3725.0])
    monkeypatch.setattr("sys.stderr", screen)
    monkeypatch.setattr(progress_bar.time, "monotonic", lambda: next(clock, 3725.0))
    with progress_bar.bar("flat frames", 2) as advance:
        advance("first", state="done")
        advance("second", state="bad")
    shown = screen.getvalue()
    assert "flat frames" in shown
    assert "1/2" in shown
    assert "2/2" in shown
    assert "62:05" in shown
    assert "second" in shown
    assert "None" not in shown


@pytest.mark.parametrize("columns", [40, 80])
@pytest.mark.parametrize("label", ["reduction", "compiling, first run only"])
def test_the_bar_stays_on_one_line(monkeypatch, label, columns):
    screen, name = Terminal(), "lscnrs01-fa09-20190405-0021-e00"
    monkeypatch.setattr("sys.stderr", screen)
    monkeypatch.setenv("COLUMNS", str(columns))
    with progress_bar.bar(label, 500) as advance:
        for number in range(500):
            advance(f"{name}{number}")
    written = re.sub(r"\x1b\[[?\d]*[a-zA-Z]", "", screen.getvalue())
    longest = max(map(len, re.split(r"[\r\n]", written)))
    # the fixed columns are never cut
    assert longest < max(columns, len(f"{label:<16}  [----------]  500/500  00:00  ") + 1)
    assert ("0021-e00499" in written) is (columns == 80)


def test_a_log_gets_a_line_for_each_piece_with_its_facts():
    with structlog.testing.capture_logs() as lines, progress_bar.lines("flat frames", 2) as advance:
        advance("first", state="done")
        advance("second", state="bad", reason="dark")
    assert [(line["event"], line["name"], line["progress"]) for line in lines] == [
        ("flat frames", "first", "1/2"),
        ("flat frames", "second", "2/2"),
    ]
    assert lines[1]["reason"] == "dark"
    assert lines[0]["log_level"] == "info"


@pytest.mark.parametrize("shown", [progress_bar.bar, progress_bar.lines])
def test_nothing_to_do_is_no_error(shown):
    with shown("flat frames", 0):
        pass
