"""Run the migrations on the connection that nrespipe.database.connection.upgrade hands over."""

from alembic import context

from nrespipe.database.tables import Row

connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=Row.metadata,
    # SQLite cannot alter a table: batch mode makes a new one and copies
    render_as_batch=connection.dialect.name == "sqlite",
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
