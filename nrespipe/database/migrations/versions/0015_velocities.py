"""Velocities at the time of observation, second stars, and room for more than 31 quality flags."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None
additive = True

_NUMBERS = ("perspective_ms", "second_rv_ms", "second_contrast")
_FLAGGED = ("frames", "masters", "velocities")


def upgrade():
    """Add them; velocities that were measured before have none."""
    with op.batch_alter_table("velocities") as table:
        for name in _NUMBERS:
            table.add_column(sa.Column(name, sa.Float(53), nullable=True))
    for name in _FLAGGED:
        with op.batch_alter_table(name) as table:
            table.alter_column("quality", existing_type=sa.Integer(), type_=sa.BigInteger(), existing_nullable=False)


def downgrade():
    """Drop them, and the flags for which there is no room."""
    for name in _FLAGGED:
        op.execute(sa.text(f"UPDATE {name} SET quality = quality & 2147483647"))
        with op.batch_alter_table(name) as table:
            table.alter_column("quality", existing_type=sa.BigInteger(), type_=sa.Integer(), existing_nullable=False)
    with op.batch_alter_table("velocities") as table:
        for name in reversed(_NUMBERS):
            table.drop_column(name)
