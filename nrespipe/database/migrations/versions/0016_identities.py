"""Positions of the stars that were identified."""

import sqlalchemy as sa
from alembic import op

from nrespipe.database.administration import migration_steps

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None
additive = True

_PLACED = ("velocities", "templates")


def upgrade():
    """Add the columns; what was measured before has no position."""
    for name in _PLACED:
        migration_steps.add_columns(name, *(sa.Column(column, sa.Float(53)) for column in ("ra_deg", "dec_deg")))


def downgrade():
    """Drop them."""
    for name in _PLACED:
        with op.batch_alter_table(name) as table:
            table.drop_column("ra_deg")
            table.drop_column("dec_deg")
