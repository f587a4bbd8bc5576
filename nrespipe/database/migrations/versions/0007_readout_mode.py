"""The read-out mode of frames and masters."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_TABLES = ("frames", "masters", "stackings")
_PLACE = ("kind", "site", "instrument", "camera", "binning")
_EARLIER = "uq_stackings_kind_site_instrument_camera_binning_day"


def upgrade():
    """Add it; of what is there already it is not known."""
    for name in _TABLES:
        with op.batch_alter_table(name) as batch:
            batch.add_column(sa.Column("readout_mode", sa.Text(), nullable=False, server_default=""))
    with op.batch_alter_table("stackings") as batch:
        batch.drop_constraint(op.f(_EARLIER), type_="unique")
        batch.create_unique_constraint(op.f("uq_stackings_night"), [*_PLACE, "readout_mode", "day"])


def downgrade():
    """Drop it; of masters that are scheduled in several modes one stays, and the others are scheduled again."""
    place = ", ".join((*_PLACE, "day"))
    op.execute(f"delete from stackings where id not in (select min(id) from stackings group by {place})")
    with op.batch_alter_table("stackings") as batch:
        batch.drop_constraint(op.f("uq_stackings_night"), type_="unique")
        batch.create_unique_constraint(op.f(_EARLIER), [*_PLACE, "day"])
    for name in _TABLES:
        with op.batch_alter_table(name) as batch:
            batch.drop_column("readout_mode")
