"""The first tables: frames, attempts, masters with their inputs, products, velocities."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade():
    """Make the tables, each after those that it refers to."""
    _frames()
    _masters()
    _attempts()
    _master_inputs()
    _velocities()
    _attempt_masters()
    _products()


def downgrade():
    """Drop them, and all that is in them."""
    op.drop_index(op.f("ix_products_frame_id"), table_name="products")
    op.drop_index(op.f("ix_products_attempt_id"), table_name="products")
    op.drop_table("products")
    op.drop_index(op.f("ix_attempt_masters_master_id"), table_name="attempt_masters")
    op.drop_table("attempt_masters")
    op.drop_index(op.f("ix_velocities_object"), table_name="velocities")
    op.drop_table("velocities")
    op.drop_index(op.f("ix_master_inputs_frame_id"), table_name="master_inputs")
    op.drop_table("master_inputs")
    op.drop_index(op.f("ix_attempts_frame_id"), table_name="attempts")
    op.drop_table("attempts")
    op.drop_index(op.f("ix_masters_kind_instrument_camera_binning_standing"), table_name="masters")
    op.drop_table("masters")
    op.drop_index(op.f("ix_frames_state"), table_name="frames")
    op.drop_index(op.f("ix_frames_site_instrument_camera_day_kind"), table_name="frames")
    op.drop_table("frames")


def _frames():
    op.create_table(
        "frames",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("filename", sa.Text(), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("md5", sa.String(32), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(16), nullable=True),
        sa.Column("site", sa.Text(), nullable=False),
        sa.Column("instrument", sa.Text(), nullable=False),
        sa.Column("camera", sa.Text(), nullable=False),
        sa.Column("day", sa.Text(), nullable=False),
        sa.Column("binning", sa.Text(), nullable=False),
        sa.Column("objects", sa.Text(), nullable=False),
        sa.Column("start_mjd", sa.Float(53), nullable=True),
        sa.Column("exposure_s", sa.Float(53), nullable=True),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("quality", sa.Integer(), nullable=False),
        sa.Column("code_version", sa.Text(), nullable=False),
        sa.Column("created", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_frames")),
        sa.UniqueConstraint("filename", "md5", name=op.f("uq_frames_filename_md5")),
    )
    op.create_index(
        op.f("ix_frames_site_instrument_camera_day_kind"), "frames", ["site", "instrument", "camera", "day", "kind"]
    )
    op.create_index(op.f("ix_frames_state"), "frames", ["state"])


def _masters():
    op.create_table(
        "masters",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("site", sa.Text(), nullable=False),
        sa.Column("instrument", sa.Text(), nullable=False),
        sa.Column("camera", sa.Text(), nullable=False),
        sa.Column("binning", sa.Text(), nullable=False),
        sa.Column("day", sa.Text(), nullable=False),
        sa.Column("fibers", sa.Text(), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("md5", sa.String(32), nullable=False),
        sa.Column("mean_mjd", sa.Float(53), nullable=True),
        sa.Column("n_inputs", sa.Integer(), nullable=False),
        sa.Column("quality", sa.Integer(), nullable=False),
        sa.Column("standing", sa.String(16), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("traceback", sa.Text(), nullable=False),
        sa.Column("code_version", sa.Text(), nullable=False),
        sa.Column("created", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_masters")),
    )
    op.create_index(
        op.f("ix_masters_kind_instrument_camera_binning_standing"),
        "masters",
        ["kind", "instrument", "camera", "binning", "standing"],
    )


def _attempts():
    op.create_table(
        "attempts",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("frame_id", sa.Integer(), nullable=False),
        sa.Column("started", sa.DateTime(timezone=True), nullable=False),
        sa.Column("finished", sa.DateTime(timezone=True), nullable=False),
        sa.Column("outcome", sa.String(16), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("traceback", sa.Text(), nullable=False),
        sa.Column("code_version", sa.Text(), nullable=False),
        sa.Column("measurements", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(["frame_id"], ["frames.id"], name=op.f("fk_attempts_frame_id_frames")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_attempts")),
    )
    op.create_index(op.f("ix_attempts_frame_id"), "attempts", ["frame_id"])


def _master_inputs():
    op.create_table(
        "master_inputs",
        sa.Column("master_id", sa.Integer(), nullable=False),
        sa.Column("frame_id", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["frame_id"], ["frames.id"], name=op.f("fk_master_inputs_frame_id_frames")),
        sa.ForeignKeyConstraint(
            ["master_id"], ["masters.id"], name=op.f("fk_master_inputs_master_id_masters"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("master_id", "frame_id", name=op.f("pk_master_inputs")),
    )
    op.create_index(op.f("ix_master_inputs_frame_id"), "master_inputs", ["frame_id"])


def _velocities():
    op.create_table(
        "velocities",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("frame_id", sa.Integer(), nullable=False),
        sa.Column("fiber", sa.Integer(), nullable=False),
        sa.Column("object", sa.Text(), nullable=False),
        sa.Column("mask", sa.Text(), nullable=False),
        sa.Column("bjd_tdb", sa.Float(53), nullable=True),
        sa.Column("rv_ms", sa.Float(53), nullable=True),
        sa.Column("rv_err_ms", sa.Float(53), nullable=True),
        sa.Column("photon_err_ms", sa.Float(53), nullable=True),
        sa.Column("wavelength_err_ms", sa.Float(53), nullable=True),
        sa.Column("drift_err_ms", sa.Float(53), nullable=True),
        sa.Column("mask_err_ms", sa.Float(53), nullable=True),
        sa.Column("berv_ms", sa.Float(53), nullable=True),
        sa.Column("drift_ms", sa.Float(53), nullable=True),
        sa.Column("snr", sa.Float(53), nullable=True),
        sa.Column("fwhm_ms", sa.Float(53), nullable=True),
        sa.Column("contrast", sa.Float(53), nullable=True),
        sa.Column("bisector_ms", sa.Float(53), nullable=True),
        sa.Column("quality", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["frame_id"], ["frames.id"], name=op.f("fk_velocities_frame_id_frames")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_velocities")),
        sa.UniqueConstraint("frame_id", "fiber", name=op.f("uq_velocities_frame_id_fiber")),
    )
    op.create_index(op.f("ix_velocities_object"), "velocities", ["object"])


def _attempt_masters():
    op.create_table(
        "attempt_masters",
        sa.Column("attempt_id", sa.Integer(), nullable=False),
        sa.Column("master_id", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["attempt_id"], ["attempts.id"], name=op.f("fk_attempt_masters_attempt_id_attempts"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["master_id"], ["masters.id"], name=op.f("fk_attempt_masters_master_id_masters")),
        sa.PrimaryKeyConstraint("attempt_id", "master_id", name=op.f("pk_attempt_masters")),
    )
    op.create_index(op.f("ix_attempt_masters_master_id"), "attempt_masters", ["master_id"])


def _products():
    op.create_table(
        "products",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("frame_id", sa.Integer(), nullable=False),
        sa.Column("attempt_id", sa.Integer(), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("level", sa.Text(), nullable=False),
        sa.Column("md5", sa.String(32), nullable=False),
        sa.ForeignKeyConstraint(["attempt_id"], ["attempts.id"], name=op.f("fk_products_attempt_id_attempts")),
        sa.ForeignKeyConstraint(["frame_id"], ["frames.id"], name=op.f("fk_products_frame_id_frames")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_products")),
    )
    op.create_index(op.f("ix_products_attempt_id"), "products", ["attempt_id"])
    op.create_index(op.f("ix_products_frame_id"), "products", ["frame_id"])
