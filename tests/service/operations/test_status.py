"""The commands answer from the database; recipes take no time here."""

import csv
import io
import json
import logging
from functools import partial
from pathlib import Path

import pytest
import structlog
from click.testing import CliRunner

from nrespipe import cli
from nrespipe.database import measurements
from nrespipe.service import assembly


@pytest.fixture
def command(tmp_path, build, monkeypatch):
    """Run a command of the program on the directories of the test, with recipes that take no time."""
    monkeypatch.setattr(assembly, "build", lambda output, given, **others: build(output, **others))
    for name in ("DB_URL", "NRES_DATA_ROOT", "NRES_PROCESSES", "NRES_LOG_LEVEL"):
        monkeypatch.delenv(name, raising=False)
    handlers, level = logging.getLogger().handlers[:], logging.getLogger().level
    yield partial(CliRunner().invoke, cli.main)
    logging.captureWarnings(False)
    logging.getLogger().handlers[:], logging.getLogger().level = handlers, level
    structlog.reset_defaults()


@pytest.fixture
def reduced(archive, command, tmp_path):
    """Reduce a night with a good star, a damaged one and one that crashes the recipe; return the output directory."""
    archive.calibrations()
    for name in ("STAR A", "STAR CRASH"):
        archive.add("e", f"{name}&thar&none", NRESPRES=12.25, NRESTEMP="21.5")
    archive.add("e", "STAR A&thar&none").write_bytes(b"")
    result = command(["night", str(archive.root), "--output", str(tmp_path / "out")])
    assert result.exit_code == 1, result.output
    return tmp_path / "out"


def test_a_night_prints_what_came_of_it_and_why(archive, command, tmp_path):
    archive.calibrations()
    archive.add("e", "STAR BAD&thar&none")
    result = command(["night", str(archive.root), "--output", str(tmp_path / "out")])
    assert result.exit_code == 1
    assert "9 frames: 1 bad, 8 done; 9 worked on now" in result.stdout
    assert "lscnrs01-fa09-20190405-0009-e00  bad" in result.stdout


def test_progress_off_a_terminal_is_one_json_line_a_frame_on_standard_error(archive, command, tmp_path):
    archive.calibrations()
    result = command(["night", str(archive.root), "--output", str(tmp_path / "out")])
    lines = [json.loads(line) for line in result.stderr.splitlines()]
    flats = [line for line in lines if line["message"] == "flat frames"]
    assert [line["nres.progress"] for line in flats] == ["1/2", "2/2"]
    assert {line["nres.state"] for line in flats} == {"done"}
    assert result.stdout.startswith("8 frames: 8 done")


@pytest.mark.parametrize("name", ["night", "site start --site lsc"])
def test_an_empty_directory_is_an_error_that_tells_how_raw_frames_are_named(command, tmp_path, name):
    (tmp_path / "nothing").mkdir()
    result = command([*name.split(), str(tmp_path / "nothing"), "--output", str(tmp_path / "out")])
    assert result.exit_code == 1
    assert result.stderr.splitlines()[-1] == (
        f"Error: no raw frame below {tmp_path / 'nothing'}: "
        "no file has a name such as lscnrs01-fa09-20190405-0021-e00.fits.fz"
    )


@pytest.mark.parametrize(
    ("choice", "wanted"),
    [
        (["--site", "lcs"], "site lcs"),
        (["--site", "lsc", "--day", "20190316"], "site lsc, night 20190316"),
        (["--day", "20190316", "--day", "20190317"], "night 20190316 or 20190317"),
    ],
)
def test_a_site_or_a_night_without_frames_is_an_error_that_lists_those_with_frames(
    archive, command, tmp_path, choice, wanted
):
    archive.add("b")
    result = command(["night", str(archive.root), "--output", str(tmp_path / "out"), *choice])
    assert result.exit_code == 1
    assert f"Error: no raw frame of {wanted} below {archive.root}: lsc has 20190405" in result.stderr


