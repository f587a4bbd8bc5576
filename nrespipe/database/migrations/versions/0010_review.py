"""Masters that need review are used; what was made with what, and what is to be done again when there is time."""

import json

import sqlalchemy as sa
from alembic import op

from nrespipe.database.administration import migration_steps

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

_WORDS = {"held": "needs review", "bad": "rejected"}


def upgrade():
    """Rename the words, make the table, and add the columns."""
    _rename(_WORDS)
    op.create_table(
        "master_parents",
        sa.Column("master_id", sa.Integer(), nullable=False),
        sa.Column("parent_id", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["master_id"], ["masters.id"], name=op.f("fk_master_parents_master_id_masters"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["parent_id"], ["masters.id"], name=op.f("fk_master_parents_parent_id_masters"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("master_id", "parent_id", name=op.f("pk_master_parents")),
    )
    op.create_index(op.f("ix_master_parents_parent_id"), "master_parents", ["parent_id"])
    with op.batch_alter_table("frames") as table:
        table.add_column(sa.Column("low_priority", sa.Boolean(), nullable=False, server_default=sa.false()))
    with op.batch_alter_table("masters") as table:
        table.add_column(sa.Column("outdated", sa.Boolean(), nullable=False, server_default=sa.false()))


def downgrade():
    """Put the old words back, and drop the rest."""
    _rename({new: old for old, new in _WORDS.items()})
    with op.batch_alter_table("masters") as table:
        table.drop_column("outdated")
    with op.batch_alter_table("frames") as table:
        table.drop_column("low_priority")
    op.drop_index(op.f("ix_master_parents_parent_id"), table_name="master_parents")
    op.drop_table("master_parents")


def _rename(words):
    masters = sa.table("masters", sa.column("id"), sa.column("standing"), sa.column("findings", sa.JSON()))

    def rename(connection, first, last):
        these = masters.c.id.between(first, last)
        for old, new in words.items():
            connection.execute(sa.update(masters).where(masters.c.standing == old, these).values(standing=new))
        for row_id, findings in connection.execute(sa.select(masters.c.id, masters.c.findings).where(these)).all():
            said = [{**each, "verdict": words.get(each["verdict"], each["verdict"])} for each in findings or ()]
            if json.dumps(said) != json.dumps(findings or []):
                connection.execute(sa.update(masters).where(masters.c.id == row_id).values(findings=said))

    # first of all: an interrupted migration is begun anew, and this may be done twice
    migration_steps.in_batches("masters", rename)
