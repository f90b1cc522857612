"""workers that are up, shards that wait after a machine's failure, runs that drive everything"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0002"
down_revision: str | None = "0001"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:

    op.create_table(
        "workers",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("host", sa.Text(), nullable=False),
        sa.Column("device", sa.Text(), nullable=False),
        sa.Column("concurrency", sa.Integer(), nullable=False),
        sa.Column(
            "started", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False
        ),
        sa.Column(
            "seen", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False
        ),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_workers")),
    )
    op.add_column(
        "shards",
        sa.Column(
            "not_before",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
    )
    op.drop_column("shards", "enqueued")
    op.add_column(
        "runs",
        sa.Column("drive_all", sa.Boolean(), server_default=sa.text("false"), nullable=False),
    )


def downgrade() -> None:

    op.drop_column("runs", "drive_all")
    op.add_column("shards", sa.Column("enqueued", sa.DateTime(timezone=True), nullable=True))
    op.drop_column("shards", "not_before")
    op.drop_table("workers")
