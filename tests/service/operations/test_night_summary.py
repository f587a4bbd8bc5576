"""A night is summed up for people, on the disk and by mail."""

import email
import ssl
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email import policy
from email.message import EmailMessage

import pytest
import trustme
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult
from click.testing import CliRunner
from sqlalchemy import select
from structlog.testing import capture_logs

from nrespipe import cli
from nrespipe.database.dialects import clock
from nrespipe.database.states import State
from nrespipe.database.tables import Frame, NightSummary
from nrespipe.database.work import claims, releases
from nrespipe.errors import Unavailable
from nrespipe.service.operations import night_summary, status
from nrespipe.service.outcome import NoOutcome
from nrespipe.service.work import delivery_work, execution
from nrespipe.settings import Settings, change

DAY = "20190405"
#: When its summary is due.
AFTER = datetime(2019, 4, 6, 23, tzinfo=UTC)


class Post:
    """Keeps what it is sent."""

    def __init__(self):
        self.messages, self.answer, self.unknown, self.words = [], "250 thanks", set(), []

    async def handle_RCPT(self, server, session, envelope, address, options):  # noqa: N802
        if address in self.unknown:
            return "550 nobody"
        envelope.rcpt_tos.append(address)
        return "250 known"

    def __call__(self, server, session, envelope, mechanism, data):
        """Note what it is shown, and let everybody in."""
        self.words.append((data.login.decode(), data.password.decode()))
        return AuthResult(success=True)

    async def handle_DATA(self, server, session, envelope):  # noqa: N802
        self.messages.append(email.message_from_bytes(envelope.content, policy=policy.default))
        self.recipients = envelope.rcpt_tos
        return self.answer


@contextmanager
def served(port, **options):
    kept = Post()
    options |= {"authenticator": kept, "auth_require_tls": "ssl_context" not in options}
    controller = Controller(kept, hostname="127.0.0.1", port=port, **options)
    controller.start()
    kept.address = f"127.0.0.1:{port}"
    try:
        yield kept
    finally:
        controller.stop()


@pytest.fixture
def post(unused_port):
    with served(unused_port) as kept:
        yield kept


def a_message():
    message = EmailMessage()
    message["From"], message["To"] = "nres@example.org", "ada@example.org, ben@example.org"
    message.set_content("a night")
    return message


@pytest.fixture
def unused_port():
    from servers import free_ports

    return free_ports(1)[0]


@pytest.fixture
def reduced(archive, run):
    archive.calibrations()
    archive.add("e", "HD10700&thar&none")
    archive.add("e", "STAR BAD&thar&none")
    archive.add("e", "<script>&thar&none")
    run()


@pytest.fixture
def known(service):
    """A night with one frame."""
    with service.sessions.begin() as session:
        columns = {"site": "lsc", "day": DAY, "instrument": "nres01", "start_mjd": 58578.9, "state": State.DONE}
        session.add(Frame(filename="a", path="/a", md5="1", **columns))


@pytest.fixture
def report(reduced, service):
    with service.sessions() as session:
        return night_summary.gather(session, "lsc", DAY, service.output)


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
    text = night_summary.page(report)
    assert "&lt;script&gt;" in text
    assert "<script" not in text
    assert "asked for" in text


@pytest.mark.slow
def test_the_document_is_always_the_same(report):
    first = night_summary.document(report)
    assert first.startswith(b"%PDF")
    assert first == night_summary.document(report)


def test_a_night_that_nobody_knows_has_no_summary(reduced, service):
    with service.sessions() as session, pytest.raises(LookupError, match="no frame of elp 20190405"):
        night_summary.gather(session, "elp", DAY, service.output)


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
def test_a_summary_is_mailed_with_its_page_and_its_document(report, post, service):
    paths = night_summary.write(report, service.output)
    assert night_summary.send(report, paths, settings(post)) == ""
    (message,) = post.messages
    assert post.recipients == ["ada@example.org", "ben@example.org"]
    assert message["Subject"] == f"NRES lsc {DAY}"
    assert "science" in message.get_body(("plain",)).get_content()
    assert "<h1>lsc 20190405</h1>" in message.get_body(("html",)).get_content()
    (attached,) = message.iter_attachments()
    assert attached.get_content() == night_summary.document(report)


@pytest.mark.slow
def test_a_mail_server_that_refuses_or_is_away_is_told_of(post):
    post.answer = "451 later"
    with pytest.raises(Unavailable, match="answers 451 later"):
        night_summary.send_message(a_message(), settings(post))
    with pytest.raises(Unavailable, match="refused"):
        night_summary.send_message(a_message(), change(settings(post), summary_server="127.0.0.1:1"))


