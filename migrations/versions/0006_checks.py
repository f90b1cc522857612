"""self-checks of the judge, probes of determinism"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0006"
down_revision: str | None = "0005"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:

    op.create_table(
        "self_checks",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("run_id", sa.String(length=20), nullable=False),
        sa.Column("suite_digest", sa.String(length=64), nullable=False),
        sa.Column("report", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("faults", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column(
            "created", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False
        ),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("fk_self_checks_run_id_runs")),
        sa.ForeignKeyConstraint(
            ["suite_digest"],
            ["suite_versions.digest"],
            name=op.f("fk_self_checks_suite_digest_suite_versions"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_self_checks")),
    )
    op.create_index(op.f("ix_self_checks_run_id"), "self_checks", ["run_id"], unique=False)
    op.create_index(
        op.f("ix_self_checks_suite_digest"), "self_checks", ["suite_digest"], unique=False
    )
    op.create_table(
        "probes",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("drive_key", sa.String(length=64), nullable=False),
        sa.Column(
            "asked", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False
        ),
        sa.Column("driven", sa.DateTime(timezone=True), nullable=True),
        sa.Column("worker", sa.Text(), nullable=True),
        sa.Column("equal", sa.Boolean(), nullable=True),
        sa.Column("error", sa.Text(), server_default="", nullable=False),
        sa.CheckConstraint(
            "equal IS NULL OR driven IS NOT NULL", name=op.f("ck_probes_equal_is_driven")
        ),
        sa.ForeignKeyConstraint(
            ["drive_key"], ["rollouts.drive_key"], name=op.f("fk_probes_drive_key_rollouts")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_probes")),
    )
    op.create_index(op.f("ix_probes_drive_key"), "probes", ["drive_key"], unique=False)


def downgrade() -> None:

    op.drop_index(op.f("ix_probes_drive_key"), table_name="probes")
    op.drop_table("probes")
    op.drop_index(op.f("ix_self_checks_suite_digest"), table_name="self_checks")
    op.drop_index(op.f("ix_self_checks_run_id"), table_name="self_checks")
    op.drop_table("self_checks")
