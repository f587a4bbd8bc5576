"""Run the migrations on the connection that nrespipe.database.administration.schema opens."""

from collections.abc import Collection, Mapping

from alembic import context
from alembic.runtime.migration import MigrationContext, MigrationInfo

from nrespipe.database.administration import schema
from nrespipe.database.tables import Row


def note(ctx: MigrationContext, step: MigrationInfo, heads: Collection[str], run_args: Mapping[str, object]) -> None:
    """Record which programs can work with the tables, in the transaction of the migration."""
    if ctx.connection is None:
        raise RuntimeError("the migration has no connection: it cannot be run offline")
    for revision in heads:
        schema.note(ctx.connection, revision)


connection = context.config.attributes["connection"]
is_sqlite = connection.dialect.name == "sqlite"
context.configure(
    connection=connection,
    target_metadata=Row.metadata,
    # SQLite cannot alter a table: batch mode makes a new one and copies
    render_as_batch=is_sqlite,
    transactional_ddl=True,
    # no lock of one migration is held while the next one waits for another
    transaction_per_migration=not is_sqlite,
    on_version_apply=note,
)
with context.begin_transaction():
    context.run_migrations()
