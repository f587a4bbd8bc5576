"""Whether a database is what this program takes it for, and not damaged."""

from sqlalchemy import Engine, text

from nrespipe.database.administration import schema
from nrespipe.database.tables import Row

#: So many defects of one kind are told.
_MOST = 20


def defects(engine: Engine) -> dict[str, list[str]]:
    """Look for what is wrong with a database; nothing is changed.

    Parameters
    ----------
    engine
        The database, opened to read.

    Returns
    -------
    dict of str to list of str
        What was looked at, and what is wrong with it; nothing where all is well.
    """
    with engine.connect() as connection:
        found = {"revision": _revision(connection)}
        if not found["revision"]:
            # of a later revision this program does not know the tables
            is_own = schema.read(connection).revision == schema.known()[-1]
            found["tables"] = _differences(connection) if is_own else []
        parts = _SQLITE if engine.dialect.name == "sqlite" else _POSTGRESQL
        return found | {name: look(connection)[:_MOST] for name, look in parts.items()}


def _revision(connection):
    try:
        schema.require_of(connection)
    except schema.WrongRevision as error:
        return [str(error)]
    return []


def _differences(connection):
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    return [str(told) for told in compare_metadata(MigrationContext.configure(connection), Row.metadata)]


def _integrity(connection):
    return [told for (told,) in connection.exec_driver_sql(f"PRAGMA integrity_check({_MOST})") if told != "ok"]


def _orphans(connection):
    counts = sorted(schema.orphans(connection).items())
    return [
        f"{count} rows of {child} refer to rows of {parent} that are not there" for (child, parent), count in counts
    ]


def _invalid_indices(connection):
    query = text(
        "select relname from pg_index join pg_class on pg_class.oid = indexrelid"
        " where not indisvalid and relnamespace = current_schema()::regnamespace order by relname"
    )
    return [f"{name} is invalid: its build was interrupted" for name in connection.scalars(query)]


def _unchecked_constraints(connection):
    query = text(
        "select conname from pg_constraint where not convalidated"
        " and connamespace = current_schema()::regnamespace order by conname"
    )
    return [f"{name} was never checked" for name in connection.scalars(query)]


_SQLITE = {"file": _integrity, "foreign keys": _orphans}
_POSTGRESQL = {"indices": _invalid_indices, "constraints": _unchecked_constraints}
