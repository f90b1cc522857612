"""a probe demands no rollout: a demand is answered from the store, and a probe must not be"""

from collections.abc import Sequence

from alembic import op

revision: str = "0009"
down_revision: str | None = "0008"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.drop_constraint(op.f("ck_demands_ownerkind"), "demands", type_="check")
    op.create_check_constraint(
        op.f("ck_demands_ownerkind"), "demands", "owner_kind IN ('run', 'proof', 'search')"
    )


def downgrade() -> None:
    op.drop_constraint(op.f("ck_demands_ownerkind"), "demands", type_="check")
    op.create_check_constraint(
        op.f("ck_demands_ownerkind"), "demands", "owner_kind IN ('run', 'proof', 'probe', 'search')"
    )
