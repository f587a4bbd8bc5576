"""The four ways in which work on a frame can end without a product.

The engine and the file readers raise them; only ``service.outcome`` knows what follows from each.
"""


class Skipped(Exception):
    """The file is not one to reduce (a guider frame, another camera, a frame that is already reduced)."""


class BadFrame(Exception):
    """The frame can never be reduced; the message names the defect in words a person understands."""


class MissingCalibration(Exception):
    """A master that the recipe needs does not exist yet; the frame waits for it."""


class Unavailable(Exception):
    """Something outside the frame failed (a disk, a server); the same work may succeed later."""
