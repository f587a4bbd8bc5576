"""Indices of the few rows that are open, of nights and times; velocities by the key of the name of their star."""

import sqlalchemy as sa
from alembic import op

from nrespipe.database.administration import migration_steps
from nrespipe.frames.star import name_key

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None
additive = True

_KEYS = ("object_key", "star_key")
_OPEN = "next_try is not null"
_WORK = ("frames", "stackings", "deliveries", "summaries")
_NEW = (
    *((f"ix_{table}_due", table, ["next_try"], _OPEN) for table in _WORK),
    *((f"ix_{table}_sent", table, ["sent"], _OPEN) for table in _WORK),
    *((f"ix_{table}_owner", table, ["owner"], "owner <> ''") for table in _WORK),
    ("ix_frames_open", "frames", ["state"], "state <> 'done'"),
    ("ix_frames_newer", "frames", ["filename", "version"], "version > 1"),
    ("ix_frames_day_site", "frames", ["day", "site"], ""),
    ("ix_frames_instrument_start_mjd", "frames", ["instrument", "start_mjd"], ""),
    ("ix_deliveries_undelivered", "deliveries", ["next_try"], "delivered is null"),
    ("ix_attempts_finished_outcome", "attempts", ["finished", "outcome"], ""),
    ("ix_masters_instrument_kind_mean_mjd", "masters", ["instrument", "kind", "mean_mjd"], ""),
    ("ix_masters_day_instrument", "masters", ["day", "instrument"], ""),
    ("ix_masters_standing_day", "masters", ["standing", "day"], ""),
    ("ix_masters_created", "masters", ["created"], ""),
    ("ix_masters_path", "masters", ["path"], ""),
    ("ix_masters_outdated_kind", "masters", ["outdated", "kind"], ""),
    ("ix_stackings_day", "stackings", ["day"], ""),
    ("ix_velocities_object_key", "velocities", ["object_key"], ""),
    ("ix_velocities_star_key", "velocities", ["star_key"], ""),
)
_OLD = (
    *((f"ix_{table}_next_try", table, ["next_try"]) for table in _WORK),
    ("ix_frames_state", "frames", ["state"]),
    (
        "ix_masters_kind_instrument_camera_binning_standing",
        "masters",
        ["kind", "instrument", "camera", "binning", "standing"],
    ),
)


def upgrade():
    """Add the column and fill it; build the new indices before the old ones go."""
    keys = (sa.Column(name, sa.Text(), nullable=False, server_default="") for name in _KEYS)
    migration_steps.add_columns("velocities", *keys)
    migration_steps.in_batches("velocities", _fill)
    for name, table, columns, where in _NEW:
        migration_steps.create_index(name, table, columns, where=where)
    for name, table, _ in _OLD:
        migration_steps.drop_index(name, table)


def downgrade():
    """Build the old indices, and drop the new ones and the column."""
    for name, table, columns in _OLD:
        migration_steps.create_index(name, table, columns)
    for name, table, *_ in _NEW:
        migration_steps.drop_index(name, table)
    with op.batch_alter_table("velocities") as table:
        for name in reversed(_KEYS):
            table.drop_column(name)


def _fill(connection, first, last):
    names = ("id", "object", "star", *_KEYS)
    velocities = sa.table("velocities", *(sa.column(name) for name in names))
    rows = sa.select(*(velocities.c[name] for name in names[:3])).where(velocities.c.id.between(first, last))
    keys = [
        {"number": number, "of_object": name_key(name), "of_star": name_key(star or name)}
        for number, name, star in connection.execute(rows)
    ]
    if keys:
        keyed = sa.update(velocities).where(velocities.c.id == sa.bindparam("number"))
        values = {"object_key": sa.bindparam("of_object"), "star_key": sa.bindparam("of_star")}
        connection.execute(keyed.values(values), keys)
