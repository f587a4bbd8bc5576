"""Zero points of nights from the velocities in a database, and what they do to a series; velocities in m/s."""

import numpy as np
import pytest
from astropy import units as u
from astropy.table import Table
from click.testing import CliRunner
from sqlalchemy import select

from nrespipe import cli
from nrespipe.analysis import series, zero_points
from nrespipe.database import zero_point_versions as versions
from nrespipe.database.administration import opening
from nrespipe.database.states import State
from nrespipe.database.tables import Frame, StarVelocity, ZeroPoint
from nrespipe.frames.quality import Quality
from nrespipe.frames.raw import Kind
from nrespipe.service import assembly
from nrespipe.settings import Settings

STARS = {"HD10700": -16680.0, "HD115617": -8000.0, "HD102365": 16900.0, "HD22049": 16400.0}
SITES = {"lsc": ("nres01", "fa09"), "elp": ("nres02", "fa17")}
NIGHTS = [f"201904{day:02d}" for day in range(1, 15)]
TRUE = np.random.default_rng(5).normal(0, 5, (2, len(NIGHTS)))


@pytest.fixture
def output(tmp_path, monkeypatch):
    """A fortnight at two sites: four stars a night with 1 m/s of noise, in the ninth one; the last has a planet."""
    for name in ("DB_URL", "NRES_DATA_ROOT"):
        monkeypatch.delenv(name, raising=False)
    rng = np.random.default_rng(6)
    with assembly.build(tmp_path / "out", Settings()).sessions.begin() as session:
        for site, offsets in zip(SITES, TRUE):
            for number, (day, offset) in enumerate(zip(NIGHTS, offsets)):
                for star, rv_ms in list(STARS.items())[: 1 if number == 8 else None]:
                    planet = 50 * np.sin(number) * (star == "HD22049")
                    add(session, site, day, star, rv_ms + offset + planet + rng.normal(0, 1))
        add(session, "lsc", NIGHTS[0], "HD102365", 0.0, quality=Quality.LOW_SIGNAL)
        add(session, "lsc", NIGHTS[0], "HD102365", 0.0, mask="M0")
        add(session, "lsc", NIGHTS[0], "nobody", 0.0, known=False)
    return tmp_path / "out"


def add(session, site, day, star, rv_ms, quality=Quality(0), mask="G2", known=True):  # noqa: B008
    instrument, camera = SITES[site]
    number = session.query(Frame).count()
    frame = Frame(
        filename=f"{site}nrs-{camera}-{day}-{number:04d}-e00", path="/a", md5=str(number), kind=Kind.SCIENCE, site=site,
        instrument=instrument, camera=camera, day=day, state=State.DONE, start_mjd=58578.0 + int(day) - 20190401,
    )  # fmt: skip
    parts = {"photon_err_ms": 1.0, "wavelength_err_ms": 0.0, "drift_err_ms": 0.0, "rv_err_ms": 1.0}
    frame.velocities = [
        StarVelocity(
            fiber=0, object=star, star=star if known else "", mask=mask, rv_ms=rv_ms, quality=int(quality),
            bjd_tdb=2400000.5 + frame.start_mjd, **parts,
        )
    ]  # fmt: skip
    session.add(frame)


@pytest.fixture
def session(output):
    with opening.to_change(output, Settings()).begin() as opened:
        yield opened


def make(session, output, **choice):
    made = zero_points.measure(session, output, **choice)
    session.add(made)
    session.flush()
    return made


def run(*words, output):
    return CliRunner().invoke(cli.main, [*map(str, words), "--output", str(output)])


def test_the_zero_points_of_two_sites_come_back_each_by_itself(session, output):
    made = make(session, output)
    assert made.n_velocities == 2 * (13 * 4 + 1)
    assert len(made.zeros) == 28
    for row, (instrument, _) in enumerate(SITES.values()):
        rows = [zero for zero in made.zeros if zero.instrument == instrument and zero.method == "stars"]
        assert [zero.day for zero in rows] == NIGHTS[:8] + NIGHTS[9:]
        true = np.delete(TRUE[row], 8)
        off = np.array([zero.value_ms for zero in rows]) - (true - np.median(true))
        assert np.std(off) < 1.5
        assert all(zero.n_stars == 4 for zero in rows)


def test_a_night_of_one_star_has_the_median_of_the_others(session, output):
    made = make(session, output)
    (zero,) = (zero for zero in made.zeros if (zero.day, zero.instrument) == (NIGHTS[8], "nres01"))
    assert (zero.method, zero.n_stars) == ("around", 1)
    assert abs(zero.value_ms) < 1e-9
    assert zero.error_ms > 3


def test_a_series_gets_corrected_columns_and_keeps_its_own(session, output):
    table = series.of_star(session, output, "tau Cet", site="lsc")
    make(session, output)
    corrected = zero_points.apply(session, output, table)
    for name in table.colnames:
        np.testing.assert_array_equal(corrected[name], table[name])
    ordinary = np.delete(np.arange(len(table)), 8)
    assert np.std(corrected["rv_corrected"][ordinary].to_value(u.m / u.s)) < 2.0 < np.std(table["rv"].value)
    assert np.all(corrected["rv_corrected_err"] > table["rv_err"])
    assert "zero points version 1 of " in series.summary(corrected)


