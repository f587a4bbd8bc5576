"""What the database knows, as plain tables; velocities in m/s."""

import csv
import re
from datetime import UTC, datetime
from pathlib import Path

import pytest
from astropy.table import Table
from click.testing import CliRunner

from nrespipe import cli
from nrespipe.analysis import exports
from nrespipe.database.states import Standing, State
from nrespipe.database.tables import Attempt, Frame, FrameDrift, Master, Product, StarVelocity
from nrespipe.files import plain_table
from nrespipe.frames.quality import Quality
from nrespipe.frames.raw import Kind
from nrespipe.service import assembly
from nrespipe.settings import Settings

DOCS = Path(__file__).parents[2] / "docs"
PLACE = {"instrument": "nres01", "camera": "fa09", "binning": "1 1", "readout_mode": "fast"}
MADE = datetime(2019, 4, 7, 6, tzinfo=UTC)
FINDINGS = [
    {"name": "level_adu", "value": 1.5, "usual": 1.0, "worst": 10.0, "verdict": "flagged"},
    {"name": "noise_change", "value": None, "usual": 0.1, "worst": 0.5, "verdict": "needs review"},
]


@pytest.fixture
def output(tmp_path, monkeypatch):
    """An output directory with two nights of two sites in its database."""
    for name in ("DB_URL", "NRES_DATA_ROOT"):
        monkeypatch.delenv(name, raising=False)
    with assembly.build(tmp_path / "out", Settings()).sessions.begin() as session:
        for site, day, mjd in (("elp", "20190406", 58579.5), ("lsc", "20190405", 58578.5)):
            star = frame(site, day, mjd)
            session.add_all([star, *masters(site, day, mjd)])
            session.flush()
            star.products = [
                Product(attempt_id=star.attempts[0].id, path=f"{site}/{star.filename}-{level}.fits.fz", md5="1")
                for level in ("L4", "L2")
            ]
    return tmp_path / "out"


def frame(site, day, mjd):
    name = f"{site}nrs-{day}-0007-e00"
    made = Frame(
        **PLACE, filename=name, path="/a", md5=name[:32], kind=Kind.SCIENCE, site=site, day=day, state=State.DONE,
        start_mjd=mjd, exposure_s=600.0, objects="tau Cet&thar&none", code_version="1.0",
    )  # fmt: skip
    made.attempts = [Attempt(started=MADE, finished=MADE, outcome=State.DONE, code_version="1.0")]
    made.velocities = [
        StarVelocity(
            fiber=0, object="tau Cet", star="HD10700", mask="K2", bjd_tdb=2400000.5 + mjd, rv_ms=-16680.0,
            rv_err_ms=3.0, berv_ms=20000.0, contrast=0.4, quality=int(Quality.NO_METER | Quality.LOW_SIGNAL),
        )
    ]  # fmt: skip
    made.drift = FrameDrift(n_lines=1234)
    return made


def masters(site, day, mjd):
    of_night = {**PLACE, "site": site, "day": day, "mean_mjd": mjd - 0.2, "code_version": "1.0"}
    rows = [
        (Kind.BIAS, "", Standing.REVIEW, 'its level has changed, "a lot"\nof it'),
        (Kind.FLAT, "01", Standing.CURRENT, ""), (Kind.ARC, "012", Standing.CURRENT, ""),
        (Kind.DARK, "", Standing.REPLACED, ""),
    ]  # fmt: skip
    made = [
        Master(
            **of_night, kind=kind, fibers=fibers, standing=standing, reason=reason, n_inputs=5,
            path=f"{site}/{kind}_{day}.fits.fz", findings=FINDINGS if kind is Kind.BIAS else [],
        )
        for kind, fibers, standing, reason in rows
    ]  # fmt: skip
    failed = Master(
        **{**of_night, "mean_mjd": None}, kind=Kind.DARK, standing=Standing.REJECTED, reason="no dark", n_inputs=1
    )
    return [*made, failed]


def export(output, *words):
    result = CliRunner().invoke(cli.main, ["export", *map(str, words), "--output", str(output)])
    assert result.exit_code == 0, result.output
    return result.stdout


def rows(text):
    remark, *lines = text.splitlines()
    assert remark.startswith("# ")
    return list(csv.DictReader(lines))


