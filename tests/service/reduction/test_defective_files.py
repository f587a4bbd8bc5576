"""Every defect of a raw file ends as the right state with words that a person understands, through the service."""

from dataclasses import replace

import numpy as np
import pytest
from astropy.io import fits
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from nrespipe.database.states import State
from nrespipe.database.tables import Frame
from nrespipe.frames.raw import Kind
from nrespipe.recipes import RECIPES
from nrespipe.service import outcome
from nrespipe.service.ingest import raw_files, registration, submission
from nrespipe.service.reduction import frame_jobs, frame_reduction
from nrespipe.service.work import execution

STAR = "STAR A&thar&none"


def cards(**values):
    """Change cards of a file; a card of the value None is removed."""

    def change(path):
        with fits.open(path, mode="update") as hdus:
            for name, value in values.items():
                keyword = name.replace("_", "-")
                hdus[0].header.pop(keyword, None)
                if value is not None:
                    hdus[0].header[keyword] = value

    return change


def image(make):
    """Change the image of a file."""

    def change(path):
        with fits.open(path) as hdus:
            made = make(hdus[0].data.astype(np.uint16))
            header = hdus[0].header.copy()
        fits.PrimaryHDU(made, header).writeto(path, overwrite=True)

    return change


def content(make):
    """Change the bytes of a file."""
    return lambda path: path.write_bytes(make(path.read_bytes()))


def alike(value):
    return image(lambda adu: np.full_like(adu, value))


#: name of the defect: kind of frame, what is done to a good file, the state in which it must end, words of the reason
DEFECTS = {
    "empty": ("e", content(lambda _: b""), State.BAD, "the file is empty"),
    "truncated": ("e", content(lambda whole: whole[: len(whole) // 2]), State.BAD, "truncated"),
    "a web page": ("e", content(lambda _: b"<!DOCTYPE html><html>404</html>"), State.BAD, "web page"),
    "no FITS": ("e", content(lambda _: bytes(range(256)) * 20), State.BAD, "not a FITS file"),
    "no OBJECTS": ("e", cards(OBJECTS=None), State.BAD, "no OBJECTS card"),
    "no star named": ("e", cards(OBJECTS="none&thar&none"), State.BAD, "no fiber sees a star"),
    "a lamp named in a frame of a star": ("e", cards(OBJECTS="tung&tung&none"), State.BAD, "OBJECTS"),
    "no start": ("e", cards(MJD_OBS=None), State.BAD, "no other card says when it was taken"),
    "absurd start": ("e", cards(MJD_OBS=12.5), State.BAD, "MJD-OBS"),
    "start in another night": ("e", cards(MJD_OBS=58000.5), State.BAD, "does not fall into the night"),
    # the name of the file has it
    "absurd day": ("e", cards(DAY_OBS="20191399"), State.DONE, ""),
    "absurd exposure": ("e", cards(EXPTIME=-5.0), State.BAD, "EXPTIME"),
    "a bias that was exposed": ("b", cards(EXPTIME=600.0), State.BAD, "which no bias has"),
    "another shape than its header": ("e", cards(DATASEC="[1:400,1:160]"), State.BAD, "pixels"),
    "wrong shape": ("e", cards(DATASEC="[1:24,1:8]"), State.BAD, "wrong size: 24 x 8"),
    "a cube": ("e", image(lambda adu: np.stack([adu] * 3)), State.BAD, "axes"),
    "no light": ("e", alike(0), State.BAD, "every pixel has the value 0"),
    "all saturated": ("e", alike(65535), State.BAD, "every pixel has the value 65535"),
    "a read-out that broke off": (
        "e",
        image(lambda adu: np.where(np.arange(16)[:, None] < 8, adu, 7).astype(np.uint16)),
        State.BAD,
        "the read-out is not complete",
    ),
    "another telescope": ("e", cards(TELESCOP="1m0-09"), State.SKIPPED, "not a frame of an NRES spectrograph"),
    "a spectrograph that nobody knows": ("e", cards(TELESCOP="nres17"), State.SKIPPED, "no table describes"),
    "already reduced": ("e", cards(RLEVEL=91), State.SKIPPED, "already reduced"),
    "a wrong checksum in its header": ("e", cards(CHECKSUM="0" * 16, DATASUM="1"), State.DONE, ""),
    "no tables, no telescope, no day": ("e", cards(DAY_OBS=None), State.DONE, ""),
}


@pytest.fixture
def prepared(archive, service, run):
    """Make the masters of the night."""
    archive.calibrations()
    assert run().counts == {State.DONE: 8}


@pytest.mark.slow
def test_every_defect_ends_in_its_state_with_its_words(archive, service, query, prepared):
    wrong = {}
    for defect, (code, damage, state, words) in DEFECTS.items():
        path = archive.add(code, STAR if code == "e" else "")
        damage(path)
        submission.submit(service, [path])
        (row,) = query.all(select(Frame).where(Frame.filename == path.stem))
        if row.next_try is not None:
            execution.execute(service, Frame, row.id, "me")
            (row,) = query.all(select(Frame).where(Frame.filename == path.stem))
        named = path.stem in row.reason or state is State.DONE
        if row.state != state or words not in row.reason or not named or row.owner or row.next_try:
            wrong[defect] = (row.state, row.reason)
    assert not wrong


_VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**9), 10**9),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from(["", "N/A", "NaN", "UNKNOWN", "nres01", "[1:24,1:16]", "[0:0,5:1]", "none&thar&thar", "1e999"]),
    st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=40),
)
_KEYWORDS = """SITEID TELESCOP OBSTYPE RLEVEL DAY_OBS MJD_OBS EXPTIME INSTRUME CCDSUM GAIN RDNOISE SATURATE MAXLIN
BIASSEC DATASEC TRIMSEC OBJECTS"""


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(changes=st.dictionaries(st.sampled_from(_KEYWORDS.split()), _VALUES, max_size=4))
@pytest.mark.parametrize("code", ["b", "d", "w", "a", "e"])
@pytest.mark.slow
def test_no_header_makes_the_reduction_of_any_kind_crash(archive, service, query, prepared, code, changes):
    objects = {"w": "tung&tung&none", "a": "thar&thar&none", "e": STAR}.get(code, "")
    path = archive.add(code, objects)
    cards(**changes)(path)
    facts, looked = raw_files.identify(path)
    assert looked.state in (State.DONE, State.BAD, State.SKIPPED), looked.traceback
    if looked.state is State.DONE:
        row = registration.register_file(service.sessions, path, facts, looked)
        with service.sessions.begin() as session:
            job = frame_jobs.plan(session, session.get_one(Frame, row.id), service)
        # by the recipes of the package, where masters this small are enough: a flat without orders must say so
        if row.kind not in (Kind.ARC, Kind.SCIENCE):
            job = replace(job, recipe=RECIPES[row.kind])
        result = outcome.run(frame_reduction.reduce, job)
        assert result.state is not State.FAILED, result.traceback
