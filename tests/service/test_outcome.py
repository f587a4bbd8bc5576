"""What happened decides what follows."""

import errno
from http.client import IncompleteRead

import pytest
from amqp.exceptions import ConnectionForced
from kombu.exceptions import OperationalError as BrokerError
from sqlalchemy.exc import OperationalError as DatabaseError
from sqlalchemy.exc import TimeoutError

from nrespipe.database.states import State
from nrespipe.errors import BadFrame, MissingCalibration, Skipped, Unavailable
from nrespipe.files.raw import identity
from nrespipe.service import outcome


def fail(error):
    raise error


@pytest.mark.parametrize(
    ("error", "state"),
    [
        (Skipped("not ours"), State.SKIPPED),
        (BadFrame("not ours"), State.BAD),
        (MissingCalibration("not ours"), State.WAITING),
        (Unavailable("not ours"), State.RETRY),
    ],
)
def test_each_of_our_errors_has_its_consequence_and_its_message_is_the_reason(error, state):
    result = outcome.run(fail, error)
    assert (result.state, result.reason, result.traceback, result.value) == (state, "not ours", "", None)


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), MemoryError("too big")])
def test_a_full_disk_or_memory_is_tried_again_and_named(error):
    result = outcome.run(fail, error)
    assert result.state is State.RETRY
    assert type(error).__name__ in result.reason
    assert str(error) in result.reason


def test_any_other_error_is_a_failure_of_the_program_with_its_traceback():
    result = outcome.run(fail, ZeroDivisionError("oh"))
    assert result.state is State.FAILED
    assert result.reason == "ZeroDivisionError: oh"
    assert "in fail" in result.traceback


@pytest.mark.parametrize(
    "error",
    [
        ConnectionForced("Too many heartbeats missed"),
        BrokerError("no route"),
        IncompleteRead(b""),
        DatabaseError("select", {}, Exception("server closed the connection")),
        TimeoutError("QueuePool limit"),
    ],
)
def test_a_server_that_is_away_is_no_fault_of_the_frame(error):
    result = outcome.run(fail, error)
    assert (result.state, "in fail" in result.traceback) == (State.RETRY, True)


def test_an_interruption_is_no_outcome():
    with pytest.raises(KeyboardInterrupt):
        outcome.run(fail, KeyboardInterrupt())


def test_work_that_succeeds_is_done_with_its_value():
    result = outcome.run(lambda a, b: a + b, 1, 2)
    assert (result.state, result.reason, result.value) == (State.DONE, "", 3)
    assert result.started <= result.finished


@pytest.mark.parametrize(
    ("reason", "told"),
    [
        ("a-e00.fits.fz: is empty", "is empty"),
        ("a-e00.fits: is empty", "is empty"),
        ("a-e00: no star", "no star"),
        ("an earlier result is kept: a-e00.fits: away", "an earlier result is kept: away"),
        ("aaa-e00: no star", "aaa-e00: no star"),
        ("no master bias", "no master bias"),
    ],
)
def test_a_reason_is_told_without_the_name_of_the_file(reason, told):
    assert identity.without_name(reason, "a-e00") == told
