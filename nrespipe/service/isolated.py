"""Work that must not stop anything else, whatever becomes of it."""

from collections.abc import Callable
from typing import Any

import structlog

from nrespipe.database.administration import failures

_log = structlog.get_logger(__name__)


def do(what: str, work: Callable[..., Any], *arguments: object) -> object:
    """Do something; whatever it raises is logged, and the caller goes on.

    Parameters
    ----------
    what
        Its name, for the log.
    work
        What to do.
    *arguments
        What to do it with.

    Returns
    -------
    object
        What the work returned; None where it failed.
    """
    try:
        return work(*arguments)
    except Exception as error:
        if failures.is_temporary(error):
            _log.warning("database away", job=what, reason=failures.message(error))
        else:
            _log.exception("job failed", job=what)
        return None
