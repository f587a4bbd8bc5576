"""Environment variables are typed, and a bad one stops the start."""

from pathlib import Path

import pytest

from nrespipe import settings


def test_an_empty_environment_gives_the_defaults():
    assert settings.read({}) == settings.Settings()


def test_every_variable_is_read_and_typed():
    given = {
        "DB_URL": "sqlite:////data/night.sqlite",
        "NRES_DATA_ROOT": "/data",
        "NRES_PROCESSES": "3",
        "NRES_LOG_LEVEL": "warning",
    }
    expected = settings.Settings("sqlite:////data/night.sqlite", Path("/data"), 3, "WARNING")
    assert settings.read(given) == expected


def test_a_blank_variable_counts_as_absent():
    assert settings.read({"NRES_PROCESSES": " ", "DB_URL": ""}) == settings.Settings()


@pytest.mark.parametrize(
    ("name", "value"),
    [("NRES_PROCESSES", "0"), ("NRES_PROCESSES", "two"), ("NRES_LOG_LEVEL", "loud"), ("DB_URL", "night.sqlite")],
)
def test_a_bad_value_is_refused_with_the_name_of_its_variable(name, value):
    with pytest.raises(ValueError, match=name):
        settings.read({name: value})


def test_a_refused_database_url_does_not_show_its_password():
    with pytest.raises(ValueError, match="DB_URL") as refusal:
        settings.read({"DB_URL": "postgresql:/user:secret@host/db"})
    assert "secret" not in str(refusal.value)
