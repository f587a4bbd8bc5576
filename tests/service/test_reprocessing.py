"""Nights are reduced again in the order in which frames depend on each other."""

import csv
from dataclasses import replace

import pytest
from sqlalchemy import select

from nrespipe.database.columns import Standing
from nrespipe.database.reprocessings import Reprocessing
from nrespipe.database.tables import Attempt, Frame, Master
from nrespipe.frames.raw import Kind
from nrespipe.service import reprocessing


@pytest.fixture
def reduced(archive, run):
    """Two nights that are reduced, and one that is not asked for."""
    for day in ("20190405", "20190406", "20190407"):
        archive.calibrations(day)
        archive.add("e", "STAR A&thar&none", day=day)
    run()


def test_frames_and_masters_are_made_again_in_the_order_of_their_needs(reduced, service, query):
    lines, path = reprocessing.reprocess(service, "lsc", "20190405", "20190406", why="new flat field")
    assert lines[0].startswith("18 frames reduced again")
    assert lines[1].startswith("2 velocities: median change +0.00 m/s")
    attempts = query.all(select(Attempt).join(Frame).where(Frame.day <= "20190406").order_by(Attempt.id))
    again = attempts[18:]
    with query.sessions() as session:
        kinds = [session.get_one(Attempt, attempt.id).frame.kind for attempt in again]
        assert kinds == sorted(kinds, key=list(Kind).index)
        star = session.get_one(Attempt, again[-1].id)
        made = {master.standing for master in star.masters}, {master.day for master in star.masters}
        newest = min(master.created for master in star.masters)
    assert made == ({Standing.CURRENT}, {"20190406"})
    assert newest > attempts[17].finished
    with open(path, newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["filename"][-8:] for row in rows] == ["0009-e00", "0018-e00"]
    assert {(row["before_ms"], row["after_ms"], row["change_ms"], row["why"]) for row in rows} == {
        ("100.0", "100.0", "0.0", "new flat field")
    }


def test_other_nights_and_sites_are_left_alone(reduced, service, query):
    reprocessing.reprocess(service, "lsc", "20190405", "20190405")
    assert len(query.all(select(Attempt).join(Frame).where(Frame.day == "20190407"))) == 9
    with pytest.raises(LookupError, match="no frame of elp from 20190405 to 20190407"):
        reprocessing.reprocess(service, "elp", "20190405", "20190407")


def test_an_interrupted_run_goes_on_where_it_was(reduced, service, query, monkeypatch):
    stack = reprocessing.crews.stack

    def interrupted(crew, kind, nights, **options):
        if kind is Kind.FLAT:
            raise KeyboardInterrupt
        stack(crew, kind, nights, **options)

    monkeypatch.setattr(reprocessing.crews, "stack", interrupted)
    with pytest.raises(KeyboardInterrupt):
        reprocessing.reprocess(service, "lsc", "20190405", "20190406")
    monkeypatch.undo()
    lines, _ = reprocessing.reprocess(service, "lsc", "20190405", "20190406")
    assert lines[0].startswith("6 frames reduced again")
    assert len(query.all(select(Attempt).join(Frame).where(Frame.day <= "20190406"))) == 36
    (row,) = query.all(select(Reprocessing))
    assert row.finished is not None
    assert len(query.all(select(Master).where(Master.day == "20190405", Master.kind == Kind.BIAS))) == 2


def test_only_what_is_asked_for_is_done_again(reduced, service, query):
    lines, _ = reprocessing.reprocess(service, "lsc", "20190405", "20190406", kinds=(Kind.SCIENCE,))
    assert lines[0].startswith("2 frames reduced again")
    assert len(query.all(select(Master))) == 12


def test_a_night_reduced_again_keeps_the_bytes_of_its_products(reduced, service, snapshot):
    before = {path: data for path, data in snapshot(service.output).items() if path.suffix == ".fz"}
    reprocessing.reprocess(replace(service, processes=0), "lsc", "20190405", "20190407")
    after = {path: data for path, data in snapshot(service.output).items() if path.suffix == ".fz"}
    assert before == after
