"""Announced rows: one a content, or one a path while the content is not known."""

from concurrent.futures import ThreadPoolExecutor

from frame_rows import STELLAR, arrive, attempt
from sqlalchemy import select

from nrespipe.database import frames
from nrespipe.database.states import State
from nrespipe.database.tables import Frame
from nrespipe.database.work import announcements, attempts, claims
from nrespipe.frames.raw import Kind


def test_the_same_content_under_the_same_name_is_one_row(session):
    first, first_is_new = arrive(session, "a-e00", "1" * 32, path="/old/a-e00.fits", kind=Kind.SCIENCE)
    again, again_is_new = arrive(session, "a-e00", "1" * 32, path="/new/a-e00.fits", archive_id=17)
    assert (first_is_new, again_is_new) == (True, False)
    assert (again.id, again.path, again.archive_id) == (first.id, "/old/a-e00.fits", 17)


def test_an_announcement_hides_nothing_and_is_one_for_each_path(session):
    done, _ = arrive(session, "a-e00", "1" * 32, kind=Kind.SCIENCE, start_mjd=58579.0, state=State.DONE)
    told = [announcements.announce(session, "a-e00", path) for path in ("/a", "/b", "/a")]
    assert [frame.path for frame, _ in told] == ["/a", "/b", "/a"]
    assert told[0][0].id == told[2][0].id
    assert [is_due for _, is_due in told] == [True, True, False]
    assert {frame.version for frame, _ in told} == {None}
    assert {frame.id for frame in session.scalars(select(Frame).where(Frame.is_latest()))} == {
        done.id, told[0][0].id, told[1][0].id,
    }  # fmt: skip
    assert frames.find(session, "a-e00")[-1] == done
    assert claims.claim(session, Frame, told[0][0].id, "me")


def test_an_announcement_that_was_given_up_is_due_when_it_is_told_of_again(session):
    frame, _ = announcements.announce(session, "a-e00", "/a")
    for _ in range(attempts.MOST_RETRIES):
        attempts.record_attempt(session, attempt(frame, State.RETRY, reason="away"))
    assert (frame.state, frame.next_try) == (State.FAILED, None)
    again, is_due = announcements.announce(session, "a-e00", "/a")
    assert (again.id, is_due, again.state, again.retries) == (frame.id, True, State.QUEUED, 0)


def test_of_many_that_insert_the_same_file_at_once_one_row_is_made(sessions):
    def bring(_):
        with sessions.begin() as session:
            return arrive(session, "a-e00", "1" * 32, **STELLAR)[1]

    with ThreadPoolExecutor(6) as pool:
        assert sorted(pool.map(bring, range(12))) == [False] * 11 + [True]
