"""Products and summaries on their way out, from the moment they are taken until their outcome is written down."""

from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING

import structlog

from nrespipe.database import breakers, claims, frames
from nrespipe.database.dialects import clock
from nrespipe.database.states import State
from nrespipe.database.tables import Delivery, NightSummary
from nrespipe.errors import Unavailable
from nrespipe.files.exchange import deliveries
from nrespipe.service import limits, outcome
from nrespipe.service.ingest import patient_reader
from nrespipe.service.operations import night_summary
from nrespipe.service.work import leases

if TYPE_CHECKING:
    from nrespipe.service.assembly import Assembly
    from nrespipe.service.outcome import Outcome


def deliver_product(assembly: "Assembly", row_id: int, owner: str, seen: int | None = None) -> "Outcome | None":
    """Deliver a product, if it is due and nobody else does.

    Parameters
    ----------
    assembly, row_id, owner, seen
        As for ``leases.acquire``; a row of ``deliveries``.

    Returns
    -------
    Outcome or None
        What came of it, without its value; None where there was nothing to do, or another has done it.
    """
    mine = leases.acquire(assembly, Delivery, row_id, owner, seen)
    if mine is None:
        return None
    server = assembly.settings.ingest_to
    admitted = mine.write(partial(_admit, mine=mine, server=server))
    if admitted is None:
        return None
    product, how = admitted
    structlog.contextvars.bind_contextvars(product=product.path)
    result = outcome.attempt(_deliver, assembly, product)
    away, result = result.value, replace(result, value=None)
    if away is not None:
        result = replace(result, state=State.RETRY, reason=str(away))

    def record(session):
        is_ours = claims.confirm_owner(session, Delivery, row_id, owner)
        # also where the product was replaced meanwhile and this row is gone: all others ask for the server too
        if away is not None:
            breakers.record_failure(session, server, result.reason, how, away.pause_s)
        elif result.state is State.DONE:
            breakers.record_success(session, server)
        elif how == "probe":
            breakers.cancel_probe(session, server)
        if is_ours:
            row = session.get_one(Delivery, row_id, populate_existing=True)
            _record_delivery(session, row, result, is_away=away is not None)
        return is_ours

    return mine.ended(result, leases.persist(assembly.sessions, record, mine.end))


def send_summary(assembly: "Assembly", row_id: int, owner: str, seen: int | None = None) -> "Outcome | None":
    """Write the summary of a night and mail it, if it is due and nobody else does.

    Parameters
    ----------
    assembly, row_id, owner, seen
        As for ``leases.acquire``; a row of ``summaries``.

    Returns
    -------
    Outcome or None
        What came of it, without its value; None where there was nothing to do, or another has done it.
    """
    mine = leases.acquire(assembly, NightSummary, row_id, owner, seen)
    if mine is None:
        return None
    row = mine.row
    structlog.contextvars.bind_contextvars(site=row.site, day=row.day)
    result = outcome.attempt(night_summary.make, assembly, row.site, row.day, row.written is not None)
    is_written, told = result.state is State.DONE, result.value
    if isinstance(told, Unavailable):
        result = replace(result, state=State.RETRY, reason=str(told))
    return mine.ended(result, mine.write(partial(_record_summary, result=result, is_written=is_written)))


def _admit(session, row, mine, server):
    """Return the product and how the server may be asked; None where it serves nobody at the moment."""
    lease_s = limits.of(mine.assembly.settings, mine.assembly.pace).lease_s
    admitted = breakers.request_permission(session, server, lease_s)
    if admitted == "no":
        # its turn comes when the server is back; the sweep tells of it then
        claims.give_back(session, Delivery, row.id, mine.owner)
        return None
    return row.product, admitted


def _deliver(assembly, product):
    """Deliver a product; return the error that says that nothing can be delivered now, if there is one."""
    given, longest_s = assembly.settings, limits.of(assembly.settings, assembly.pace).deliver_s
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


def _in_time(deliver, path, longest_s) -> None:
    """Deliver into a directory; a disk that does not answer is no fault of the product, and holds up nobody."""
    try:
        ended = patient_reader.call(lambda _: _error_of(deliver), path, longest_s)
    except Unavailable as error:
        raise deliveries.ServerAway(str(error)) from error
    if ended is not None:
        raise ended


def _error_of(work):
    try:
        work()
    except Exception as error:
        return error
    return None


def _record_delivery(session, row, result, is_away):
    row.owner, row.lease, row.reason, row.next_try = "", None, result.reason, None
    row.tries += 1
    # an outage is no refusal, however long it takes
    row.refusals += result.state is not State.DONE and not is_away
    if result.state is State.DONE:
        row.delivered = clock(session)
    elif result.state is State.RETRY and row.refusals < frames.MOST_RETRIES:
        # also where the server is away: should this product be the cause, another finds out that it is not
        row.next_try = clock(session) + timedelta(seconds=frames.pause_s(row.tries))


def _record_summary(session, row, result, is_written):
    moment = clock(session)
    row.owner, row.lease, row.next_try, row.reason = "", None, None, result.reason
    row.tries += 1
    if is_written:
        row.written = row.written or moment
    if result.state is State.DONE:
        row.mailed, row.reason = (moment, result.value) if result.value is not None else (None, "")
    elif result.state is State.RETRY and row.day >= night_summary.first_recent_night(moment):
        row.next_try = moment + timedelta(seconds=frames.pause_s(row.tries))
    return True
