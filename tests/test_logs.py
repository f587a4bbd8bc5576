"""Everything that is logged comes out once, in one form."""

import io
import json
import logging
import warnings

import pytest
import structlog

from nrespipe import logs


@pytest.fixture
def restored_logging():
    root = logging.getLogger()
    kept = root.handlers[:], root.level
    # a test before this one may have had warnings captured, and its end has put the function of Python back
    logging.captureWarnings(False)
    yield
    logging.captureWarnings(False)
    root.handlers[:], root.level = kept
    structlog.reset_defaults()


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.usefixtures("restored_logging")
def test_every_line_off_a_terminal_is_one_json_object_with_standard_names():
    stream = io.StringIO()
    logs.configure(stream=stream)
    structlog.get_logger("nrespipe.test").info("frame done", filename="lsc-e00", seconds=2.5)
    logging.getLogger("some.module").warning("odd %s", "thing")
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn("careful", stacklevel=1)
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [line["log.level"] for line in lines] == ["info", "warning", "warning"]
    assert lines[0]["message"] == "frame done"
    assert lines[0]["nres.filename"] == "lsc-e00"
    assert lines[0]["nres.seconds"] == 2.5
    assert lines[0]["event.duration"] == 2_500_000_000
    assert lines[1]["message"] == "odd thing"
    assert "careful" in lines[2]["message"]
    assert all("@timestamp" in line and line["service.name"] == "nrespipe" for line in lines)


@pytest.mark.usefixtures("restored_logging")
def test_a_traceback_goes_into_its_own_field():
    stream = io.StringIO()
    logs.configure(stream=stream)
    try:
        _ = 1 / 0
    except ZeroDivisionError:
        structlog.get_logger().exception("failed")
    line = json.loads(stream.getvalue())
    assert "ZeroDivisionError" in line["error.stack_trace"]


@pytest.mark.usefixtures("restored_logging")
def test_a_terminal_gets_text_and_not_json():
    stream = Terminal()
    logs.configure(stream=stream)
    structlog.get_logger().info("frame done", filename="lsc-e00")
    assert "frame done" in stream.getvalue()
    assert "lsc-e00" in stream.getvalue()
    assert not stream.getvalue().startswith("{")


@pytest.mark.usefixtures("restored_logging")
def test_lines_below_the_level_are_left_out():
    stream = io.StringIO()
    logs.configure("WARNING", stream)
    structlog.get_logger().info("chatter")
    logging.getLogger("some.module").info("chatter")
    assert stream.getvalue() == ""


@pytest.mark.usefixtures("restored_logging")
@pytest.mark.parametrize(
    ("form", "stream", "is_json"),
    [
        ("text", io.StringIO, False),
        ("json", Terminal, True),
        ("auto", io.StringIO, True),
        ("auto", Terminal, False),
    ],
)
def test_the_form_of_the_lines_is_the_one_that_was_chosen_and_auto_goes_by_the_stream(form, stream, is_json):
    written = stream()
    logs.configure("WARNING", form, written)
    structlog.get_logger("nrespipe.test").warning("frame bad", filename="lsc-e00")
    assert written.getvalue().lstrip("\r\x1b[K").startswith("{") is is_json
    assert ("\x1b" in written.getvalue()) is (stream is Terminal and not is_json)
    assert "frame bad" in written.getvalue()
    # processes that are started log in the same way
    assert logs.chosen() == ("WARNING", form)
