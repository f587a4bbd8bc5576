"""Measured velocities are set against those that were put in."""

from collections import Counter

import pytest
from click.testing import CliRunner

from nrespipe.cli import main
from nrespipe.service.batch import simulation
from nrespipe.service.batch.night import Summary
from nrespipe.service.batch.simulation import Comparison
from nrespipe.simulator import stars


def comparison(off_ms, absolute_error_ms, snr=100.0):
    measured_ms = None if off_ms is None else 1000.0 + off_ms
    return Comparison("f", "STAR", 0, snr, 1000.0, measured_ms, 1.5, absolute_error_ms)


@pytest.mark.parametrize(
    ("off_ms", "error_ms", "agrees"),
    [
        (0.0, 3.0, True),
        (-14.9, 3.0, True),
        (15.1, 3.0, False),
        (29.0, 10.0, True),
        (31.0, 10.0, False),
        (None, None, False),
        (0.0, None, False),
        (0.0, 0.0, False),
    ],
)
def test_a_star_agrees_within_five_errors_and_thirty_meters_a_second(off_ms, error_ms, agrees):
    assert comparison(off_ms, error_ms).agrees is agrees


@pytest.mark.parametrize("off_ms", [None, 2.0])
@pytest.mark.parametrize("absolute_error_ms", [None, 0.0, 4.0])
def test_a_comparison_fills_every_column(off_ms, absolute_error_ms):
    assert len(comparison(off_ms, absolute_error_ms).cells()) == len(simulation.HEADINGS)


def test_the_difference_is_measured_minus_injected_and_scaled_by_the_absolute_error():
    assert comparison(-8.0, 4.0).cells() == ["STAR", "0", "100", "1000.00", "992.00", "1.50", "4.00", "-8.00", "-2.0"]


@pytest.mark.slow
def test_stars_of_the_truth_without_a_velocity_are_told_too(archive, run, service, tmp_path):
    archive.calibrations()
    archive.add("e", "STAR A&thar&none")
    run()
    truth = tmp_path / "velocities.csv"
    truth.write_text(
        "filename,fiber,object,rv_ms\n"
        "lscnrs01-fa09-20190405-0009-e00,0,STAR A,97.0\n"
        "lscnrs01-fa09-20190405-0010-e00,2,STAR B,5.0\n"
    )
    found, lost = simulation.compare(service.sessions, truth)
    assert (found.object, found.measured_ms, found.error_ms, found.agrees) == ("STAR A", 100.0, 5.0, True)
    assert (lost.object, lost.measured_ms, lost.agrees) == ("STAR B", None, False)


def test_the_demonstration_observes_both_star_fibers_and_two_stars_at_once():
    exposures = [stars.parse(text) for text in simulation.DEMO_STARS]
    assert {tuple(exposure.targets) for exposure in exposures} == {(0,), (2,), (0, 2)}


def test_the_demonstration_has_a_database_of_its_own_whatever_the_environment_says(tmp_path, monkeypatch):
    built = []

    def remember(assembled, *_):
        built.append(assembled)
        return [], Summary(Counter(), (), 0)

    monkeypatch.setenv("DB_HOST", "database")
    monkeypatch.setenv("DB_PASSWORD", "secret")
    monkeypatch.setattr(simulation, "demonstrate", remember)
    result = CliRunner().invoke(main, ["demo", "--output", str(tmp_path / "demo")])
    assert result.exit_code == 0, result.output
    assert built[0].sessions.kw["bind"].url.database == str(tmp_path / "demo/reduced/nrespipe.sqlite")
