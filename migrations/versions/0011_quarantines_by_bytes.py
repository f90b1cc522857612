"""a quarantine is of bytes that were found bad: it holds for them, and for no others"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0011"
down_revision: str | None = "0010"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.create_table(
        "quarantines",
        sa.Column("segment_digest", sa.String(64), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column(
            "since", sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False
        ),
        sa.PrimaryKeyConstraint("segment_digest", name=op.f("pk_quarantines")),
    )
    op.execute(
        "INSERT INTO quarantines (segment_digest, reason, since) "
        "SELECT digest, quarantined, coalesce(quarantined_at, now()) FROM segments "
        "WHERE quarantined IS NOT NULL"
    )
    op.drop_column("segments", "quarantined")
    op.drop_column("segments", "quarantined_at")


def downgrade() -> None:
    op.add_column(
        "segments", sa.Column("quarantined_at", sa.DateTime(timezone=True), nullable=True)
    )
    op.add_column("segments", sa.Column("quarantined", sa.Text(), nullable=True))
    op.execute(
        "UPDATE segments SET quarantined = reason, quarantined_at = since FROM quarantines "
        "WHERE segment_digest = digest"
    )
    op.drop_table("quarantines")
