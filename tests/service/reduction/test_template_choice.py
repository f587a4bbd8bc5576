"""Templates in the database, and which of them serves a frame."""

from dataclasses import replace

import numpy as np
import pytest

from nrespipe.analysis import template_building
from nrespipe.database import star_templates as rows
from nrespipe.database.states import Standing
from nrespipe.database.tables import Frame, StarTemplate, StarVelocity
from nrespipe.errors import MissingCalibration
from nrespipe.files import template_files as files
from nrespipe.frames.star import Star
from nrespipe.frames.template import Template
from nrespipe.service import assembly
from nrespipe.service.ingest.raw_files import md5
from nrespipe.service.reduction import template_choice
from nrespipe.settings import Settings

TAU_CET = Star("HD10700", teff_k=5463.0, logg=4.52, aliases=("tau Cet",))


@pytest.fixture
def service(tmp_path):
    return assembly.build(tmp_path / "out", Settings())


def kept(service, star=TAU_CET, site="lsc", n=9, serves=("", ""), berv_range_ms=9e3):
    """Write a template down as the command does."""
    grid = np.linspace(5000.0, 5010.0, 50)[None]
    made = Template(
        star, np.array([90]), grid, np.full(grid.shape, 1.0 + n), np.ones(grid.shape), 0.0, site, "nres01", (0,),
        58578.0, 58600.0, berv_range_ms, tuple(f"{site}-{number}" for number in range(n)),
    )  # fmt: skip
    path = service.output / site / "templates" / f"{star.name}_{n}.fits"
    files.write(made, path)
    with service.sessions.begin() as session:
        rows.record(session, template_building._row(made, path, service.output, serves))
    return made


def chosen(service, star, filename="new", site="lsc", day="20190405"):
    with service.sessions.begin() as session:
        among = template_choice.candidates(session, service.output, day)
    return template_choice.choose(among, {2: star}, filename, site).get(2)


def test_the_template_of_a_star_is_read_with_its_spectrum_by_any_name(service):
    made = kept(service)
    found = chosen(service, Star("tau Cet"))
    assert found.fingerprint == made.fingerprint
    assert found.star == TAU_CET


@pytest.mark.slow
def test_a_frame_that_is_part_of_a_template_is_not_measured_with_it(service):
    kept(service)
    assert chosen(service, TAU_CET, "lsc-3") is None


def test_the_template_of_the_site_comes_first_and_one_of_a_star_alike_serves_a_stranger(service):
    elp, lsc = kept(service, site="elp", n=20), kept(service, n=9)
    assert chosen(service, TAU_CET).fingerprint == lsc.fingerprint
    assert chosen(service, TAU_CET, site="elp").fingerprint == elp.fingerprint
    assert chosen(service, Star("HD1", teff_k=5400.0), site="elp").fingerprint == elp.fingerprint
    assert chosen(service, Star("HD1", teff_k=6500.0)) is None
    assert chosen(service, Star("HD1")) is None


def test_a_template_serves_the_nights_that_it_was_made_for(service):
    made = kept(service, serves=("20190401", "20190430"))
    assert chosen(service, TAU_CET, day="20190430").fingerprint == made.fingerprint
    assert chosen(service, TAU_CET, day="20190501") is None


def test_a_new_template_replaces_the_old_one_of_the_same_star_and_site(service):
    kept(service, n=9)
    kept(service, site="elp", n=9)
    newer = kept(service, n=12)
    assert chosen(service, TAU_CET).fingerprint == newer.fingerprint
    with service.sessions.begin() as session:
        standings = {(t.site, len(t.inputs)): t.standing for t in session.query(StarTemplate)}
        rows = template_building.listed(session)
    assert standings == {
        ("lsc", 9): Standing.REPLACED, ("elp", 9): Standing.CURRENT, ("lsc", 12): Standing.CURRENT,
    }  # fmt: skip
    assert [(row["star"], row["site"], row["spectra"]) for row in rows] == [
        ("HD10700", "elp", 9),
        ("HD10700", "lsc", 12),
    ]


def test_a_new_template_replaces_the_old_one_of_a_star_whose_name_was_spelled_otherwise(service):
    kept(service, Star("hd 010700"), n=9)
    kept(service, n=12)
    with service.sessions.begin() as session:
        standings = {t.star: t.standing for t in session.query(StarTemplate)}
    assert standings == {"hd 010700": Standing.REPLACED, "HD10700": Standing.CURRENT}


def test_a_template_whose_file_is_gone_lets_the_frame_wait_and_says_how_to_make_it_again(service):
    kept(service)
    next(service.output.rglob("HD10700_9.fits")).unlink()
    with pytest.raises(MissingCalibration, match="nrespipe template build"):
        chosen(service, replace(TAU_CET))


def test_the_checksum_of_a_template_is_that_of_its_file(service):
    kept(service)
    with service.sessions.begin() as session:
        (row,) = rows.current(session)
        assert row.md5 == md5(service.output / row.path)
        assert (row.teff_k, row.logg, row.metallicity) == (5463.0, 4.52, None)


def test_a_spectrum_enters_a_template_once_though_its_frame_came_under_two_names(tmp_path):
    frames = [Frame(filename=name, md5=md5) for name, md5 in (("a", "1"), ("b", "2"), ("c", "1"))]
    found = [(frame, StarVelocity(fiber=0)) for frame in frames]
    exposures, told = template_building._exposures(found, tmp_path)
    assert exposures == []
    assert told == [
        "left out: a: its spectrum was not written", "left out: b: its spectrum was not written",
        "left out: c: the same content as a",
    ]  # fmt: skip