def test_recipients_that_the_server_does_not_know_keep_nobody_else_from_the_mail(post):
    post.unknown = {"ben@example.org"}
    assert night_summary.send_message(a_message(), settings(post)) == "ben@example.org: 550 nobody"
    assert len(post.messages) == 1
    post.unknown = {"ben@example.org", "ada@example.org"}
    with pytest.raises(Unavailable, match=r"knows no recipient: ada@example.org: 550 nobody; ben@"):
        night_summary.send_message(a_message(), settings(post))


def test_a_password_goes_over_no_line_without_tls(post):
    given = change(settings(post), summary_password="canary")
    with pytest.raises(Unavailable, match="offers no TLS: the password is not sent") as refusal:
        night_summary.send_message(a_message(), given)
    assert "canary" not in str(refusal.value)
    assert post.words == post.messages == []


@pytest.mark.parametrize("smtps", [False, True])
@pytest.mark.parametrize("issuer", ["known", "unknown", "another host"])
def test_a_password_is_shown_only_to_a_server_that_proves_its_name(unused_port, monkeypatch, tmp_path, issuer, smtps):
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("other.example.org" if issuer == "another host" else "127.0.0.1").configure_cert(context)
    known = trustme.CA() if issuer == "unknown" else authority
    known.cert_pem.write_to_path(str(tmp_path / "known.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "known.pem"))
    monkeypatch.setattr(night_summary, "_SMTPS", unused_port if smtps else 465)
    with served(unused_port, **({"ssl_context": context} if smtps else {"tls_context": context})) as post:
        given = change(settings(post), summary_password="canary")
        if issuer == "known":
            night_summary.send_message(a_message(), given)
            assert post.words == [("nres@example.org", "canary")]
            assert len(post.messages) == 1
            return
        with pytest.raises(Unavailable, match="certificate verify failed"):
            night_summary.send_message(a_message(), given)
        assert post.words == post.messages == []


def owed(service, moment, monkeypatch):
    """Let the scheduler look what is owed at some moment; return the rows that are due."""
    monkeypatch.setattr(night_summary, "clock", lambda session: moment)
    monkeypatch.setattr(delivery_work, "clock", lambda session: moment)
    night_summary.schedule(service)
    with service.sessions.begin() as session:
        return list(session.scalars(select(NightSummary).where(NightSummary.next_try.is_not(None))))


@pytest.mark.slow
def test_a_night_is_mailed_once_and_drawn_once_although_the_server_was_away(known, service, post, monkeypatch):
    away = replace(service, settings=change(settings(post), summary_server="127.0.0.1:1"))
    (row,) = owed(away, AFTER, monkeypatch)
    assert owed(away, AFTER, monkeypatch)[0].id == row.id
    drawn = []
    document = night_summary.document
    monkeypatch.setattr(night_summary, "document", lambda report: drawn.append(report) or document(report))
    pauses = []
    for _ in range(3):
        result = execution.execute(away, NightSummary, row.id, "me", tries_seen=len(pauses))
        assert (result.state, "refused" in result.reason) == (State.RETRY, True)
        (row,) = owed(away, AFTER, monkeypatch)
        pauses.append((row.next_try - AFTER).total_seconds())
    assert pauses == [30, 60, 120]
    there = replace(service, settings=settings(post))
    assert execution.execute(there, NightSummary, row.id, "me", tries_seen=3).state is State.DONE
    assert owed(there, AFTER, monkeypatch) == []
    assert execution.execute(there, NightSummary, row.id, "me") is NoOutcome.NOT_DUE
    assert (len(post.messages), len(drawn)) == (1, 1)
    assert str(post.messages[0]["Message-ID"]) == f"<nrespipe.summary.lsc.{DAY}@example.org>"


@pytest.mark.slow
def test_a_summary_that_could_not_be_written_is_written_anew(known, service, monkeypatch):
    (row,) = owed(service, AFTER, monkeypatch)
    folder = service.output / "lsc/summaries"
    folder.mkdir(parents=True)
    old = [folder / f"summary_lsc_{DAY}{suffix}" for suffix in (".html", ".pdf")]
    for path in old:
        path.write_bytes(b"of the middle of the night")
    with monkeypatch.context() as full:
        full.setattr(night_summary, "document", lambda _: (_ for _ in ()).throw(OSError(28, "No space left on device")))
        assert execution.execute(service, NightSummary, row.id, "me", tries_seen=0).state is State.RETRY
    assert execution.execute(service, NightSummary, row.id, "me", tries_seen=1).state is State.DONE
    assert all(b"of the middle" not in path.read_bytes() for path in old)


def test_a_worker_that_died_over_a_summary_leaves_it_to_another(known, service, monkeypatch):
    (row,) = owed(service, AFTER, monkeypatch)
    with service.sessions.begin() as session:
        assert claims.claim(session, NightSummary, row.id, "dead", tries_seen=0)
        releases.release(session, "its process died", ["dead"])
        row = session.get_one(NightSummary, row.id)
        assert (row.owner, row.reason, row.deaths) == ("", "its process died", 1)
        assert row.next_try is not None


def test_a_night_that_an_earlier_version_has_mailed_is_not_mailed_again(known, service, monkeypatch):
    mark = service.output / f"lsc/summaries/summary_lsc_{DAY}.sent"
    mark.parent.mkdir(parents=True)
    mark.touch()
    assert owed(service, AFTER, monkeypatch) == []
    mark.unlink()
    assert owed(service, AFTER, monkeypatch) == []


def test_a_mail_that_nobody_takes_is_given_up_when_nobody_wants_it_any_more(known, service, post, monkeypatch):
    away = replace(service, settings=change(settings(post), summary_server="127.0.0.1:1"))
    (row,) = owed(away, AFTER, monkeypatch)
    monkeypatch.setattr(night_summary, "write", lambda report, output: (output, output))
    monkeypatch.setattr(night_summary, "send", lambda *_: (_ for _ in ()).throw(Unavailable("away")))
    assert owed(away, AFTER + timedelta(days=20), monkeypatch) != []
    assert execution.execute(away, NightSummary, row.id, "me", tries_seen=0).state is State.RETRY
    assert owed(away, AFTER + timedelta(days=20), monkeypatch) == []


def test_a_frame_of_a_spectrograph_that_nobody_knows_keeps_no_night_from_its_summary(known, service, monkeypatch):
    with service.sessions.begin() as session:
        columns = {"site": "lsc", "day": DAY, "start_mjd": 58578.9, "state": State.SKIPPED}
        session.add(Frame(filename="c", path="/c", md5="1", instrument="nres77", **columns))
        session.add(Frame(filename="b", path="/b", md5="1", instrument="nres77", **{**columns, "site": "xyz"}))
    assert [(row.site, row.day) for row in owed(service, AFTER, monkeypatch)] == [("lsc", DAY)]


def test_a_night_is_summed_up_when_it_is_over_and_its_frames_are_reduced(archive, run, service, monkeypatch):
    archive.calibrations()
    run()
    for moment, expected in (
        (datetime(2019, 4, 6, 17, tzinfo=UTC), []),
        (datetime(2019, 4, 6, 23, tzinfo=UTC), [("lsc", DAY)]),
        (datetime(2019, 5, 6, 23, tzinfo=UTC), []),
    ):
        monkeypatch.setattr(night_summary, "clock", lambda session, moment=moment: moment)
        with service.sessions() as session:
            assert night_summary.finished_nights(session, service) == expected


def test_a_frame_that_was_told_of_and_never_comes_keeps_no_summary_waiting(archive, run, service, monkeypatch):
    archive.calibrations()
    run()
    facts = {"site": "lsc", "day": DAY, "state": State.RETRY, "next_try": AFTER}
    with service.sessions.begin() as session:
        session.add(Frame(filename="c", path="/nowhere/c", **facts))
    monkeypatch.setattr(night_summary, "clock", lambda session: AFTER)
    with service.sessions() as session:
        assert night_summary.finished_nights(session, service) == [("lsc", DAY)]
    with service.sessions.begin() as session:
        session.add(Frame(filename="d", path="/d", md5="1", version=1, **facts))
    with service.sessions() as session:
        assert night_summary.finished_nights(session, service) == []


def test_a_summary_that_fails_in_a_way_that_nobody_thought_of_logs_its_traceback(service, monkeypatch):
    with service.sessions.begin() as session:
        session.add(NightSummary(site="lsc", day="20190405", next_try=clock(session)))
    monkeypatch.setattr(night_summary, "gather", lambda *_: 1 / 0)
    with capture_logs() as log:
        assert execution.execute(service, NightSummary, 1, "me").state is State.FAILED
    (line,) = [line for line in log if line["event"] == "failed"]
    assert "ZeroDivisionError" in line["exception"]


def test_a_night_whose_summary_was_given_up_is_told_of(service):
    with service.sessions.begin() as session:
        moment = clock(session)
        facts = {"site": "lsc", "tries": 1, "reason": "ValueError: odd"}
        session.add(NightSummary(day=f"{moment:%Y%m%d}", next_try=None, **facts))
        session.add(NightSummary(day="20190405", next_try=None, **facts))
    with service.sessions.begin() as session:
        told = status.progress_lines(session)
    assert told == [f"1 night not summed up yet, 1 of them given up; lsc {moment:%Y%m%d}: ValueError: odd"]