def test_a_constant_star_is_corrected_by_the_others_alone(session, output):
    make(session, output)
    before = zero_points.apply(session, output, series.of_star(session, output, "tau Cet", site="lsc"))
    for velocity in session.scalars(select(StarVelocity).where(StarVelocity.star == "HD10700")):
        velocity.rv_ms += 3.0 * (-1) ** velocity.frame_id
    made = make(session, output)
    after = zero_points.apply(session, output, series.of_star(session, output, "tau Cet", site="lsc"), made.id)
    change = after["zero_point"] - before["zero_point"]
    # its own wobble reaches the others only through the zero points of the nights that their means are freed of
    assert np.std(np.delete(change.value, 8)) < 1.0


def test_versions_stay_beside_each_other_and_velocities_as_they_are(session, output):
    raw = dict(session.execute(select(StarVelocity.id, StarVelocity.rv_ms)).all())
    first = make(session, output)
    kept = [(zero.day, zero.value_ms) for zero in first.zeros]
    second = make(session, output, site="lsc", first_day=NIGHTS[2], stars=["tau Cet", "61 Vir"])
    assert (first.id, second.id, len(second.zeros)) == (1, 2, 12)
    assert [(zero.day, zero.value_ms) for zero in first.zeros] == kept
    assert dict(session.execute(select(StarVelocity.id, StarVelocity.rv_ms)).all()) == raw
    assert set().union(*(zero.stars for zero in second.zeros)) == {"HD10700", "HD115617"}
    assert versions.find(session).id == 2
    elp = series.of_star(session, output, "tau Cet", site="elp")
    assert np.isnan(zero_points.apply(session, output, elp, 2)["rv_corrected"]).all()


def test_the_commands_make_list_and_apply_them(output, tmp_path):
    made = run("zeropoints", "make", "--star", "tau Cet", "--star", "HD115617", "--star", "HD102365", output=output)
    assert made.exit_code == 0, made.output
    assert "version 1, of 80 velocities" in made.stderr
    assert made.stdout == run("zeropoints", "list", "1", output=output).stdout
    assert made.stdout.splitlines()[1].split()[:2] == ["nres01fa09f0", NIGHTS[0]]
    assert "HD102365, HD115617, tau Cet" in run("zeropoints", "list", output=output).stdout
    shown = run("velocities", "tau Cet", "--zeropoints", output=output)
    assert "rv_corrected_err" in shown.stdout.splitlines()[0]
    path = tmp_path / "tau.csv"
    assert run("velocities", "tau Cet", "--zeropoints", "1", "-o", path, output=output).exit_code == 0
    table = Table.read(path)
    assert table.colnames[:4] == ["time", "mnvel", "errvel", "tel"]
    np.testing.assert_allclose(table["mnvel"] - table["zero_point"], table["rv_corrected"], atol=0.0011)


def test_what_cannot_be_is_said_in_words(output, tmp_path):
    assert "no zero points were measured so far" in run("velocities", "HD10700", "--zeropoints", output=output).output
    assert run("zeropoints", "make", "--star", "nobody", output=output).exit_code == 1
    run("zeropoints", "make", output=output)
    assert "there are no zero points 7" in run("zeropoints", "list", "7", output=output).output
    result = run("velocities", "HD10700", "--zeropoints", "-o", tmp_path / "a.dat", output=output)
    assert "has no place beside the velocity" in result.output
    assert not (tmp_path / "a.dat").exists()
    printed = run("velocities", "HD10700", "--zeropoints", "--format", "juliet", output=output)
    assert printed.exit_code == 1
    assert "has no place beside the velocity" in printed.output


def test_a_star_that_the_catalog_does_not_know_is_told_with_the_nearest_names(output):
    result = run("zeropoints", "make", "--star", "HD115617", "--star", "tau Cetx", output=output)
    assert result.exit_code == 1
    assert "tau Cetx is no star of the catalog; near in name: tau Cet" in result.output
    assert "no zero points were measured" in run("velocities", "HD10700", "--zeropoints", output=output).output


def test_a_night_without_a_zero_point_is_shown_alike_when_it_is_made_and_when_it_is_listed(output):
    made = run("zeropoints", "make", "--fewest-stars", "5", output=output)
    assert "  -         -         4      none" in made.stdout
    assert made.stdout == run("zeropoints", "list", "1", output=output).stdout


def test_a_version_that_goes_takes_its_zero_points_along(session, output):
    made = make(session, output)
    session.delete(made)
    session.flush()
    assert session.query(ZeroPoint).count() == 0


def test_a_star_under_two_names_of_the_catalog_is_one_constant_star(session, output):
    before = make(session, output)
    for velocity in session.query(StarVelocity).filter(StarVelocity.star == "HD10700").limit(5):
        velocity.star = "tau Cet"
    after = make(session, output)
    values = [[zero.value_ms for zero in made.zeros] for made in (before, after)]
    np.testing.assert_array_equal(*values)
    assert all("tau Cet" not in zero.stars for zero in after.zeros)
