"""Zero points of nights, and the numbers that a master was judged by."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade():
    """Make the tables, and add the column; what earlier masters were judged by is known in words only."""
    op.create_table(
        "zero_point_versions",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("created", sa.DateTime(timezone=True), nullable=False),
        sa.Column("code_version", sa.Text(), nullable=False),
        sa.Column("parameters", sa.JSON(), nullable=False),
        sa.Column("n_velocities", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_zero_point_versions")),
    )
    op.create_table(
        "zero_points",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("version_id", sa.Integer(), nullable=False),
        sa.Column("instrument", sa.Text(), nullable=False),
        sa.Column("camera", sa.Text(), nullable=False),
        sa.Column("fiber", sa.Integer(), nullable=False),
        sa.Column("day", sa.Text(), nullable=False),
        sa.Column("value_ms", sa.Float(53), nullable=True),
        sa.Column("error_ms", sa.Float(53), nullable=True),
        sa.Column("n_stars", sa.Integer(), nullable=False),
        sa.Column("method", sa.Text(), nullable=False),
        sa.Column("stars", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(
            ["version_id"],
            ["zero_point_versions.id"],
            name=op.f("fk_zero_points_version_id_zero_point_versions"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_zero_points")),
        sa.UniqueConstraint(
            "version_id", "instrument", "camera", "fiber", "day",
            name=op.f("uq_zero_points_version_id_instrument_camera_fiber_day"),
        ),
    )  # fmt: skip
    with op.batch_alter_table("masters") as table:
        table.add_column(sa.Column("findings", sa.JSON(), nullable=True))


def downgrade():
    """Drop them."""
    with op.batch_alter_table("masters") as table:
        table.drop_column("findings")
    op.drop_table("zero_points")
    op.drop_table("zero_point_versions")
