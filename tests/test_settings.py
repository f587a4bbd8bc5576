"""Environment variables are typed, and a bad one stops the start."""

from pathlib import Path

import pytest
from hypothesis import given as for_all
from hypothesis import strategies as st
from kombu.utils.url import parse_url
from sqlalchemy import make_url

from nrespipe import settings


def test_an_empty_environment_gives_the_defaults():
    assert settings.read({}) == settings.Settings()


def test_every_variable_is_read_and_typed():
    given = {
        "DB_HOST": "database",
        "DB_NAME": "frames",
        "DB_USERNAME": "reducer",
        "DB_PASSWORD": " data ",
        "DB_URL": "sqlite:////data/night.sqlite",
        "NRES_DATA_ROOT": "/data",
        "NRES_RAW_ROOT": "/archive",
        "NRES_PROCESSES": "3",
        "NRES_LOG_LEVEL": "warning",
        "NRES_LOG_FORMAT": " JSON",
        "FITS_BROKER_HOST": "fits",
        "FITS_BROKER_USERNAME": "reader",
        "FITS_BROKER_PASSWORD": "frames",
        "FITS_BROKER": "amqp://guest:guest@fits/",
        "FITS_EXCHANGE": "archived_fits",
        "BROKER_URL": "amqp://guest:guest@celery:5673/nres",
        "RABBITMQ_HOST": "celery:5673",
        "BROKER_USERNAME": "nres",
        "BROKER_PASSWORD": "broker",
        "NRES_ANY_PATH": "yes",
        "NRES_TIME_LIMIT": "600",
        "NRES_CONSUMER_TIMEOUT": "7200",
        "NRES_STOP_WAIT": "720",
        "NRES_MEMORY_LIMIT": "4000",
        "NRES_DO_RV": "false",
        "NRES_DO_DRAW": "false",
        "CAL_STACK_DELAY": "2.5",
        "NRES_MASTER_PATIENCE": "2",
        "NRES_FUTURE_MASTERS": "no",
        "API_ROOT": "https://archive.example.org/",
        "NRES_ARCHIVE_HOSTS": "*.example.org, store.example.com",
        "NRES_ALLOW_HTTP": "yes",
        "AUTH_TOKEN": "abc",
        "DO_INGEST": "True",
        "NRES_INGEST_TO": "file:///deliveries",
        "OPENTSDB_HOSTNAME": "metrics",
        "OPENTSDB_PORT": "80",
        "NRES_METRICS_PORT": "9100",
        "NRES_METRICS_ADDRESS": "::",
        "SUMMARY_RECIPIENTS": "one@example.org, two@example.org,",
        "SUMMARY_SENDER": "nres@example.org",
        "SUMMARY_SENDER_PASSWORD": "mail",
        "SUMMARY_SERVER": "mail.example.org:25",
    }
    expected = settings.Settings(
        database_host="database",
        database_name="frames",
        database_username="reducer",
        database_password=" data ",
        database_url="sqlite:////data/night.sqlite",
        data_root=Path("/data"),
        raw_root=Path("/archive"),
        any_path=True,
        processes=3,
        log_level="WARNING",
        log_format="json",
        fits_broker_host="fits",
        fits_broker_username="reader",
        fits_broker_password="frames",
        fits_broker="amqp://guest:guest@fits/",
        fits_exchange="archived_fits",
        broker_url="amqp://guest:guest@celery:5673/nres",
        broker_host="celery:5673",
        broker_username="nres",
        broker_password="broker",
        time_limit_s=600.0,
        consumer_timeout_s=7200.0,
        stop_wait_s=720.0,
        memory_limit_mb=4000,
        do_rv=False,
        do_draw=False,
        stack_delay_h=2.5,
        master_patience_days=2.0,
        future_masters=False,
        api_root="https://archive.example.org/",
        archive_hosts=("*.example.org", "store.example.com"),
        allow_http=True,
        auth_token="abc",
        do_ingest=True,
        ingest_to="file:///deliveries",
        opentsdb_hostname="metrics",
        opentsdb_port=80,
        metrics_port=9100,
        metrics_address="::",
        summary_recipients=("one@example.org", "two@example.org"),
        summary_sender="nres@example.org",
        summary_password="mail",
        summary_server="mail.example.org:25",
    )
    read = settings.read(given)
    assert read == expected
    different = [name for name, value in read if value != getattr(settings.Settings(), name)]
    assert different == [name for name, _ in read], "every setting must be tried"


