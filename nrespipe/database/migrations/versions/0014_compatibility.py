"""Which programs can work with the tables."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None
additive = True


def upgrade():
    """Make the table, which every migration fills from now on; a frame that was never tried needs no number."""
    op.create_table(
        "compatibility",
        sa.Column("revision", sa.String(32), nullable=False),
        sa.Column("oldest_program", sa.String(32), nullable=False),
        sa.PrimaryKeyConstraint("revision", name=op.f("pk_compatibility")),
    )
    with op.batch_alter_table("frames") as table:
        table.alter_column("tries", existing_type=sa.Integer(), existing_nullable=False, server_default="0")


def downgrade():
    """Drop it."""
    with op.batch_alter_table("frames") as table:
        table.alter_column("tries", existing_type=sa.Integer(), existing_nullable=False, server_default=None)
    op.drop_table("compatibility")
