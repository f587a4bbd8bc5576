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
        "NRES_RAW_ROOT": "/archive",
        "NRES_PROCESSES": "3",
        "NRES_LOG_LEVEL": "warning",
        "FITS_BROKER": "amqp://guest:guest@fits/",
        "FITS_EXCHANGE": "archived_fits",
        "BROKER_URL": "amqp://guest:guest@celery:5673/nres",
        "RABBITMQ_HOST": "celery:5673",
        "BROKER_USERNAME": "nres",
        "BROKER_PASSWORD": "broker",
        "NRES_TIME_LIMIT": "600",
        "NRES_MEMORY_LIMIT": "4000",
        "NRES_DO_RV": "false",
        "CAL_STACK_DELAY": "2.5",
        "NRES_MASTER_PATIENCE": "2",
        "NRES_FUTURE_MASTERS": "no",
        "API_ROOT": "https://archive.example.org/",
        "AUTH_TOKEN": "abc",
        "DO_INGEST": "True",
        "NRES_INGEST_TO": "file:///deliveries",
        "OPENTSDB_HOSTNAME": "metrics",
        "OPENTSDB_PORT": "80",
        "NRES_METRICS_PORT": "9100",
        "SUMMARY_RECIPIENTS": "one@example.org, two@example.org,",
        "SUMMARY_SENDER": "nres@example.org",
        "SUMMARY_SENDER_PASSWORD": "mail",
        "SUMMARY_SERVER": "mail.example.org:25",
    }
    expected = settings.Settings(
        database_url="sqlite:////data/night.sqlite",
        data_root=Path("/data"),
        raw_root=Path("/archive"),
        processes=3,
        log_level="WARNING",
        fits_broker="amqp://guest:guest@fits/",
        fits_exchange="archived_fits",
        broker_url="amqp://guest:guest@celery:5673/nres",
        broker_host="celery:5673",
        broker_username="nres",
        broker_password="broker",
        time_limit_s=600.0,
        memory_limit_mb=4000,
        do_rv=False,
        stack_delay_h=2.5,
        master_patience_days=2.0,
        future_masters=False,
        api_root="https://archive.example.org/",
        auth_token="abc",
        do_ingest=True,
        ingest_to="file:///deliveries",
        opentsdb_hostname="metrics",
        opentsdb_port=80,
        metrics_port=9100,
        summary_recipients=("one@example.org", "two@example.org"),
        summary_sender="nres@example.org",
        summary_password="mail",
        summary_server="mail.example.org:25",
    )
    read = settings.read(given)
    assert read == expected
    different = [name for name in vars(read) if getattr(read, name) != getattr(settings.Settings(), name)]
    assert different == list(vars(read)), "every setting must be tried"


def test_settings_that_are_printed_show_no_secret():
    given = {
        "DB_URL": "postgresql://user:secret@host/db",
        "FITS_BROKER": "amqp://user:secret@host/",
        "BROKER_URL": "amqp://user:secret@host/",
        "AUTH_TOKEN": "secret",
        "RABBITMQ_HOST": "rabbit",
        "BROKER_PASSWORD": "secret",
        "SUMMARY_SENDER_PASSWORD": "secret",
    }
    read = settings.read(given)
    assert [value for value in vars(read).values() if "secret" in str(value)]
    assert "secret" not in f"{read} {read!r}"


def test_a_blank_variable_counts_as_absent():
    assert settings.read({"NRES_PROCESSES": " ", "DB_URL": ""}) == settings.Settings()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("NRES_PROCESSES", "0"),
        ("NRES_PROCESSES", "two"),
        ("NRES_LOG_LEVEL", "loud"),
        ("DB_URL", "night.sqlite"),
        ("FITS_BROKER", "rabbit"),
        ("BROKER_URL", "http://host"),
        ("CAL_STACK_DELAY", "-1"),
        ("CAL_STACK_DELAY", "nan"),
        ("OPENTSDB_PORT", "0"),
        ("DO_INGEST", "maybe"),
        ("DO_INGEST", "true"),
        ("NRES_INGEST_TO", "deliveries"),
        ("NRES_METRICS_PORT", "70000"),
        ("NRES_TIME_LIMIT", "0"),
        ("NRES_MEMORY_LIMIT", "some"),
        ("API_ROOT", "archive.example.org"),
        ("RABBITMQ_HOST", "user:word@rabbit"),
        ("RABBITMQ_HOST", "two words"),
        ("NRES_DO_RV", "never"),
        ("SUMMARY_RECIPIENTS", "nobody"),
        ("SUMMARY_RECIPIENTS", "one@example.org"),
        ("SUMMARY_SENDER", "one@example.org,two@example.org"),
    ],
)
def test_a_bad_value_is_refused_with_the_name_of_its_variable(name, value):
    with pytest.raises(ValueError, match=name):
        settings.read({name: value})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DB_URL", "postgresql:/user:secret@host/db"),
        ("BROKER_URL", "rabbit://user:secret@host/"),
        ("RABBITMQ_HOST", "user:secret@host"),
    ],
)
def test_a_refused_url_does_not_show_its_password(name, value):
    with pytest.raises(ValueError, match=name) as refusal:
        settings.read({name: value})
    assert "secret" not in str(refusal.value)


def test_the_host_of_the_broker_stands_in_for_its_url():
    given = {"RABBITMQ_HOST": "rabbit", "BROKER_USERNAME": "nres", "BROKER_PASSWORD": "a/b@c"}
    assert settings.read(given).broker_url == "amqp://nres:a%2Fb%40c@rabbit/"
    assert settings.read({"RABBITMQ_HOST": "rabbit:5673"}).broker_url == "amqp://guest:guest@rabbit:5673/"
    url = "amqp://other:word@elsewhere/"
    assert settings.read({**given, "BROKER_URL": url}).broker_url == url
    assert settings.read({"BROKER_USERNAME": "nres"}).broker_url == settings.MEMORY


@pytest.mark.parametrize("word", ["false", "False", "0", "no", "off"])
def test_false_means_false(word):
    read = settings.read({"DO_INGEST": word, "NRES_DO_RV": word})
    assert read.do_ingest is read.do_rv is False