def test_the_environment_is_looked_at_by_read_alone(monkeypatch):
    monkeypatch.setenv("NRES_PROCESSES", "7")
    assert settings.Settings().processes is None
    assert settings.read().processes == 7


def test_changed_settings_are_checked_and_the_others_stay():
    read = settings.read({"NRES_PROCESSES": "3"})
    changed = settings.change(read, auth_token="abc")
    assert (changed.processes, changed.auth_token.get_secret_value()) == (3, "abc")
    with pytest.raises(ValueError, match="DB_URL"):
        settings.change(read, database_url="night.sqlite")


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
    hidden = [value.get_secret_value() for _, value in read if hasattr(value, "get_secret_value")]
    assert len([text for text in hidden if "secret" in text]) == 6
    assert "secret" not in f"{read} {read!r} {read.model_dump()} {read.model_dump_json()}"


def test_a_blank_variable_counts_as_absent():
    assert settings.read({"NRES_PROCESSES": " ", "DB_URL": ""}) == settings.Settings()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("NRES_PROCESSES", "0"),
        ("NRES_PROCESSES", "two"),
        ("NRES_LOG_LEVEL", "loud"),
        ("NRES_LOG_FORMAT", "xml"),
        ("DB_URL", "night.sqlite"),
        ("DB_URL", "postgresql://nres:p@ss/w#rd@host/nres"),
        ("DB_URL", "postgresql://nres:p@ss@host/nres"),
        ("DB_HOST", "host:five"),
        ("DB_HOST", "host:70000"),
        ("DB_NAME", "nres?sslmode=disable"),
        ("FITS_BROKER", "rabbit"),
        ("FITS_BROKER_HOST", "rabbit/vhost"),
        ("BROKER_URL", "amqp://nres:p@ss/w#rd@host/"),
        ("BROKER_URL", "amqp://nres:12/34@host/"),
        ("BROKER_URL", "amqp://nres:12?34@host/"),
        ("BROKER_URL", "amqp://nres:word@/"),
        ("BROKER_URL", "amqp://host/;amqp://nres:12/34@other/"),
        ("BROKER_URL", "http://host"),
        ("CAL_STACK_DELAY", "-1"),
        ("CAL_STACK_DELAY", "nan"),
        ("OPENTSDB_PORT", "0"),
        ("DO_INGEST", "maybe"),
        ("DO_INGEST", "true"),
        ("NRES_INGEST_TO", "deliveries"),
        ("NRES_INGEST_TO", "file://deliveries/here"),
        ("NRES_INGEST_TO", "ftp://ingest.example.org/"),
        ("NRES_INGEST_TO", "https://ingest.example.org/?key=1"),
        ("AUTH_TOKEN", "two words"),
        ("AUTH_TOKEN", "one\nX-Other: header"),
        ("SUMMARY_SENDER_PASSWORD", "pässword"),
        ("SUMMARY_SERVER", "mail.example.org:0"),
        ("OPENTSDB_HOSTNAME", "user@numbers"),
        ("NRES_METRICS_PORT", "70000"),
        ("NRES_METRICS_ADDRESS", "user:word@0.0.0.0"),
        ("NRES_TIME_LIMIT", "0"),
        ("NRES_TIME_LIMIT", "600.5"),
        ("NRES_CONSUMER_TIMEOUT", "30 min"),
        ("NRES_STOP_WAIT", "-1"),
        ("NRES_MEMORY_LIMIT", "some"),
        ("API_ROOT", "archive.example.org"),
        ("API_ROOT", "http://archive.example.org/"),
        ("NRES_INGEST_TO", "http://ingest.example.org/"),
        ("NRES_ARCHIVE_HOSTS", "https://store.example.org"),
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
        ("DB_URL", "postgresql://user:a@b:secret/db"),
        ("BROKER_URL", "rabbit://user:secret@host/"),
        ("BROKER_URL", "amqp://user:secret/@host/"),
        ("RABBITMQ_HOST", "user:secret@host"),
        ("NRES_INGEST_TO", "ftp://user:secret@host"),
        ("NRES_INGEST_TO", "https://user:secret@host"),
        ("API_ROOT", "https://user:secret@host"),
        ("API_ROOT", "https://user:secret/@host"),
        ("AUTH_TOKEN", "secret\nsecret"),
        ("NRES_PROCESSES", "secret"),
    ],
)
def test_a_refused_url_does_not_show_its_password(name, value):
    with pytest.raises(ValueError, match=name) as refusal:
        settings.read({name: value})
    assert "secret" not in str(refusal.value)
    assert refusal.value.__cause__ is refusal.value.__context__ is None


