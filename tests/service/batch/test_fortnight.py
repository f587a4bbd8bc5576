"""A fortnight at two sites with bad calibrations among the good ones; recipes take no time here."""

import pytest
from sqlalchemy import select

from nrespipe.database.states import Standing, State
from nrespipe.database.tables import Frame, Master
from nrespipe.frames.quality import Quality
from nrespipe.frames.raw import Kind
from nrespipe.service.operations import status

DAYS = [f"201904{day:02d}" for day in range(1, 15)]
CALIBRATIONS = {"b": "", "d": "", "w": "tung&tung&none", "a": "thar&thar&none"}
KINDS = {"b": Kind.BIAS, "d": Kind.DARK, "w": Kind.FLAT, "a": Kind.ARC}
CAMERAS = {"lsc": "fa09", "elp": "fa17"}
#: Far too bright for any recipe, unlike the other frames of its night, unlike the nights before.
REFUSED, ODD, CHANGED = 40_000, 25_000, 6_000
LEVELS = {
    ("lsc", "20190403", "w"): [REFUSED] * 3,  # the lamp was off
    ("lsc", "20190405", "a"): [REFUSED, 1000, 1000],  # one is saturated
    ("lsc", "20190406", "b"): [CHANGED] * 3,  # a night of strange electronics
    ("lsc", "20190408", "w"): [1000, ODD, 1000],  # one of another pair
    ("elp", "20190404", "a"): [],  # no arcs
    ("elp", "20190406", "d"): [REFUSED] * 3,  # a light leak
    ("elp", "20190409", "b"): [CHANGED] * 3,  # a new amplifier
    **{("elp", day, "b"): [CHANGED] * 3 for day in DAYS[9:]},  # which stays
}
#: The star of this night alone has a master at its end that nobody has looked at and no other night has agreed with.
UNREVIEWED = ("lsc", "20190406")
#: What a careful person would have used instead of the calibrations of the same night.
INSTEAD = {
    ("lsc", "20190403", Kind.FLAT): "20190402",
    ("elp", "20190404", Kind.ARC): "20190403",
    ("elp", "20190406", Kind.DARK): "20190405",
}


@pytest.fixture
def fortnight(archive, run):
    """Every night is reduced in the morning, but the tenth, when the service was down, with the eleventh."""
    for day in DAYS:
        for site, camera in CAMERAS.items():
            for code, objects in CALIBRATIONS.items():
                for level in LEVELS.get((site, day, code), [1000] * 3):
                    archive.add(code, objects, day=day, adu=level, camera=camera, site=site)
            archive.add("e", "STAR A&thar&none", day=day, camera=camera, site=site)
        if day != "20190410":
            run()


@pytest.mark.slow
def test_stars_get_the_masters_that_a_careful_person_would_have_chosen_and_no_bad_frame_is_in_one(
    fortnight, query, service
):
    check_stars(query, service)
    check_masters(query)


def check_stars(query, service):
    with query.sessions() as session:
        stars = list(session.scalars(select(Frame).where(Frame.kind == Kind.SCIENCE)))
        assert len(stars) == 28
        assert {star.state for star in stars} == {State.DONE}
        for star in stars:
            used = {master.kind: master.day for master in star.attempts[-1].masters}
            wanted = {kind: INSTEAD.get((star.site, star.day, kind), star.day) for kind in KINDS.values()}
            assert used == wanted, star.filename
            flagged = Quality.UNREVIEWED_MASTER in Quality(star.quality)
            assert flagged == ((star.site, star.day) == UNREVIEWED), star.filename
            told = "\n".join(status.why(session, star.filename, service.output))
            for kind, day in wanted.items():
                reason = "of the same night" if day == star.day else "days earlier, within"
                assert f"{kind} of {day}" in told
                assert reason in told


def check_masters(query):
    with query.sessions() as session:
        masters = list(session.scalars(select(Master).where(Master.standing == Standing.CURRENT)))
        for master in masters:
            wrong = [frame for frame in master.inputs if frame.state is not State.DONE]
            assert not wrong
            levels = LEVELS.get((master.site, master.day, next(c for c, k in KINDS.items() if k is master.kind)), [])
            assert master.n_inputs == 3 - sum(level in (REFUSED, ODD) for level in levels)
        unlike = {(m.site, m.day) for m in session.scalars(select(Master).where(Master.standing == Standing.REVIEW))}
        assert unlike == {UNREVIEWED}
        amplifier = next(m for m in masters if (m.site, m.day, m.kind) == ("elp", "20190409", Kind.BIAS))
        assert amplifier.reason.endswith("the one of 20190410 agrees with it")
