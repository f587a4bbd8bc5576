"""Rows as work: who has a frame, until when, when its turn comes; and the masters that are scheduled."""

import sqlalchemy as sa
from alembic import op

from nrespipe.database.administration import migration_steps

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade():
    """Add the columns and the table; what was unfinished is due."""
    # an interrupted migration is begun anew: all of it may have been done before
    migration_steps.add_columns("frames", *_work(), *_arrival())
    op.create_table(
        "stackings",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        *(sa.Column(name, sa.Text(), nullable=False) for name in _PLACE),
        *_work(),
        sa.Column("tries", sa.Integer(), nullable=False, server_default="0"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_stackings")),
        sa.UniqueConstraint("kind", *_PLACE, name=op.f("uq_stackings_kind_site_instrument_camera_binning_day")),
        if_not_exists=True,
    )
    op.create_index(op.f("ix_stackings_next_try"), "stackings", ["next_try"], if_not_exists=True)
    migration_steps.in_batches("frames", _make_due)
    migration_steps.create_index("ix_frames_next_try", "frames", ["next_try"])
    migration_steps.create_unique("uq_frames_filename_version", "frames", ["filename", "version"])


def _make_due(connection, first, last):
    these = sa.text("update frames set state = 'queued' where state = 'new' and id between :first and :last")
    connection.execute(these, {"first": first, "last": last})
    due = sa.text(
        "update frames set next_try = created"
        " where state in ('queued', 'waiting', 'retry') and id between :first and :last"
    )
    connection.execute(due, {"first": first, "last": last})


def downgrade():
    """Take them away again; frames that were being worked on are new."""
    op.drop_index(op.f("ix_stackings_next_try"), table_name="stackings")
    op.drop_table("stackings")
    op.execute("update frames set state = 'new' where state in ('queued', 'running')")
    with op.batch_alter_table("frames") as batch:
        batch.drop_index(op.f("ix_frames_next_try"))
        batch.drop_constraint(op.f("uq_frames_filename_version"), type_="unique")
        for column in (*_work(), *_arrival()):
            batch.drop_column(column.name)


_PLACE = ("site", "instrument", "camera", "binning", "day")


def _work():
    """Return the columns of a row that is work; frames have had ``tries`` before."""
    return (
        sa.Column("owner", sa.Text(), nullable=False, server_default=""),
        sa.Column("lease", sa.DateTime(timezone=True)),
        sa.Column("next_try", sa.DateTime(timezone=True)),
        sa.Column("sent", sa.DateTime(timezone=True)),
        sa.Column("deaths", sa.Integer(), nullable=False, server_default="0"),
    )


def _arrival():
    return (
        sa.Column("archive_id", sa.BigInteger()),
        sa.Column("body", sa.Text(), nullable=False, server_default=""),
        sa.Column("retries", sa.Integer(), nullable=False, server_default="0"),
    )
