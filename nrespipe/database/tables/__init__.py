"""The tables. The row of a frame is the truth about it; everything else can be made again from the raw files."""

from nrespipe.database.tables.base import Row, Work
from nrespipe.database.tables.frame_rows import (
    Attempt,
    Delivery,
    Finding,
    Frame,
    FrameDrift,
    Master,
    Product,
    ScheduledMaster,
    StarVelocity,
    attempt_masters,
    master_inputs,
    master_parents,
)
from nrespipe.database.tables.service_rows import Breaker, Compatibility, NightSummary, Node, Reprocessing
from nrespipe.database.tables.star_rows import StarTemplate, ZeroPoint, ZeroPointVersion

#: A table whose rows are work for one process at a time; and all of them.
WorkTable = type[Frame] | type[ScheduledMaster] | type[Delivery] | type[NightSummary]
WORK_TABLES: tuple[WorkTable, ...] = (Frame, ScheduledMaster, Delivery, NightSummary)

__all__ = [
    "WORK_TABLES", "Attempt", "Breaker", "Compatibility", "Delivery", "Finding", "Frame", "FrameDrift", "Master",
    "NightSummary", "Node", "Product", "Reprocessing", "Row", "ScheduledMaster", "StarTemplate", "StarVelocity", "Work",
    "WorkTable", "ZeroPoint", "ZeroPointVersion", "attempt_masters", "master_inputs", "master_parents",
]  # fmt: skip
