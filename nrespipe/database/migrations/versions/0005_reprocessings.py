"""Requests of people to reduce frames again."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade():
    """Make the table."""
    op.create_table(
        "reprocessings",
        sa.Column("id", sa.Integer(), nullable=False),
        *(
            sa.Column(name, sa.Text(), nullable=False)
            for name in ("site", "first_day", "last_day", "why", "code_version")
        ),
        sa.Column("kinds", sa.JSON(), nullable=False),
        sa.Column("begun", sa.DateTime(timezone=True), nullable=False),
        sa.Column("finished", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_reprocessings")),
    )


def downgrade():
    """Drop it."""
    op.drop_table("reprocessings")
