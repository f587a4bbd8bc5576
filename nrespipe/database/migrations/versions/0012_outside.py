"""Servers that are left alone while they serve nobody, refusals of deliveries, summaries as rows of work."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None
additive = True


def upgrade():
    """Make the tables, and add the column."""
    op.create_table(
        "breakers",
        sa.Column("server", sa.Text(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("since", sa.DateTime(timezone=True)),
        sa.Column("next_try", sa.DateTime(timezone=True)),
        sa.Column("reason", sa.Text(), nullable=False, server_default=""),
        sa.PrimaryKeyConstraint("server", name=op.f("pk_breakers")),
    )
    op.create_table(
        "summaries",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("site", sa.Text(), nullable=False),
        sa.Column("day", sa.Text(), nullable=False),
        sa.Column("written", sa.DateTime(timezone=True)),
        sa.Column("mailed", sa.DateTime(timezone=True)),
        sa.Column("reason", sa.Text(), nullable=False, server_default=""),
        sa.Column("owner", sa.Text(), nullable=False, server_default=""),
        sa.Column("lease", sa.DateTime(timezone=True)),
        sa.Column("next_try", sa.DateTime(timezone=True)),
        sa.Column("sent", sa.DateTime(timezone=True)),
        sa.Column("tries", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("deaths", sa.Integer(), nullable=False, server_default="0"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_summaries")),
        sa.UniqueConstraint("site", "day", name="uq_summaries_night"),
    )
    op.create_index(op.f("ix_summaries_next_try"), "summaries", ["next_try"])
    with op.batch_alter_table("deliveries") as table:
        table.add_column(sa.Column("refusals", sa.Integer(), nullable=False, server_default="0"))


def downgrade():
    """Drop them."""
    with op.batch_alter_table("deliveries") as table:
        table.drop_column("refusals")
    op.drop_index(op.f("ix_summaries_next_try"), table_name="summaries")
    op.drop_table("summaries")
    op.drop_table("breakers")
