"""A night is summed up for people, on the disk and by mail."""

import email
from dataclasses import replace
from datetime import UTC, datetime
from email import policy

import pytest
from aiosmtpd.controller import Controller
from click.testing import CliRunner

from nrespipe import cli
from nrespipe.errors import Unavailable
from nrespipe.service import summary
from nrespipe.settings import Settings, change

DAY = "20190405"


class Post:
    """Keeps what it is sent."""

    def __init__(self):
        self.messages, self.answer = [], "250 thanks"

    async def handle_DATA(self, server, session, envelope):  # noqa: N802
        self.messages.append(email.message_from_bytes(envelope.content, policy=policy.default))
        self.recipients = envelope.rcpt_tos
        return self.answer


@pytest.fixture
def post(unused_port):
    kept = Post()
    controller = Controller(kept, hostname="127.0.0.1", port=unused_port)
    controller.start()
    kept.address = f"127.0.0.1:{unused_port}"
    yield kept
    controller.stop()


@pytest.fixture
def unused_port():
    from brokers import free_ports

    return free_ports(1)[0]


@pytest.fixture
def reduced(archive, run):
    archive.calibrations()
    archive.add("e", "HD10700&thar&none")
    archive.add("e", "STAR BAD&thar&none")
    archive.add("e", "<script>&thar&none")
    run()


@pytest.fixture
def report(reduced, service):
    with service.sessions() as session:
        return summary.gather(session, "lsc", DAY, service.output)


def test_a_summary_counts_frames_and_names_what_is_not_done(report):
    assert ("bias", "done", 2) in report.counts
    assert ("science", "bad", 1) in report.counts
    ((name, state, reason),) = report.unhappy
    assert (name, state, reason) == ("lscnrs01-fa09-20190405-0010-e00", "bad", "asked for")
    assert [(name.split("_")[0], standing) for name, standing, _, _ in report.masters] == [
        ("bias", "current"), ("dark", "current"), ("flat", "current"), ("arc", "current"),
    ]  # fmt: skip
    star, stranger = report.stars
    assert (star["object"], star["rv_ms"], star["quality"]) == ("HD10700", 100.0, ["no_meter"])
    assert star["v_mag"] == pytest.approx(3.5, abs=0.1)
    assert stranger["v_mag"] is None
    assert [drift["velocity_ms"] for drift in report.drifts] == [5.0, 5.0]


def test_the_page_shows_no_name_as_markup(report):
    text = summary.page(report)
    assert "&lt;script&gt;" in text
    assert "<script" not in text
    assert "asked for" in text


@pytest.mark.slow
def test_the_document_is_always_the_same(report):
    first = summary.document(report)
    assert first.startswith(b"%PDF")
    assert first == summary.document(report)


def test_a_night_that_nobody_knows_has_no_summary(reduced, service):
    with service.sessions() as session, pytest.raises(LookupError, match="no frame of elp 20190405"):
        summary.gather(session, "elp", DAY, service.output)


@pytest.mark.slow
def test_the_command_writes_a_page_and_a_document(reduced, service, monkeypatch):
    for name in ("DB_URL", "NRES_DATA_ROOT", "SUMMARY_RECIPIENTS"):
        monkeypatch.delenv(name, raising=False)
    words = ["summary", "--site", "lsc", "--day", DAY, "--output", str(service.output)]
    result = CliRunner().invoke(cli.main, words)
    assert result.exit_code == 0, result.output
    folder = service.output / "lsc/summaries"
    assert {path.name for path in folder.iterdir()} == {f"summary_lsc_{DAY}.html", f"summary_lsc_{DAY}.pdf"}
    assert CliRunner().invoke(cli.main, [*words, "--mail"]).exit_code == 2


def settings(post):
    return Settings(
        summary_recipients=("ada@example.org", "ben@example.org"),
        summary_sender="nres@example.org",
        summary_server=post.address,
    )


@pytest.mark.slow
def test_a_summary_is_mailed_with_its_page_and_its_document(report, post):
    summary.mail(report, settings(post))
    (message,) = post.messages
    assert post.recipients == ["ada@example.org", "ben@example.org"]
    assert message["Subject"] == f"NRES lsc {DAY}"
    assert "science" in message.get_body(("plain",)).get_content()
    assert "<h1>lsc 20190405</h1>" in message.get_body(("html",)).get_content()
    (attached,) = message.iter_attachments()
    assert attached.get_content() == summary.document(report)


@pytest.mark.slow
def test_a_mail_server_that_refuses_or_is_away_is_told_of(report, post):
    post.answer = "451 later"
    with pytest.raises(Unavailable, match="451"):
        summary.mail(report, settings(post))
    with pytest.raises(Unavailable, match="refused"):
        summary.mail(report, change(settings(post), summary_server="127.0.0.1:1"))


@pytest.mark.slow
def test_each_night_is_mailed_once_and_again_where_the_server_was_away(reduced, service, post):
    away = change(settings(post), summary_server="127.0.0.1:1")
    assert summary.owed(replace(service, settings=away), [("lsc", DAY)]) == 0
    there = replace(service, settings=settings(post))
    assert summary.owed(there, [("lsc", DAY)]) == 1
    assert summary.owed(there, [("lsc", DAY)]) == 0
    assert len(post.messages) == 1


def test_a_night_is_summed_up_when_it_is_over_and_its_frames_are_reduced(archive, run, service, monkeypatch):
    archive.calibrations()
    run()
    for moment, expected in (
        (datetime(2019, 4, 6, 17, tzinfo=UTC), []),
        (datetime(2019, 4, 6, 23, tzinfo=UTC), [("lsc", DAY)]),
        (datetime(2019, 5, 6, 23, tzinfo=UTC), []),
    ):
        monkeypatch.setattr(summary, "clock", lambda session, moment=moment: moment)
        with service.sessions() as session:
            assert summary.ended(session, service) == expected
