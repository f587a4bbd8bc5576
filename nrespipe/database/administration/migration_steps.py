"""Steps of migrations on tables that may be large and in use: columns, indices, and rows in batches.

On PostgreSQL all but `add_columns` commits what the migration has done before: an interrupted migration is begun anew,
and what stands before such a call must be harmless when it is done twice.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.exc import PendingRollbackError

#: So many keys in a row are changed in one transaction.
BATCH = 5000


def add_columns(table: str, *columns: sa.Column[Any]) -> None:
    """Add columns to a table, those that it does not have yet.

    Parameters
    ----------
    table
        Name of the table.
    *columns
        Each may be null or has a default of the server: PostgreSQL then leaves the rows as they are.
    """
    if _is_sqlite():
        with op.batch_alter_table(table) as batch:
            for column in columns:
                batch.add_column(column)
        return
    for column in columns:
        op.add_column(table, column, if_not_exists=True)


def create_index(name: str, table: str, columns: Sequence[str], unique: bool = False, where: str = "") -> None:
    """Build an index while others read and write the table.

    Parameters
    ----------
    name, table
        Of the index, of the table.
    columns
        What it orders by.
    unique
        Whether no two rows may be equal in these columns.
    where
        Condition of the rows that it has, in SQL; all if not given.

    Notes
    -----
    A build that was interrupted leaves an index that is invalid: it is dropped and built anew.
    """
    condition = sa.text(where) if where else None
    if _is_sqlite():
        op.create_index(op.f(name), table, columns, unique=unique, sqlite_where=condition)
        return
    with _own_transactions():
        is_valid = op.get_bind().scalar(
            sa.text(
                "select indisvalid from pg_index join pg_class on pg_class.oid = indexrelid"
                " where relname = :name and relnamespace = current_schema()::regnamespace"
            ),
            {"name": name},
        )
        if is_valid:
            return
        if is_valid is not None:
            op.drop_index(op.f(name), table_name=table, postgresql_concurrently=True)
        op.create_index(
            op.f(name), table, columns, unique=unique, postgresql_concurrently=True, postgresql_where=condition
        )


def drop_index(name: str, table: str) -> None:
    """Drop an index while others read and write the table, if it is there.

    Parameters
    ----------
    name, table
        Of the index, of the table.
    """
    if _is_sqlite():
        op.drop_index(op.f(name), table_name=table, if_exists=True)
        return
    with _own_transactions():
        op.drop_index(op.f(name), table_name=table, if_exists=True, postgresql_concurrently=True)


def create_unique(name: str, table: str, columns: Sequence[str]) -> None:
    """Add a unique constraint to a table while others read and write it.

    Parameters
    ----------
    name, table
        Of the constraint, of the table.
    columns
        Columns of the constraint.
    """
    if _is_sqlite():
        with op.batch_alter_table(table) as batch:
            batch.create_unique_constraint(op.f(name), columns)
        return
    known = sa.text("select 1 from pg_constraint where conname = :name and conrelid = cast(:table as regclass)")
    if op.get_bind().scalar(known, {"name": name, "table": table}) is None:
        create_index(name, table, columns, unique=True)
        op.execute(f"alter table {table} add constraint {name} unique using index {name}")


def in_batches(table: str, work: Callable[[sa.Connection, int, int], object]) -> None:
    """Change the rows of a table in batches, each in a transaction of its own.

    Parameters
    ----------
    table
        Name of a table with a key ``id``.
    work
        ``work(connection, first, last)`` changes the rows with these keys, both included; doing it twice must give
        the same result.
    """
    key = sa.table(table, sa.column("id", sa.Integer)).c.id
    with nullcontext() if _is_sqlite() else _own_transactions():
        connection = op.get_bind()
        first = connection.scalar(sa.select(key).order_by(key).limit(1))
        last = connection.scalar(sa.select(key).order_by(key.desc()).limit(1))
        for begin in range(first or 0, (last or -1) + 1, BATCH):
            work(connection, begin, begin + BATCH - 1)


def _is_sqlite() -> bool:
    return op.get_context().dialect.name == "sqlite"


@contextmanager
def _own_transactions() -> Iterator[None]:
    """Let each statement be a transaction of its own."""
    try:
        with op.get_context().autocommit_block():
            yield
    except PendingRollbackError as error:
        # Alembic goes on to the next transaction even where the connection is lost: report the loss
        raise (error.__context__ or error) from None