def test_the_calibrations_are_listed_as_the_earlier_service_listed_them(output):
    found = rows(export(output, "standards"))
    assert [(row["type"], row["site"], row["flags"]) for row in found] == [
        ("TRIPLE", "lsc", "0030"), ("BIAS", "lsc", "0000"), ("FLAT", "lsc", "0010"), ("TRACE", "lsc", "0010"),
        ("TRIPLE", "elp", "0030"), ("BIAS", "elp", "0000"), ("FLAT", "elp", "0010"), ("TRACE", "elp", "0010"),
    ]  # fmt: skip
    assert found[0] | {"filename": ""} == {
        "type": "TRIPLE", "filename": "", "navg": "5", "site": "lsc", "camera": "fa09", "jd": "2458578.800000",
        "flags": "0030", "night": "20190405", **{k: v for k, v in PLACE.items() if k != "camera"},
    }  # fmt: skip


def test_the_velocities_are_in_order_of_time_with_the_one_that_the_ground_sees(output):
    first, second = rows(export(output, "velocities"))
    assert (first["night"], second["night"]) == ("20190405", "20190406")
    assert first["target"] == "HD10700"
    assert set(first["quality"].split("|")) == {"no_meter", "low_signal"}
    assert first["product"] == "lsc/lscnrs-20190405-0007-e00-L2.fits.fz"
    assert (first["n_lines"], first["rv_ms"], first["template_rv_ms"]) == ("1234", "-16680.000", "")
    raw_ms, berv_ms, c_ms = 1e3 * float(first["rv_raw_kms"]), 20000.0, 299792458.0
    assert c_ms * ((1 + raw_ms / c_ms) * (1 + berv_ms / c_ms) - 1) == pytest.approx(-16680.0, abs=0.001)
    assert first["created_mjd"] == "58580.25000"


def test_the_masters_have_a_column_for_every_number_that_they_were_judged_by(output):
    found = rows(export(output, "masters", "--site", "lsc"))
    assert [(row["kind"], row["standing"]) for row in found] == [
        ("arc", "current"), ("bias", "needs review"), ("dark", "replaced"), ("dark", "rejected"), ("flat", "current"),
    ]  # fmt: skip
    bias = found[1]
    assert (bias["level_adu"], bias["noise_change"], bias["verdict"]) == ("1.500000", "", "needs review")
    assert bias["reason"] == 'its level has changed, "a lot" of it'
    assert found[0]["level_adu"] == ""


@pytest.mark.parametrize("table", ["standards", "velocities", "masters"])
def test_the_same_database_gives_the_same_bytes_and_the_file_those_of_the_screen(output, tmp_path, table):
    text = export(output, table)
    assert export(output, table) == text
    assert export(output, table, "-o", tmp_path / "a.csv") == ""
    assert (tmp_path / "a.csv").read_bytes() == text.encode()
    assert [path.name for path in tmp_path.iterdir() if path.suffix] == ["a.csv"]
    read = Table.read(tmp_path / "a.csv", format="ascii.csv", comment="#")
    assert read.colnames == text.splitlines()[1].split(",")
    assert len(read) == len(text.splitlines()) - 2


@pytest.mark.parametrize("table", ["standards", "velocities", "masters"])
@pytest.mark.slow
def test_of_nights_without_any_there_are_the_names_of_the_columns_alone(output, table):
    assert len(export(output, table, "--from", "20190406", "--to", "20190406").splitlines()) > 2
    assert len(export(output, table, "--from", "20190405", "--to", "20190405", "--site", "elp").splitlines()) == 2


@pytest.mark.parametrize("columns", [exports.STANDARDS, exports.VELOCITIES, exports.MASTERS])
def test_every_column_is_told_in_the_manual(columns):
    text = (DOCS / "csv_files.rst").read_text(encoding="utf-8")
    told = set(re.findall(r"``(\w+)``", text))
    assert set(columns) <= told


def test_a_file_that_cannot_be_written_is_named_and_nothing_is_left(output, tmp_path):
    words = ["export", "masters", "--output", str(output), "-o", str(tmp_path / "no" / "a.csv")]
    result = CliRunner().invoke(cli.main, words)
    assert result.exit_code == 1
    assert "a.csv: there is no directory" in result.output


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--site", "xyz"), "no spectrograph stands at xyz"),
        (("--from", "20190406", "--to", "20190405"), "--from 20190406 is after --to 20190405"),
    ],
)
def test_a_choice_that_nothing_can_meet_is_refused_and_gives_no_empty_table(output, words, message):
    result = CliRunner().invoke(cli.main, ["export", "velocities", "--output", str(output), *words])
    assert result.exit_code != 0
    assert message in result.output


def test_the_site_may_be_written_in_large_letters(output):
    assert export(output, "masters", "--site", "LSC") == export(output, "masters", "--site", "lsc")


def test_a_cell_holds_no_line_break_and_no_number_that_is_none():
    text = plain_table.text("x", {"a": 2, "b": None}, [{"a": float("nan"), "b": "two\nlines"}, {"a": 1.005}])
    assert text == "# x\na,b\n,two lines\n1.00,\n"
