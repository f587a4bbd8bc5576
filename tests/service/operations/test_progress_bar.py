"""A bar at a terminal, a line for each piece in a log."""

import io

import pytest
import structlog

from nrespipe.service.operations import progress_bar


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_the_bar_of_a_terminal_shows_the_share_and_the_name(monkeypatch):
    screen = Terminal()
    monkeypatch.setattr("sys.stderr", screen)
    with progress_bar.bar("flat frames", 2) as advance:
        advance("first", state="done")
        advance("second", state="bad")
    shown = screen.getvalue()
    assert "flat frames" in shown
    assert "50%" in shown
    assert "100%" in shown
    assert "second" in shown
    assert "None" not in shown


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
