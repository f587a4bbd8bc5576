"""Errors of the database: whether they are temporary, and their messages without secrets."""

from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, TimeoutError


def is_temporary(error: BaseException) -> bool:
    """Return whether an error is one of the database, and not of the values that were to be written.

    Returns
    -------
    bool
        True for a server that is away, a deadlock, a lock that was not granted, a replica that takes nothing, a missing
        table, no connection left: the same may succeed later. False for a value that no database takes, and for any
        error that is not one of the database.
    """
    if isinstance(error, DBAPIError):
        return error.connection_invalidated or not isinstance(error, DataError | IntegrityError)
    # no connection became free
    return isinstance(error, TimeoutError)


def message(error: Exception) -> str:
    """Return the message of an error; without the statement of the database, whose values may be secret."""
    return str(getattr(error, "orig", None) or error).strip()
