"""a run keeps what was stored of its baseline when it was submitted"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0013"
down_revision: str | None = "0012"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.add_column("runs", sa.Column("baseline_known", postgresql.JSON(), nullable=True))


def downgrade() -> None:
    op.drop_column("runs", "baseline_known")
