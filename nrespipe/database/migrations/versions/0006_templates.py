"""Templates of stars, and what more is known of a velocity."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_NUMBERS = ("teff_k", "logg", "metallicity", "berv_range_ms", "start_mjd", "end_mjd")
_WORDS = ("star", "site", "instrument", "path", "fingerprint", "spectral_type", "first_day", "last_day", "code_version")
_OF_VELOCITY = (
    "transfer_err_ms", "fwhm_err_ms", "contrast_err", "bisector_err_ms", "template_rv_ms", "template_err_ms", "teff_k",
    "teff_err_k", "vsini_ms", "vsini_err_ms",
)  # fmt: skip


def upgrade():
    """Make the table, and add the columns."""
    op.create_table(
        "templates",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("md5", sa.String(32), nullable=False),
        sa.Column("aliases", sa.JSON(), nullable=False),
        sa.Column("inputs", sa.JSON(), nullable=False),
        sa.Column("standing", sa.String(16), nullable=False),
        sa.Column("created", sa.DateTime(timezone=True), nullable=False),
        *(sa.Column(name, sa.Text(), nullable=False) for name in _WORDS),
        *(sa.Column(name, sa.Float(53), nullable=True) for name in _NUMBERS),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_templates")),
    )
    op.create_index(op.f("ix_templates_star"), "templates", ["star"])
    with op.batch_alter_table("velocities") as table:
        for name in _OF_VELOCITY:
            table.add_column(sa.Column(name, sa.Float(53), nullable=True))
        for name in ("star", "template"):
            table.add_column(sa.Column(name, sa.Text(), nullable=False, server_default=""))
        table.add_column(sa.Column("activity", sa.JSON(), nullable=True))


def downgrade():
    """Drop them."""
    with op.batch_alter_table("velocities") as table:
        for name in ("activity", "template", "star", *reversed(_OF_VELOCITY)):
            table.drop_column(name)
    op.drop_index(op.f("ix_templates_star"), table_name="templates")
    op.drop_table("templates")
