"""Do the work of a row: claim it, call the function of its table, and leave it if it is taken away meanwhile."""

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import structlog

from nrespipe.database.tables import Delivery, Frame, NightSummary, ScheduledMaster, WorkTable
from nrespipe.service.outcome import NoOutcome, Outcome
from nrespipe.service.work import delivery_work, frame_work, leases, master_work

if TYPE_CHECKING:
    from nrespipe.service.assembly import Assembly

_log = structlog.get_logger(__name__)

#: Function that does the work of a row of each table, with its lease.
_WORK: dict[WorkTable, Callable[..., Outcome[object] | NoOutcome]] = {
    Frame: frame_work.reduce_frame,
    ScheduledMaster: master_work.make_master,
    NightSummary: delivery_work.send_summary,
    Delivery: delivery_work.deliver_product,
}


def execute(
    assembly: "Assembly", table: WorkTable, row_id: int, owner: str, tries_seen: int | None = None, **options: object
) -> Outcome[object] | NoOutcome:
    """Do the work of a row, if it is due and no other process does; runs in any process.

    Parameters
    ----------
    table, row_id, owner, tries_seen
        As for ``leases.claim``.
    **options
        For ``master_work.make_master``.

    Returns
    -------
    Outcome or NoOutcome
        As it was recorded, without its value; or why there is none.
    """
    lease = leases.claim(assembly, table, row_id, owner, tries_seen)
    if lease is None:
        return NoOutcome.NOT_DUE
    try:
        ended = _WORK[table](lease, **options)
    except leases.LeaseLost:
        _log.warning("row was taken away: another process does it", table=table.__tablename__, row=row_id)
        return NoOutcome.LEASE_LOST
    return ended if isinstance(ended, NoOutcome) else replace(ended, value=None)
