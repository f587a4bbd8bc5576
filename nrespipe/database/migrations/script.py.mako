"""${message}."""

import sqlalchemy as sa
from alembic import op
${imports if imports else ""}
revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}
branch_labels = None
depends_on = None
# True where programs of the revision before can go on with the tables: nothing that they know is gone or renamed, and
# what is new may be null or has a default of the server
additive = False


def upgrade():
    """Go to this revision."""
    ${upgrades if upgrades else "pass"}


def downgrade():
    """Go back to the one before."""
    ${downgrades if downgrades else "pass"}
