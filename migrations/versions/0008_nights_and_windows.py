"""nights of standing checks; drafts whose window stays as it was written"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0008"
down_revision: str | None = "0006"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.add_column(
        "case_drafts",
        sa.Column("as_written", sa.Boolean(), server_default=sa.text("false"), nullable=False),
    )
    op.create_table(
        "nights",
        sa.Column("night", sa.Date(), nullable=False),
        sa.Column(
            "started", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False
        ),
        sa.Column("finished", sa.DateTime(timezone=True), nullable=True),
        sa.Column(
            "report",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'{}'::jsonb"),
            nullable=False,
        ),
        sa.Column("error", sa.Text(), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("night", name=op.f("pk_nights")),
    )


def downgrade() -> None:
    op.drop_table("nights")
    op.drop_column("case_drafts", "as_written")
