"""The drift of the spectrograph in each frame, with what its sensors said."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_NUMBERS = (
    "mid_mjd", "velocity_ms", "velocity_err_ms", "shift_px", "shift_err_px", "stretch_px", "stretch_err_px",
    "turn_px", "turn_err_px", "bend_ms", "bend_err_ms", "pressure_psi", "temperature_c",
)  # fmt: skip


def upgrade():
    """Make the table."""
    op.create_table(
        "drifts",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("frame_id", sa.Integer(), nullable=False),
        sa.Column("n_lines", sa.Integer(), nullable=False),
        sa.Column("arc", sa.Text(), nullable=False),
        *(sa.Column(name, sa.Float(53), nullable=True) for name in _NUMBERS),
        sa.ForeignKeyConstraint(["frame_id"], ["frames.id"], name=op.f("fk_drifts_frame_id_frames")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_drifts")),
        sa.UniqueConstraint("frame_id", name=op.f("uq_drifts_frame_id")),
    )


def downgrade():
    """Drop it."""
    op.drop_table("drifts")
