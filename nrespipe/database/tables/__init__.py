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
    Stacking,
    StarVelocity,
    attempt_masters,
    master_inputs,
    master_parents,
)
from nrespipe.database.tables.service_rows import Breaker, Compatibility, NightSummary, Node, Reprocessing
from nrespipe.database.tables.star_rows import StarTemplate, ZeroPoint, ZeroPointVersion

__all__ = [
    "Attempt", "Breaker", "Compatibility", "Delivery", "Finding", "Frame", "FrameDrift", "Master", "NightSummary",
    "Node", "Product", "Reprocessing", "Row", "Stacking", "StarTemplate", "StarVelocity", "Work",
    "ZeroPoint", "ZeroPointVersion", "attempt_masters", "master_inputs", "master_parents",
]  # fmt: skip
