"""a run has its own order, and a pass before the whole set is driven can be withdrawn"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0012"
down_revision: str | None = "0011"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.create_table(
        "secrets",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_secrets")),
    )
    op.add_column("runs", sa.Column("withdrawn_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("runs", sa.Column("order_seed", sa.BigInteger(), nullable=True))
    op.execute(
        "UPDATE runs SET order_seed = coalesce((document->'suite'->>'order_seed')::bigint, 0) "
        "FROM suite_versions WHERE digest = suite_digest"
    )
    op.alter_column("runs", "order_seed", nullable=False)


def downgrade() -> None:
    op.drop_column("runs", "order_seed")
    op.drop_column("runs", "withdrawn_at")
    op.drop_table("secrets")