@pytest.mark.slow
def test_a_command_finds_the_output_directory_in_which_it_is_given(command, reduced, tmp_path, monkeypatch):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    (tmp_path / "empty").mkdir()
    expected = command(["status", "--output", str(reduced)]).stdout
    for place in (reduced, next(reduced.glob("lsc/*/*"))):
        monkeypatch.chdir(place)
        assert command(["status"]).stdout == expected
    monkeypatch.chdir(tmp_path / "full")
    assert "no output directory" in command(["status"]).stderr
    monkeypatch.chdir(tmp_path / "empty")
    assert "nothing was reduced into this directory yet" in command(["status"]).stderr


def test_a_night_into_the_raw_directory_is_refused(archive, command):
    path = archive.add("b")
    result = command(["night", str(archive.root), "--output", str(path.parent / "reduced")])
    assert result.exit_code == 1
    assert "choose another output directory" in result.stderr
    assert sorted(path.parent.iterdir()) == [path]


@pytest.mark.slow
def test_status_counts_and_gives_reasons(command, reduced):
    text = command(["status", "--output", str(reduced)]).stdout
    head, *rows = text.splitlines()
    assert head.split() == [
        "night",
        "kind",
        "queued",
        "running",
        "done",
        "skipped",
        "bad",
        "waiting",
        "retry",
        "failed",
    ]
    assert any(row.split() == ["lsc", "nres01", "fa09", "20190405", "science", "1", "1", "1"] for row in rows)
    assert "lscnrs01-fa09-20190405-0011-e00  bad     the file is empty" in rows
    assert "unknown" not in text


def test_a_line_that_shows_the_name_of_a_file_does_not_repeat_it(archive, command, reduced):
    name = "lscnrs01-fa09-20190405-0011-e00"
    again = command(["night", str(archive.root), "--output", str(reduced)]).stdout
    assert f"{name}  bad     the file is empty" in again
    told = command(["why", name, "--output", str(reduced)]).stdout
    assert "state       bad: the file is empty" in told
    assert told.count(f"{name}.fits") == 1


def test_why_tells_the_masters_of_a_frame_that_is_done(command, reduced):
    text = command(["why", "some/where/lscnrs01-fa09-20190405-0009-e00.fits.fz", "--output", str(reduced)]).stdout
    assert "state       done" in text
    for kind in ("bias", "dark", "flat", "arc"):
        assert f"{kind}_lsc_nres01_fa09_20190405.fits.fz" in text
    assert "e91-L2.fits.fz" in text
    assert "fiber 0 STAR A: 100.00 +- 5.00 m/s, absolute +- 5.00 (no_meter)" in text


def test_a_star_without_a_velocity_is_listed_with_empty_numbers(archive, command, tmp_path):
    archive.calibrations()
    name = archive.add("e", "STAR HOT&thar&none").stem
    output = ["--output", str(tmp_path / "out")]
    assert command(["night", str(archive.root), *output]).exit_code == 0
    assert "fiber 0 STAR HOT: no velocity (no_meter)\n" in command(["why", name, *output]).stdout
    (row,) = csv.DictReader(io.StringIO(command(["velocities", *output, "--format", "csv"]).stdout))
    assert (row["object"], row["rv_ms"], row["rv_err_ms"], row["snr"]) == ("STAR HOT", "", "", "100.0")


def test_why_shows_the_traceback_of_a_failure(command, reduced):
    text = command(["why", "lscnrs01-fa09-20190405-0010-e00", "--output", str(reduced)]).stdout
    assert "failed: ValueError" in text
    assert "Traceback" in text


def test_why_tells_what_a_master_was_made_of(command, reduced):
    text = command(["why", "bias_lsc_nres01_fa09_20190405", "--output", str(reduced)]).stdout
    assert "state       current" in text
    assert "lscnrs01-fa09-20190405-0002-b00" in text


def test_a_master_that_could_not_be_made_is_listed_with_its_reason(archive, command, tmp_path):
    archive.calibrations()
    for path in archive.root.rglob("*-w00.fits"):
        path.unlink()
    for _ in range(2):
        archive.add("w", "tung&tung&none", PROPID="CONTRADICTORY")
    output = ["--output", str(tmp_path / "out")]
    result = command(["night", str(archive.root), *output])
    assert result.exit_code == 1
    assert "flat_lsc_nres01_fa09_20190405.fits.fz  rejected" in result.stdout
    status = command(["status", *output]).stdout
    assert "flat_lsc_nres01_fa09_20190405    rejected  the flats contradict each other" in status
    assert "could not be made: the flats contradict each other" in status
    told = command(["why", "flat_lsc_nres01_fa09_20190405.fits.fz", *output]).stdout
    assert "state       rejected: the flats contradict each other" in told


