"""A new site and its report; recipes take no time here."""

from dataclasses import replace

import numpy as np
import pytest

from nrespipe import instruments
from nrespipe.analysis import new_site_flats, new_site_report
from nrespipe.frames.quality import Quality
from nrespipe.frames.raw import Kind
from nrespipe.frames.reports import FlatLook
from nrespipe.plots import new_site as plots
from nrespipe.service.batch import new_site


def look(raw, made, spectrograph):
    """Return what the step would find in a flat of the recipes that take no time."""
    orders = len(made[Kind.FLAT].traces.orders)
    numbers = np.ones((len(raw.lit_fibers), orders))
    return FlatLook(raw.filename, raw.lit_fibers, np.ones((2, 3)), np.arange(16.0), numbers, 0.01 * numbers)


@pytest.fixture
def start(service, archive, monkeypatch):
    monkeypatch.setattr(new_site_flats, "look", look)

    def begin(*days):
        lines, working = new_site.start(service, archive.root, "lsc", days)
        return "\n".join(lines), working

    return begin


@pytest.fixture
def words(service):
    """All words on the pages of the report."""

    def read():
        with service.sessions.begin() as session:
            found = new_site_report.gather(session, service, "lsc")
        pages = [page for camera in found for page in plots.pages(camera)]
        return "\n".join(text.get_text() for page in pages for text in page.texts), len(pages)

    return read


@pytest.mark.slow
def test_a_site_with_all_calibrations_works_and_its_report_has_a_page_for_each_master(start, archive, service, words):
    archive.calibrations()
    text, working = start()
    assert working
    assert "there is a master of every kind" in text
    assert "all masters are there: reduce standard stars" in text
    path = service.output / "lsc" / "summaries" / "start_lsc.pdf"
    assert text.splitlines()[-1] == f"report: {path}"
    before = path.read_bytes()
    assert before.count(b"/Type /Page ") == words()[1] >= 5
    start()
    assert path.read_bytes() == before


@pytest.mark.slow
def test_what_is_missing_is_named_with_its_reason_and_with_what_to_do(start, archive, service, words):
    for _ in range(2):
        archive.add("b")
        archive.add("d")
    archive.add("w", "tung&tung&none")
    spoiled = archive.add("w", "tung&tung&none", adu=40_000)
    text, working = start()
    assert not working
    assert "missing: flat, arc" in text
    assert f"{spoiled.name.split('.')[0]}: bad: " in text
    assert "far too bright" in text
    assert "flat: take 2 flats of each pair of fibers" in text
    assert "arc: take 2 arcs of each pair of fibers" in text
    assert "then run `nrespipe site start` again" in text
    shown, pages = words()
    assert pages == 2
    for line in ("missing: flat, arc", "  arc: take 2 arcs of each pair of fibers", "  0 of 0 arc frames are good"):
        assert line in shown.splitlines()
    assert "far too bright" in shown


@pytest.mark.slow
def test_a_frame_that_is_of_no_use_is_named_though_there_is_a_master_and_many_are_counted(start, archive, words):
    archive.calibrations()
    for _ in range(14):
        archive.add("b", adu=40_000)
    _, working = start()
    assert working
    shown = words()[0].splitlines()
    assert sum("far too bright" in line for line in shown) == 12
    assert "  and 2 more" in shown


def test_a_master_that_needs_review_is_shown_to_a_person(start, archive):
    for day, adu in (("20190405", 1000), ("20190406", 6000)):
        for _ in range(3):
            archive.add("b", day=day, adu=adu)
    text, _ = start()
    assert "20190406: needs review: its level has changed by" in text
    assert "bias: look at bias_lsc_nres01_fa09_20190406, then `nrespipe masters good` or `bad`" in text


@pytest.mark.slow
def test_a_file_that_cannot_be_read_is_named_once_and_a_star_that_was_refused_has_a_page(start, archive, service):
    archive.calibrations()
    broken, star = archive.add("b"), archive.add("e", "BAD&thar&none")
    broken.write_bytes(b"")
    text, _ = start()
    for path in (broken, star):
        assert text.count(path.name.split(".")[0]) == 1
    pages = (service.output / "lsc" / "summaries" / "start_lsc.pdf").read_bytes().count(b"/Type /Page ")
    assert pages == 7


@pytest.mark.slow
def test_the_frames_are_counted_in_plain_words(start, archive):
    archive.calibrations()
    archive.add("b", adu=40_000)
    text, _ = start()
    assert text.splitlines()[0] == "9 frames of lsc: 1 bad, 8 done"


@pytest.mark.slow
def test_the_zero_point_of_the_other_fibers_is_told_against_the_reference_fiber(start, archive):
    archive.calibrations()
    lines = start()[0].splitlines()
    assert sum("zero point +- " in line and "against" not in line for line in lines) == 1
    assert "    fiber 1: 1 lines, scatter 1 m/s, +- 1.0 m/s against fiber 0" in lines


@pytest.mark.slow
def test_a_gain_that_the_flats_do_not_tell_is_said_to_be_that_of_the_table(start, archive, monkeypatch):
    fakes = __import__("fake_recipes")

    def flat(origin, mean, fibers):
        unsure = replace(origin, quality=Quality.GAIN_ASSUMED)
        return replace(fakes.flat(unsure, mean, fibers), gain_e_per_adu=3.2, gain_error=0.64)

    monkeypatch.setitem(fakes.MAKERS, Kind.FLAT, flat)
    archive.calibrations()
    text, working = start()
    assert working
    assert "gain 3.200 electron / ADU, assumed: it cannot be measured from these flats" in text
    assert "flat: take two flats or more of each pair of fibers, for the gain was not measured" in text
    assert "correct gain_e_per_adu" not in text


def test_a_table_of_another_site_is_refused_and_not_kept(tmp_path):
    text = (instruments.files("nrespipe.instruments") / "nres03.toml").read_text(encoding="utf-8")
    table = tmp_path / "new.toml"
    table.write_text(text.replace("nres03", "nres05"), encoding="utf-8")
    with pytest.raises(ValueError, match=r"new\.toml: site is cpt; expected ogg"):
        new_site.register(table, tmp_path / "out", "ogg")
    assert not (tmp_path / "out").exists()
    assert new_site.register(table, tmp_path / "out", "cpt").name == "nres05"
    assert instruments.names(tmp_path / "out" / "instruments").count("nres05") == 1


def test_a_site_without_frames_is_refused_and_has_no_report(start, archive, service):
    archive.root.mkdir()
    with pytest.raises(LookupError, match="no raw frame below"):
        start()
    assert not (service.output / "lsc").exists()


@pytest.mark.slow
def test_every_camera_has_a_report_of_its_own(start, archive):
    archive.calibrations()
    archive.add("b", camera="fl09")
    archive.add("b", camera="fl09")
    text, working = start()
    assert working
    assert "lsc nres01 fa09" in text
    assert "lsc nres01 fl09" in text
