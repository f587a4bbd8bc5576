"""No password, token or key is shown, whatever fails."""

import io
import logging
import pickle
import traceback
from email.message import EmailMessage

import pytest
import structlog
from click.testing import CliRunner
from hypothesis import HealthCheck, example, strategies
from hypothesis import given as for_all
from hypothesis import settings as bounds
from pydantic import SecretStr
from sqlalchemy import text

from nrespipe import cli, logs, settings
from nrespipe.database.administration import opening
from nrespipe.database.administration.connection import open_engine
from nrespipe.service import assembly
from nrespipe.service.ingest.listener import Listener
from nrespipe.service.operations import health, night_summary
from nrespipe.service.work import celery_app
from nrespipe.service.work.queues import ROUTES

#: A word that is in no other text.
CANARY = "kanarienvogel"
#: Nobody listens there.
DEAD = "127.0.0.1:1"
#: Every variable that is a secret, and every other that a secret may be put into by mistake.
SECRET = {
    "DB_PASSWORD", "DB_URL", "FITS_BROKER", "FITS_BROKER_PASSWORD", "BROKER_URL", "BROKER_PASSWORD", "AUTH_TOKEN",
    "SUMMARY_SENDER_PASSWORD",
}  # fmt: skip


@pytest.fixture(autouse=True)
def _restored_logging():
    root = logging.getLogger()
    kept = root.handlers[:], root.level
    yield
    logging.captureWarnings(False)
    root.handlers[:], root.level = kept
    structlog.reset_defaults()


def failure(work):
    """Return the error that something ends with; None where it ends well."""
    try:
        work()
    except Exception as error:
        return error
    return None


def secret_settings(**others):
    """Return settings with the word in everything that is secret."""
    return settings.read(
        {
            "DB_HOST": DEAD,
            "DB_PASSWORD": CANARY,
            "FITS_BROKER_HOST": DEAD,
            "FITS_BROKER_PASSWORD": CANARY,
            "RABBITMQ_HOST": DEAD,
            "BROKER_PASSWORD": CANARY,
            "AUTH_TOKEN": CANARY,
            "SUMMARY_SENDER": "nres@example.org",
            "SUMMARY_SENDER_PASSWORD": CANARY,
            "SUMMARY_SERVER": DEAD,
            **others,
        }
    )


def test_every_setting_that_is_a_password_or_may_hold_one_is_of_the_type_that_shows_none():
    kinds = {field.validation_alias: field.annotation for field in settings.Settings.model_fields.values()}
    assert {name for name, kind in kinds.items() if kind is SecretStr} == SECRET


def test_what_is_built_of_the_settings_shows_no_secret(service):
    given = secret_settings()
    built = assembly.Assembly(service.sessions, service.output, service.recipes, settings=given)
    app = celery_app.application(given)
    listener = Listener(built, None, None)
    url = opening.url(service.output, given)
    shown = [
        given, built, url, open_engine(url), app, app.connection_for_write(), app.conf.humanize(), listener.connection,
        listener.__dict__, vars(built), given.model_dump(),
    ]  # fmt: skip
    for thing in shown:
        assert CANARY not in f"{thing!s} {thing!r}", type(thing)
    assert pickle.loads(pickle.dumps(given)) == given


def test_what_fails_is_told_without_a_secret(service):
    given = secret_settings()
    built = assembly.Assembly(service.sessions, service.output, service.recipes, settings=given)
    stream = io.StringIO()
    logs.configure("DEBUG", stream)

    def connect():
        with open_engine(opening.url(service.output, given)).connect() as connection:
            connection.execute(text("select 1"))

    def wake():
        celery_app.sender(celery_app.application(given))(next(iter(ROUTES)), 1)

    def listen():
        Listener(built, None, None).connection.ensure_connection(max_retries=1, interval_start=0.01, timeout=1)

    def post():
        night_summary.send_message(EmailMessage(), given)

    for work in (connect, wake, listen, post):
        error = failure(work)
        shown = "".join(traceback.format_exception(error))
        assert CANARY not in f"{shown} {error!r} {error}", work.__name__
        structlog.get_logger("nrespipe").error("failed", reason=str(error), exc_info=error)
    found = health.examine(built)
    assert sum(finding.state == "broken" for finding in found) >= 2
    assert CANARY not in f"{found} {stream.getvalue()}"


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_traceback_at_a_terminal_shows_no_values_of_variables():
    stream = Terminal()
    logs.configure(stream=stream)
    password = CANARY
    try:
        raise ValueError(len(password))
    except ValueError:
        structlog.get_logger().exception("failed")
    assert "ValueError" in stream.getvalue()
    assert CANARY not in stream.getvalue()


@pytest.mark.parametrize("command", ["status", "doctor", "run", "summary"])
def test_a_command_that_cannot_start_tells_why_without_a_secret(command, tmp_path, monkeypatch):
    for name in settings.names():
        monkeypatch.delenv(name, raising=False)
    wrong = {
        "DB_URL": f"postgresql://nres:p@{CANARY}@{DEAD}/nres",
        "BROKER_URL": f"amqp://nres:{CANARY}#@{DEAD}/",
        "FITS_BROKER": f"amqp://nres:1{CANARY}/@{DEAD}/",
        "AUTH_TOKEN": f"{CANARY} {CANARY}",
        "NRES_INGEST_TO": f"ftp://nres:{CANARY}@host",
        "NRES_TIME_LIMIT": CANARY,
    }
    for name, value in wrong.items():
        monkeypatch.setenv(name, value)
    words = ["--site", "lsc", "--day", "20190405"] if command == "summary" else []
    result = CliRunner().invoke(cli.main, [command, *words, "--output", str(tmp_path)])
    assert result.exit_code == 1
    assert all(name in result.output for name in wrong)
    shown = "".join(traceback.format_exception(result.exception)) if result.exception else ""
    assert CANARY not in result.output + shown


@bounds(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@for_all(
    strategies.sampled_from(settings.names()),
    strategies.sampled_from(["", "amqp://", "postgresql://", "https://", "file://", "x@", "amqp://u:", "https://u:"]),
    strategies.text(strategies.sampled_from("@:/#?%;[]& \t1a"), max_size=6),
    strategies.text(strategies.sampled_from("@:/#?%;[]& \t1a"), max_size=6),
)
@example("DB_URL", "postgresql://", "u:a@b:", "/db")
@example("BROKER_URL", "amqp://u:", "", "/@h/")
@example("NRES_INGEST_TO", "https://u:", "", "@h")
def test_a_secret_in_any_variable_and_any_form_is_refused_or_taken_without_being_shown(name, scheme, before, after):
    error = failure(lambda: settings.read({name: f"{scheme}{before}{CANARY}{after}"}))
    assert error is None or isinstance(error, ValueError)
    assert error is None or CANARY not in "".join(traceback.format_exception(error))


def test_the_database_of_an_option_is_refused_without_being_shown(tmp_path):
    words = ["status", "--output", str(tmp_path), "--database", f"postgresql://u:a@b:{CANARY}/db"]
    result = CliRunner().invoke(cli.main, words)
    assert result.exit_code == 2
    assert "--database" in result.output
    assert CANARY not in result.output
