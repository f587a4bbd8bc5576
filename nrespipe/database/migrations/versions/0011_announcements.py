"""A version begins when the content of a file is known; before that the row is an announcement, which hides nothing."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None
# an earlier program takes every row for a version
additive = False


def upgrade():
    """Let rows have no version and no checksum; those that nobody could read lose theirs, and what they hid is back."""
    with op.batch_alter_table("frames") as table:
        table.alter_column("version", existing_type=sa.Integer(), nullable=True)
        table.alter_column("md5", existing_type=sa.String(32), nullable=True)
    op.execute("update frames set md5 = null where md5 = ''")
    op.execute(
        "update frames set version = null"
        " where md5 is null or (start_mjd is null and state not in ('bad', 'skipped', 'done'))"
    )
    op.execute(
        "update frames set state = 'queued', reason = '', next_try = updated"
        " where state = 'skipped' and reason like 'replaced by version %'"
        " and not exists (select 1 from frames as newer"
        " where newer.filename = frames.filename and newer.version > frames.version)"
    )


def downgrade():
    """Number the announcements, the last version of their files; of several without a checksum the last is kept."""
    unread = "select max(id) from frames where md5 is null group by filename"
    gone = f"select id from frames where md5 is null and id not in ({unread})"
    op.execute(f"delete from attempt_masters where attempt_id in (select id from attempts where frame_id in ({gone}))")
    op.execute(f"delete from attempts where frame_id in ({gone})")
    op.execute(f"delete from frames where id in (select id from ({gone}) as rows_gone)")
    op.execute("update frames set md5 = '' where md5 is null")
    frames = sa.table("frames", sa.column("id"), sa.column("filename"), sa.column("version"))
    connection = op.get_bind()
    for row_id, name in connection.execute(
        sa.select(frames.c.id, frames.c.filename).where(frames.c.version.is_(None)).order_by(frames.c.id)
    ).all():
        newest = sa.select(sa.func.max(frames.c.version)).where(frames.c.filename == name)
        version = (connection.scalar(newest) or 0) + 1
        connection.execute(sa.update(frames).where(frames.c.id == row_id).values(version=version))
    with op.batch_alter_table("frames") as table:
        table.alter_column("md5", existing_type=sa.String(32), nullable=False)
        table.alter_column("version", existing_type=sa.Integer(), nullable=False)
