"""Commands do what the service does: the same limits, the same patience, the same deliveries."""

from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import select
from sqlalchemy.exc import OperationalError

from nrespipe.database.dialects import now
from nrespipe.database.states import State
from nrespipe.database.tables import Attempt, Delivery, Frame, Product
from nrespipe.errors import Unavailable
from nrespipe.service import outcome
from nrespipe.service.batch import night, reprocessing, runner
from nrespipe.service.reduction import frame_results
from nrespipe.settings import Settings


@pytest.fixture
def delivering(service, tmp_path):
    """A service whose products go to a directory."""
    (tmp_path / "deliveries").mkdir()
    given = Settings(processes=0, do_ingest=True, ingest_to=f"file://{tmp_path}/deliveries")
    return replace(service, settings=given)


@pytest.mark.slow
def test_a_frame_that_takes_longer_than_it_may_is_stopped_and_the_night_goes_on(archive, build, tmp_path):
    archive.calibrations()
    archive.add("e", "STAR SLEEPER&thar&none")
    archive.add("e", "STAR A&thar&none")
    service = build(tmp_path / "out", processes=1)
    service = replace(service, settings=Settings(processes=1, time_limit_s=8.0))
    summary = night.reduce_all(service, archive.root)
    assert (summary.counts[State.DONE], summary.exit_status) == (9, 3)
    assert [row[1:] for row in summary.unhappy] == [(State.RETRY, "it took longer than it may and was stopped")]
    with service.sessions.begin() as session:
        (frame,) = session.scalars(select(Frame).where(Frame.state == State.RETRY))
        assert (frame.owner, frame.deaths, frame.tries) == ("", 2, 2)


@pytest.mark.slow
def test_new_products_of_a_reprocessing_are_delivered(archive, delivering, query, tmp_path):
    archive.calibrations()
    archive.add("e", "STAR A&thar&none")
    night.reduce_all(delivering, archive.root)
    target = tmp_path / "deliveries"
    first = {path.relative_to(target) for path in target.rglob("*.*")}
    assert first == {Path(product.path) for product in query.all(select(Product))}
    assert sorted(path.suffix for path in first) == [".fz", ".fz", ".pdf"]
    for path in first:
        (target / path).unlink()
    reprocessing.reprocess(delivering, "lsc", "20190405", "20190405")
    assert {path.relative_to(target) for path in target.rglob("*.*")} == first
    assert len(query.all(select(Delivery).where(Delivery.delivered.is_not(None)))) == 3


@pytest.mark.slow
def test_a_night_outlives_a_database_that_goes_away_for_a_moment(archive, service, query, monkeypatch):
    archive.calibrations()
    record, away = frame_results.record_result, iter(range(2))

    def fail(*arguments):
        for _ in away:
            raise OperationalError("insert", {}, Exception("server closed the connection"))
        return record(*arguments)

    monkeypatch.setattr(frame_results, "record_result", fail)
    monkeypatch.setattr(runner.leases.time, "sleep", lambda _: None)
    assert night.reduce_all(service, archive.root).exit_status == 0
    assert {attempt.outcome for attempt in query.all(select(Attempt))} == {State.DONE}


def test_rows_that_an_interrupted_run_has_in_hand_are_given_back_and_count_as_no_death(archive, service, query):
    archive.add("b")

    def interrupted():
        with runner.start(service, "night", lambda *_: None) as run:
            night._register(service, [*archive.root.rglob("*.fits")], (), (), night.progress_bar.lines)
            (frame,) = query.all(select(Frame))
            order = runner.frame_orders(run, [frame])[0]
            with service.sessions.begin() as session:
                assert runner.claims.claim(session, Frame, frame.id, order.owner, tries_seen=order.tries_seen)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    (frame,) = query.all(select(Frame))
    assert (frame.state, frame.owner, frame.deaths) == (State.QUEUED, "", 0)


def test_a_delivery_whose_product_was_replaced_while_its_process_died_ends_no_run(service):
    run = runner.Batch(service, None, None, "x")
    died = outcome.of(Unavailable("its process died"), now())
    assert runner._release(run, runner.Order("a product", Delivery, 77, 0, "x.1"), died) == []


def test_a_frame_that_cannot_be_planned_is_told_of_and_the_night_goes_on(archive, service, query, monkeypatch):
    archive.calibrations()
    strange = archive.add("e", "STAR A&thar&none", camera="fa17")
    night.reduce_all(service, archive.root)
    later = archive.add("e", "STAR A&thar&none")
    plan = night.frame_jobs.plan

    def fail(session, frame, assembly):
        if frame.filename == strange.stem:
            raise KeyError("a strange row")
        return plan(session, frame, assembly)

    monkeypatch.setattr(night.frame_jobs, "plan", fail)
    summary = night.reduce_all(service, archive.root)
    assert [row[:2] for row in summary.unhappy] == [(strange.stem, State.RETRY)]
    assert "a strange row" in summary.unhappy[0][2]
    assert [frame.state for frame in query.all(select(Frame).where(Frame.filename == later.stem))] == [State.DONE]
