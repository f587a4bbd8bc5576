"""Where the products are to be delivered."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade():
    """Make the table."""
    op.create_table(
        "deliveries",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("product_id", sa.Integer(), nullable=False),
        sa.Column("delivered", sa.DateTime(timezone=True)),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=False, server_default=""),
        sa.Column("lease", sa.DateTime(timezone=True)),
        sa.Column("next_try", sa.DateTime(timezone=True)),
        sa.Column("sent", sa.DateTime(timezone=True)),
        sa.Column("tries", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("deaths", sa.Integer(), nullable=False, server_default="0"),
        sa.ForeignKeyConstraint(
            ["product_id"], ["products.id"], name=op.f("fk_deliveries_product_id_products"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_deliveries")),
        sa.UniqueConstraint("product_id", name=op.f("uq_deliveries_product_id")),
    )
    op.create_index(op.f("ix_deliveries_next_try"), "deliveries", ["next_try"])


def downgrade():
    """Drop it."""
    op.drop_index(op.f("ix_deliveries_next_try"), table_name="deliveries")
    op.drop_table("deliveries")