@pytest.mark.parametrize("name", ["API_ROOT", "NRES_INGEST_TO"])
def test_a_token_and_an_address_without_tls_are_refused_together_but_on_this_machine(name):
    given = {name: "http://server.example.org/", "NRES_ALLOW_HTTP": "true"}
    assert settings.read(given).allow_http
    with pytest.raises(ValueError, match=f"{name} is an http address, which would show AUTH_TOKEN to others"):
        settings.read({**given, "AUTH_TOKEN": "secret"})
    for host in ("localhost:8000", "127.0.0.1", "[::1]:80"):
        assert settings.read({name: f"http://{host}/", "AUTH_TOKEN": "secret"})
    for host in ("localhost.example.org", "127.0.0.1.example.org"):
        with pytest.raises(ValueError, match=name):
            settings.read({name: f"http://{host}/", "AUTH_TOKEN": "secret"})


def test_all_that_is_wrong_is_told_at_once():
    with pytest.raises(ValueError, match="NRES_PROCESSES") as refusal:
        settings.read({"NRES_PROCESSES": "0", "DB_URL": "night.sqlite"})
    assert "a whole number from 1" in str(refusal.value)
    assert "; DB_URL" in f"; {refusal.value}"


# no character that an environment cannot hold
@for_all(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1).filter(str.strip))
def test_a_password_of_any_characters_arrives_as_it_is(password):
    read = settings.read(
        {
            "DB_HOST": "database:5433",
            "DB_PASSWORD": password,
            "RABBITMQ_HOST": "broker",
            "BROKER_PASSWORD": password,
            "FITS_BROKER_HOST": "fits:5673",
            "FITS_BROKER_PASSWORD": password,
        }
    )
    url = make_url(read.database_url.get_secret_value())
    assert (url.username, url.password, url.host, url.port, url.database) == (
        "nres", password, "database", 5433, "nres",
    )  # fmt: skip
    for secret, place in ((read.broker_url, ("broker", None)), (read.fits_broker, ("fits", 5673))):
        parts = parse_url(secret.get_secret_value())
        assert (parts["userid"], parts["password"]) == ("guest", password)
        assert (parts["hostname"], parts["port"]) == place
        assert parts["virtual_host"] in ("", "/", None)


def test_the_host_of_the_broker_stands_in_for_its_url():
    given = {"RABBITMQ_HOST": "rabbit", "BROKER_USERNAME": "nres", "BROKER_PASSWORD": "a/b@c"}
    url_of = lambda given: settings.read(given).broker_url.get_secret_value()  # noqa: E731
    assert url_of(given) == "amqp://nres:a%2Fb%40c@rabbit/"
    assert url_of({"RABBITMQ_HOST": "rabbit:5673"}) == "amqp://guest:guest@rabbit:5673/"
    url = "amqp://other:word@elsewhere/"
    assert url_of({**given, "BROKER_URL": url}) == url
    assert settings.read({"BROKER_USERNAME": "nres"}).broker_url == settings.MEMORY
    assert settings.read({"BROKER_URL": "memory://localhost"}).broker_url == settings.MEMORY
    several = "amqp://one:word@here/;amqp://two:word@there/?heartbeat=10"
    assert url_of({"BROKER_URL": several}) == several


@pytest.mark.parametrize("word", ["false", "False", "0", "no", "off"])
def test_false_means_false(word):
    read = settings.read({"DO_INGEST": word, "NRES_DO_RV": word})
    assert read.do_ingest is read.do_rv is False
