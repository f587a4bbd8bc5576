"""Rows of which workers are notified."""

import pytest
from frame_rows import arrive
from servers import with_tables

from nrespipe.database import dispatches
from nrespipe.database.tables import Frame
from nrespipe.frames.raw import Kind


@pytest.fixture
def sessions(database_url):
    made = with_tables(database_url)
    yield made
    made.kw["bind"].dispose()


def add(session, name):
    return arrive(session, name, "1" * 32, path="/a", kind=Kind.SCIENCE, start_mjd=58579.0)[0]


def test_no_more_rows_are_picked_than_were_asked_for(sessions):
    with sessions.begin() as session:
        found = [add(session, f"{number}-e00") for number in range(7)]
        for frame in found:
            dispatches.request(session, frame, low_priority=True)
        rows = [frame.id for frame in found]
    picked = []
    for _ in range(3):
        with sessions.begin() as session:
            assert dispatches.select(session, Frame, 60.0, 500) == []
            picked.append(dispatches.select(session, Frame, 60.0, 4, low_priority=True))
    assert picked == [rows[:4], rows[4:], []]