@pytest.mark.slow
def test_why_of_an_unknown_frame_fails_with_a_sentence(command, reduced):
    result = command(["why", "nobody", "--output", str(reduced)])
    assert result.exit_code == 1
    assert "nothing is known of nobody" in result.stderr


def test_velocities_as_csv_hold_every_digit_under_the_agreed_names(command, reduced):
    text = command(["velocities", "--output", str(reduced), "--format", "csv"]).stdout
    (row,) = csv.DictReader(io.StringIO(text))
    assert tuple(row) == measurements.VELOCITY_COLUMNS
    assert (row["object"], row["fiber"], row["rv_ms"], row["rv_err_ms"]) == ("STAR A", "0", "100.0", "5.0")
    assert (row["drift_ms"], row["quality"]) == ("5.0", "no_meter")


def test_velocities_as_a_table_have_a_line_for_each_star(command, reduced):
    head, row = command(["velocities", "--output", str(reduced)]).stdout.splitlines()
    assert head.split() == list(measurements.VELOCITY_COLUMNS)
    assert "STAR A" in row


def test_drifts_as_csv_stand_beside_pressure_and_temperature(command, reduced):
    text = command(["drifts", "--output", str(reduced), "--format", "csv"]).stdout
    (row,) = csv.DictReader(io.StringIO(text))
    assert tuple(row) == measurements.DRIFT_COLUMNS
    assert (row["velocity_ms"], row["velocity_err_ms"], row["n_lines"]) == ("5.0", "1.0", "100")
    assert (row["shift_px"], row["shift_err_px"], row["stretch_px"]) == ("0.01", "0.001", "0.0")
    assert (row["pressure_psi"], row["temperature_c"]) == ("12.25", "21.5")
    assert row["arc"].endswith("arc_lsc_nres01_fa09_20190405.fits.fz")
    assert row["instrument"] == "nres01"


def test_drifts_as_a_table_have_a_line_for_each_frame(command, reduced):
    head, row = command(["drifts", "--output", str(reduced)]).stdout.splitlines()
    assert head.split() == list(measurements.DRIFT_COLUMNS)
    assert "0.01000" in row


def test_a_file_is_reduced_again_on_demand(archive, command, reduced):
    path = next(archive.root.rglob("*0009-e00.fits"))
    result = command(["reduce", str(path), "--output", str(reduced)])
    assert result.exit_code == 0, result.output
    assert "1 frame: 1 done; 1 worked on now" in result.stdout
    text = command(["why", path.name, "--output", str(reduced)]).stdout
    assert "attempt 2" in text


def test_an_archive_variable_stands_in_for_the_output(command, reduced, monkeypatch):
    monkeypatch.setenv("NRES_DATA_ROOT", str(reduced))
    assert command(["status"]).exit_code == 0


@pytest.mark.slow
def test_a_database_elsewhere_is_used_when_told(command, reduced, tmp_path):
    url = f"sqlite:///{reduced / 'nrespipe.sqlite'}"
    result = command(["status", "--output", str(tmp_path / "elsewhere"), "--database", url])
    assert result.exit_code == 0
    assert "science" in result.stdout


@pytest.mark.parametrize(
    ("words", "status", "complaint"),
    [
        (["status", "--output", "nowhere"], 1, "no database in nowhere"),
        (["status", "--output", "nowhere", "--database", "nonsense"], 2, "--database"),
        (["status", "--output", "nowhere", "--database", "sqlite:////nowhere/at/all.sqlite"], 1, "database"),
        (["night", "nowhere", "--output", "out"], 2, "does not exist"),
        (["night", ".", "--output", "out", "--day", "2019-03-15"], 2, "'2019-03-15' is no day, expected YYYYMMDD"),
        (["night", ".", "--output", "out", "--day", "20190230"], 2, "'20190230' is no day, expected YYYYMMDD"),
        (["night", ".", "--output", "out", "--day", "20190401", "--day", "1"], 2, "'1' is no day"),
        (["simulate", "night", "out", "--site", "mars"], 2, "no spectrograph at 'mars'"),
        (["simulate", "night", "out", "--stars", "A:fast"], 2, "cannot read 'A:fast'"),
        (["simulate", "night", "out", "--day", "tonight"], 2, "day"),
    ],
)
def test_a_mistake_is_told_in_one_sentence(command, words, status, complaint):
    result = command(words)
    assert result.exit_code == status
    assert complaint in result.stderr
    assert "Traceback" not in result.output


