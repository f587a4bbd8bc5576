"""A server that serves nobody is left alone, costs no product its turns, and holds up nothing else."""

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import pytest
from click.testing import CliRunner
from servers import with_tables
from sqlalchemy import delete, func, select, update

from nrespipe import cli
from nrespipe.database import breakers
from nrespipe.database.dialects import clock
from nrespipe.database.states import State
from nrespipe.database.tables import WORK_TABLES, Attempt, Breaker, Delivery, Frame, Product
from nrespipe.database.work import attempts
from nrespipe.files import timed_read
from nrespipe.files.atomic_files import md5
from nrespipe.service.outcome import NoOutcome
from nrespipe.service.work import delivery_work, dispatch, execution
from nrespipe.service.work.queues import ROUTES
from nrespipe.settings import change


class Handler(BaseHTTPRequestHandler):
    """Takes files, or answers what ``server.answers`` has for this one or for all."""

    def log_message(self, *_):
        pass

    def do_PUT(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.server.asked.append(self.path)
        code = self.server.answers.get(self.path, self.server.answers.get("all", 201))
        self.send_response(code)
        self.send_header("Retry-After", self.server.later)
        self.end_headers()


@pytest.fixture
def server():
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as served:
        served.answers, served.asked, served.later = {}, [], ""
        thread = threading.Thread(target=served.serve_forever, args=(0.01,))
        thread.start()
        yield served
        served.shutdown()
        thread.join()


@pytest.fixture
def shop(service, server):
    """Five products that are due, a server, and what happens when the next is delivered."""
    service.output.mkdir(exist_ok=True)
    target = f"http://127.0.0.1:{server.server_port}/nres"
    service = replace(service, settings=change(service.settings, do_ingest=True, ingest_to=target))
    with service.sessions.begin() as session:
        frame = Frame(filename="f", path="/f", md5="0", next_try=None)
        moment = clock(session)
        attempt = Attempt(frame=frame, started=moment, finished=moment, outcome=State.DONE, code_version="0")
        session.add_all([frame, attempt])
        session.flush()
        for n in range(5):
            path = service.output / f"p{n}.fz"
            path.write_bytes(b"%d" % n)
            product = Product(frame_id=frame.id, attempt_id=attempt.id, path=path.name, md5=md5(path))
            product.delivery = Delivery(next_try=moment)
            session.add(product)

    def later(seconds):
        """Let time pass for the breaker and for the rows."""
        with service.sessions.begin() as session:
            for table in (Breaker, Delivery):
                for row in session.scalars(select(table).where(table.next_try.is_not(None))):
                    row.next_try -= timedelta(seconds=seconds)
                    if table is Delivery and row.sent:
                        row.sent -= timedelta(seconds=seconds)

    def turn():
        """Sweep, deliver what workers are told of, and return what came of each."""
        told = []
        dispatch.sweep(service, lambda table, row_id: told.append(row_id) if table is Delivery else None)
        return [
            getattr(ended, "state", ended)
            for ended in (execution.execute(service, Delivery, row, "me") for row in told)
        ]

    def rows(table=Delivery):
        with service.sessions.begin() as session:
            return list(session.scalars(select(table)))

    return SimpleNamespace(service=service, later=later, turn=turn, rows=rows)


def test_deliveries_have_a_queue_and_a_program_of_their_own():
    queues = [ROUTES[table].queue for table in WORK_TABLES]
    assert queues.count(ROUTES[Delivery].queue) == 1
    assert CliRunner().invoke(cli.main, ["work", "--queue", "deliveries", "--help"]).exit_code == 0


@pytest.mark.parametrize("code", [401, 403, 429, 500, 503])
def test_after_one_failure_the_server_is_asked_by_one_now_and_then_and_by_all_when_it_is_back(shop, server, code):
    server.answers["all"] = code
    assert shop.turn() == [State.RETRY] + [NoOutcome.SERVER_AWAY] * 4
    assert shop.turn() == []
    assert len(server.asked) == 1
    for failures in (2, 3):
        shop.later(2000)
        assert shop.turn() == [State.RETRY]
        assert shop.turn() == []
        assert [b.failures for b in shop.rows(Breaker)] == [failures]
    server.answers.clear()
    shop.later(2000)
    assert shop.turn() == [State.DONE]
    assert sorted(shop.turn()) == [State.DONE] * 4
    assert all(row.delivered and not row.reason for row in shop.rows())
    ((breaker),) = shop.rows(Breaker)
    assert (breaker.failures, breaker.since, breaker.next_try, breaker.reason) == (0, None, None, "")


def test_an_outage_of_days_exhausts_no_delivery(shop, server, monkeypatch):
    monkeypatch.setattr(attempts, "MOST_RETRIES", 3)
    server.answers["all"] = 503
    for _ in range(5 * attempts.MOST_RETRIES + 10):
        shop.later(4000)
        shop.turn()
    assert len(server.asked) > 5 * attempts.MOST_RETRIES
    assert all(row.next_try and not row.refusals for row in shop.rows())
    server.answers.clear()
    for _ in range(2):
        shop.later(4000)
        shop.turn()
    assert all(row.delivered for row in shop.rows())


def test_a_file_that_is_refused_for_itself_holds_up_no_other_and_is_given_up(shop, server, monkeypatch):
    monkeypatch.setattr(attempts, "MOST_RETRIES", 3)
    server.answers["/nres/p2.fz"] = 422
    assert sorted(shop.turn()) == [State.DONE] * 4 + [State.RETRY]
    assert shop.rows(Breaker) == []
    for _ in range(attempts.MOST_RETRIES):
        shop.later(4000)
        shop.turn()
    (left,) = [row for row in shop.rows() if not row.delivered]
    assert (left.next_try, left.refusals) == (None, attempts.MOST_RETRIES)
    assert "422" in left.reason


def test_a_file_at_which_the_server_fails_lets_the_others_pass(shop, server):
    server.answers["/nres/p0.fz"] = 500
    for _ in range(8):
        shop.later(40)
        shop.turn()
    assert [bool(row.delivered) for row in shop.rows()] == [False, True, True, True, True]
    assert shop.rows()[0].next_try is not None


def test_a_server_is_left_alone_for_as_long_as_it_asks_within_an_hour(shop, server):
    server.answers["all"], server.later = 429, "7200"
    shop.turn()
    with shop.service.sessions.begin() as session:
        (breaker,) = session.scalars(select(Breaker))
        assert timedelta(minutes=59) < breaker.next_try - clock(session) <= timedelta(minutes=60)


def test_a_probe_that_says_nothing_of_the_server_lets_another_ask_at_once(shop, server):
    server.answers["all"] = 503
    shop.turn()
    for n in range(1, 5):
        (shop.service.output / f"p{n}.fz").write_bytes(b"replaced")
    shop.later(100)
    server.answers.clear()
    with shop.service.sessions.begin() as session:
        session.execute(update(Delivery).where(Delivery.tries > 0).values(next_try=clock(session) + timedelta(days=1)))
    assert [shop.turn() for _ in range(4)] == [[State.BAD]] * 4
    with shop.service.sessions.begin() as session:
        session.execute(update(Delivery).where(Delivery.next_try.is_not(None)).values(next_try=clock(session)))
    assert shop.turn() == [State.DONE]


def test_a_target_that_is_changed_has_a_breaker_of_its_own(shop, server, tmp_path):
    server.answers["all"] = 503
    shop.turn()
    elsewhere = change(shop.service.settings, ingest_to=f"file://{tmp_path}/there")
    moved = replace(shop.service, settings=elsewhere)
    assert execution.execute(moved, Delivery, shop.rows()[1].id, "me").state is State.DONE


def test_a_directory_that_does_not_answer_is_an_outage_and_no_death(shop, tmp_path, monkeypatch):
    def hang(work, path, patience_s):
        raise timed_read.Unavailable(f"{path.name}: the disk does not answer within 300 s")

    monkeypatch.setattr(timed_read, "call", hang)
    settings = change(shop.service.settings, ingest_to=f"file://{tmp_path}/there")
    moved = replace(shop.service, settings=settings)
    assert execution.execute(moved, Delivery, shop.rows()[0].id, "me").state is State.RETRY
    assert execution.execute(moved, Delivery, shop.rows()[1].id, "me") is NoOutcome.SERVER_AWAY
    assert "does not answer" in shop.rows()[0].reason
    assert shop.rows()[0].refusals == 0


def test_status_tells_of_a_server_that_serves_nobody(shop, server):
    server.answers["all"] = 503
    shop.turn()
    result = CliRunner().invoke(cli.main, ["status", "--output", str(shop.service.output)])
    assert f"5 files not delivered yet; {shop.service.settings.ingest_to} takes nothing since" in result.stdout


def test_of_many_that_ask_at_once_whether_a_server_is_back_one_does(database_url):
    sessions = with_tables(database_url)
    with sessions.begin() as session:
        breakers.record_failure(session, "there", "away", "yes")
        assert breakers.request_permission(session, "there", 60.0) == "no"
        session.execute(update(Breaker).values(next_try=clock(session)))

    def ask(_):
        with sessions.begin() as session:
            return breakers.request_permission(session, "there", 60.0)

    with ThreadPoolExecutor(6) as pool:
        assert sorted(pool.map(ask, range(6))) == ["no"] * 5 + ["probe"]


def test_many_that_fail_at_once_are_one_outage(database_url):
    sessions = with_tables(database_url)

    def fail(_):
        with sessions.begin() as session:
            breakers.record_failure(session, "there", "away", "yes")

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(fail, range(6)))
    with sessions.begin() as session:
        assert session.scalar(select(func.sum(Breaker.failures))) == 1


def test_a_product_that_is_replaced_while_its_delivery_asks_whether_the_server_is_back_tells_so_all_the_same(
    shop, server, monkeypatch
):
    server.answers["all"] = 503
    shop.turn()
    shop.later(2000)
    server.answers.clear()
    deliver = delivery_work._deliver

    def replaced(assembly, product):
        away = deliver(assembly, product)
        with assembly.sessions.begin() as session:
            session.execute(delete(Delivery).where(Delivery.product_id == product.id))
        return away

    with monkeypatch.context() as patched:
        patched.setattr(delivery_work, "_deliver", replaced)
        assert shop.turn() == [NoOutcome.LEASE_LOST]
    assert [breaker.next_try for breaker in shop.rows(Breaker)] == [None]
    assert shop.turn() == [State.DONE] * 4
