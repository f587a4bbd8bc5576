"""Deliver products and send summaries: do the work, record the outcome."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import structlog
from sqlalchemy.orm import Session

from nrespipe.database import breakers
from nrespipe.database.dialects import clock
from nrespipe.database.states import State
from nrespipe.database.tables import Delivery, NightSummary, Product
from nrespipe.database.work import attempts, claims
from nrespipe.errors import Unavailable
from nrespipe.files import timed_read
from nrespipe.files.exchange import deliveries
from nrespipe.service import outcome
from nrespipe.service.operations import night_summary
from nrespipe.service.outcome import NoOutcome, Outcome
from nrespipe.service.work.leases import Lease, LeaseLost

if TYPE_CHECKING:
    from nrespipe.service.assembly import Assembly


def deliver_product(lease: Lease[Delivery]) -> Outcome[object] | NoOutcome:
    """Deliver the product that this process has claimed.

    Raises
    ------
    LeaseLost
        If the row was taken away.
    """
    assembly = lease.assembly
    server = assembly.settings.ingest_to
    admitted = lease.write(partial(_admit, lease=lease, server=server))
    if isinstance(admitted, NoOutcome):
        return admitted
    product, admitted_as = admitted
    structlog.contextvars.bind_contextvars(product=product.path)
    ended = outcome.run(_deliver, assembly, product)
    away = ended.value
    if away is not None:
        ended = replace(ended, state=State.RETRY, reason=str(away))

    def record(session: Session) -> bool:
        is_ours = claims.confirm_owner(session, Delivery, lease.row.id, lease.owner)
        # also where the product was replaced meanwhile and this row is gone: all others wait for the server too
        if away is not None:
            breakers.record_failure(session, server, ended.reason, admitted_as, away.pause_s)
        elif ended.state is State.DONE:
            breakers.record_success(session, server)
        elif admitted_as == "probe":
            breakers.cancel_probe(session, server)
        if is_ours:
            row = session.get_one(Delivery, lease.row.id, populate_existing=True)
            _record_delivery(session, row, ended, is_away=away is not None)
        return is_ours

    lease.log_defect(ended)
    if not lease.ask(record):
        raise LeaseLost
    return ended


def send_summary(lease: Lease[NightSummary]) -> Outcome[object] | NoOutcome:
    """Write the summary of the night that this process has claimed, and mail it.

    Raises
    ------
    LeaseLost
        If the row was taken away.
    """
    row = lease.row
    structlog.contextvars.bind_contextvars(site=row.site, day=row.day)
    ended = outcome.run(night_summary.make, lease.assembly, row.site, row.day, row.written is not None)
    is_written = ended.state is State.DONE
    if isinstance(ended.value, Unavailable):
        ended = replace(ended, state=State.RETRY, reason=str(ended.value))
    return lease.finish(ended, partial(_record_summary, ended=ended, is_written=is_written))


def _admit(
    session: Session, row: Delivery, lease: Lease[Delivery], server: str
) -> tuple[Product, Literal["yes", "probe"]] | NoOutcome:
    """Return the product and how the server may be used; give the row back where it takes nothing at the moment."""
    lease_s = lease.assembly.limits.lease_s
    admitted = breakers.request_permission(session, server, lease_s)
    if admitted == "no":
        # its turn comes when the server is back; the sweep notifies a worker then
        claims.give_back(session, Delivery, row.id, lease.owner)
        return NoOutcome.SERVER_AWAY
    return row.product, admitted


def _deliver(assembly: "Assembly", product: Product) -> deliveries.ServerAway | None:
    """Deliver a product; return the error of a server that takes nothing now, if there is one."""
    given, longest_s = assembly.settings, assembly.limits.deliver_s
    deliver = partial(
        deliveries.deliver, product.path, product.md5, assembly.output, given.ingest_to,
        token=given.auth_token.get_secret_value(), allow_http=given.allow_http, longest_s=longest_s,
    )  # fmt: skip
    try:
        folder = deliveries.folder(given.ingest_to)
        if folder is None:
            deliver()
        else:
            _in_time(deliver, folder / product.path, longest_s)
    except deliveries.ServerAway as away:
        return away
    return None


def _in_time(deliver: Callable[[], object], path: Path, longest_s: float) -> None:
    """Deliver into a directory; a disk that does not answer is no fault of the product, and delays nothing else."""
    try:
        failure = timed_read.call(lambda _: _error_of(deliver), path, longest_s)
    except Unavailable as error:
        raise deliveries.ServerAway(str(error)) from error
    if failure is not None:
        raise failure


def _error_of(work: Callable[[], object]) -> Exception | None:
    try:
        work()
    except Exception as error:
        return error
    return None


def _record_delivery(session: Session, row: Delivery, ended: Outcome[object], is_away: bool) -> None:
    row.owner, row.lease, row.reason, row.next_try = "", None, ended.reason, None
    row.tries += 1
    # an outage is no refusal, however long it takes
    row.refusals += ended.state is not State.DONE and not is_away
    if ended.state is State.DONE:
        row.delivered = clock(session)
    elif ended.state is State.RETRY and row.refusals < attempts.MOST_RETRIES:
        # also where the server is away: should this product be the cause, another finds out that it is not
        row.next_try = clock(session) + timedelta(seconds=attempts.pause_s(row.tries))


def _record_summary(
    session: Session, row: NightSummary, ended: Outcome[str | Unavailable | None], is_written: bool
) -> None:
    moment = clock(session)
    row.owner, row.lease, row.next_try, row.reason = "", None, None, ended.reason
    row.tries += 1
    if is_written:
        row.written = row.written or moment
    if ended.state is State.DONE:
        row.mailed, row.reason = (moment, ended.value) if isinstance(ended.value, str) else (None, "")
    elif ended.state is State.RETRY and row.day >= night_summary.first_recent_night(moment):
        row.next_try = moment + timedelta(seconds=attempts.pause_s(row.tries))
