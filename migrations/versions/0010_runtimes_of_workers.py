"""workers say which runtimes they have: a run that asks for another one is refused"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0010"
down_revision: str | None = "0009"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    empty = sa.text("'{}'::jsonb")
    op.add_column(
        "workers", sa.Column("runtimes", postgresql.JSONB(), server_default=empty, nullable=False)
    )


def downgrade() -> None:
    op.drop_column("workers", "runtimes")
