"""The error that all nights of a spectrograph share."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade():
    """Add it; in earlier velocities it is a part of the others."""
    with op.batch_alter_table("velocities") as table:
        table.add_column(sa.Column("scale_err_ms", sa.Float(53), nullable=True))


def downgrade():
    """Drop it."""
    with op.batch_alter_table("velocities") as table:
        table.drop_column("scale_err_ms")
