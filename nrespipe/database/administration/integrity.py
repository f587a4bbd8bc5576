"""Checks that a database is not damaged and has the tables that this program expects."""

from sqlalchemy import Connection, Engine, text

from nrespipe.database.administration import schema
from nrespipe.database.tables import Row

#: Largest number of defects of one kind that are listed.
_MOST = 20


def defects(engine: Engine) -> dict[str, list[str]]:
    """Return the defects of a database; nothing is changed.

    Parameters
    ----------
    engine
        The database, opened to read.

    Returns
    -------
    dict of str to list of str
        Name of each check, and the defects that it found.
    """
    with engine.connect() as connection:
        found = {"revision": _revision(connection)}
        if not found["revision"]:
            # of a later revision this program does not know the tables
            is_own = schema.read(connection).revision == schema.known()[-1]
            found["tables"] = _differences(connection) if is_own else []
        parts = _SQLITE if engine.dialect.name == "sqlite" else _POSTGRESQL
        return found | {name: look(connection)[:_MOST] for name, look in parts.items()}


def _revision(connection: Connection) -> list[str]:
    try:
        schema.require_of(connection)
    except schema.WrongRevision as error:
        return [str(error)]
    return []


def _differences(connection: Connection) -> list[str]:
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    return [str(difference) for difference in compare_metadata(MigrationContext.configure(connection), Row.metadata)]


def _integrity(connection: Connection) -> list[str]:
    return [
        str(defect) for (defect,) in connection.exec_driver_sql(f"PRAGMA integrity_check({_MOST})") if defect != "ok"
    ]


def _orphans(connection: Connection) -> list[str]:
    counts = sorted(schema.orphans(connection).items())
    return [
        f"{count} rows of {child} refer to rows of {parent} that are not there" for (child, parent), count in counts
    ]


def _invalid_indices(connection: Connection) -> list[str]:
    query = text(
        "select relname from pg_index join pg_class on pg_class.oid = indexrelid"
        " where not indisvalid and relnamespace = current_schema()::regnamespace order by relname"
    )
    return [f"{name} is invalid: its build was interrupted" for name in connection.scalars(query)]


def _unchecked_constraints(connection: Connection) -> list[str]:
    query = text(
        "select conname from pg_constraint where not convalidated"
        " and connamespace = current_schema()::regnamespace order by conname"
    )
    return [f"{name} was never checked" for name in connection.scalars(query)]


_SQLITE = {"file": _integrity, "foreign keys": _orphans}
_POSTGRESQL = {"indices": _invalid_indices, "constraints": _unchecked_constraints}