def test_a_bad_variable_stops_the_start(command, monkeypatch):
    monkeypatch.setenv("NRES_PROCESSES", "many")
    result = command(["status"])
    assert result.exit_code == 1
    assert "NRES_PROCESSES has a value that it cannot have; expected a whole number from 1" in result.stderr


def test_a_file_among_directories_does_not_hide_others(archive, command, tmp_path):
    (archive.root / "notes00.fits").mkdir(parents=True)
    archive.add("b")
    archive.add("b")
    result = command(["night", str(archive.root), "--output", str(tmp_path / "out")])
    assert "2 frames: 2 done" in result.stdout
    assert Path(tmp_path / "out/lsc/nres01/20190405/masters").is_dir()


def test_why_shows_where_files_lie_now(command, reduced, tmp_path):
    moved = reduced.rename(tmp_path / "moved")
    text = command(["why", "lscnrs01-fa09-20190405-0009-e00", "--output", str(moved)]).stdout
    assert f"with      bias of 20190405, 2 inputs, of the same night: {moved}/lsc/nres01/20190405/masters/bias_" in text
    assert f"product     {moved}/lsc/nres01/20190405/processed/" in text
    assert f"file        {moved}/" in command(["why", "bias_lsc_nres01_fa09_20190405", "--output", str(moved)]).stdout


@pytest.fixture
def of_two_years(archive, command, tmp_path):
    """Reduce a night of 2018 and two of 2019; return the output directory."""
    for day in ("20180405", "20190404", "20190405"):
        archive.calibrations(day=day)
        archive.add("e", "STAR CRASH&thar&none", day=day)
    command(["night", str(archive.root), "--output", str(tmp_path / "out")])
    return tmp_path / "out"


def test_a_status_is_that_of_the_last_nights_unless_others_are_asked_for(of_two_years, command):
    status = partial(command, env={"NRES_DATA_ROOT": str(of_two_years)})
    shown = lambda *words: status(["status", *words]).stdout  # noqa: E731
    assert "20180405" not in shown()
    assert "nights since 20190323; for earlier ones see --since and --day" in shown()
    assert {"20180405", "20190404", "20190405"} <= set(shown("--since", "20180101").replace("-", " ").split())
    assert "20190405" not in shown("--day", "20180405")
    assert "nights since" not in shown("--day", "20180405")
    assert "night" in shown("--state", "bad")
    assert "fa09-20190405-" not in shown("--state", "bad")
    assert "fa09-20190405-" in shown("--state", "failed")
    assert "fa09" not in shown("--site", "elp")
    few = shown("--limit", "1", "--since", "20180101")
    assert few.count("nres01 fa09") == 1
    assert "earlier lines: see --limit" in few
    assert "and more: see --limit" in few
    assert "exclude each other" in status(["status", "--day", "20180405", "--since", "20180405"]).output


def test_lists_of_masters_velocities_and_drifts_begin_with_the_last_nights(of_two_years, command):
    listed = partial(command, env={"NRES_DATA_ROOT": str(of_two_years)})
    result = listed(["masters", "list"])
    assert "bias_lsc_nres01_fa09_20190405" in result.stdout
    assert "20180405" not in result.stdout
    assert "nights since 20190323; for earlier ones see --from" in result.stderr
    assert "bias_lsc_nres01_fa09_20180405" in listed(["masters", "list", "--from", "20180101"]).stdout
    for words in (["velocities"], ["drifts"]):
        assert "nights since 20190323" in listed(words).stderr
        assert "nights since" not in listed([*words, "--from", "20180101", "--site", "lsc"]).stderr
