"""Servers that are left alone while they serve nobody; how often a delivery was refused by itself."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade():
    """Make the table, and add the column."""
    op.create_table(
        "breakers",
        sa.Column("server", sa.Text(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("since", sa.DateTime(timezone=True)),
        sa.Column("next_try", sa.DateTime(timezone=True)),
        sa.Column("reason", sa.Text(), nullable=False, server_default=""),
        sa.PrimaryKeyConstraint("server", name=op.f("pk_breakers")),
    )
    with op.batch_alter_table("deliveries") as table:
        table.add_column(sa.Column("refusals", sa.Integer(), nullable=False, server_default="0"))


def downgrade():
    """Drop them."""
    with op.batch_alter_table("deliveries") as table:
        table.drop_column("refusals")
    op.drop_table("breakers")
