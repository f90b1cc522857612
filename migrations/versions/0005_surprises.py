"""field reports, drafts of cases, the ratchet, waivers"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0005"
down_revision: str | None = "0004"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

_STATUS = sa.Enum(
    "reported",
    "awaiting data",
    "located",
    "reproduced",
    "not reproduced",
    "drafted",
    "quarantined",
    "reviewed",
    "enforced",
    "rejected",
    "waived",
    name="casestatus",
    native_enum=False,
    create_constraint=True,
    length=24,
)


def upgrade() -> None:

    op.create_table(
        "field_reports",
        sa.Column("id", sa.String(length=20), nullable=False),
        sa.Column("route", sa.Text(), nullable=False),
        sa.Column("place", sa.Text(), nullable=False),
        sa.Column("time_s", sa.Double(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("model_version", sa.Text(), server_default="", nullable=False),
        sa.Column("severity", sa.String(length=10), nullable=False),
        sa.Column("reporter", sa.Text(), nullable=False),
        sa.Column("status", _STATUS, nullable=False),
        sa.Column("reason", sa.Text(), server_default="", nullable=False),
        sa.Column("segment_id", sa.Text(), nullable=True),
        sa.Column("segment_time_s", sa.Double(), nullable=True),
        sa.Column("signature", sa.Text(), nullable=False),
        sa.Column("cluster", sa.String(length=20), nullable=False),
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
        sa.Column(
            "created", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False
        ),
        sa.Column(
            "updated", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False
        ),
        sa.CheckConstraint(
            "(segment_id IS NULL) = (segment_time_s IS NULL)",
            name=op.f("ck_field_reports_located_whole"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_field_reports")),
    )
    op.create_index(op.f("ix_field_reports_cluster"), "field_reports", ["cluster"], unique=False)
    op.create_index(
        op.f("ix_field_reports_created_id"), "field_reports", ["created", "id"], unique=False
    )
    op.create_index(op.f("ix_field_reports_place"), "field_reports", ["place"], unique=False)
    op.create_index(
        op.f("ix_field_reports_segment_id"), "field_reports", ["segment_id"], unique=False
    )
    op.create_index(op.f("ix_field_reports_status"), "field_reports", ["status"], unique=False)
    op.create_table(
        "ratchet",
        sa.Column("suite", sa.Text(), nullable=False),
        sa.Column("case", sa.Text(), nullable=False),
        sa.Column("model", sa.String(length=64), nullable=True),
        sa.Column(
            "since", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False
        ),
        sa.ForeignKeyConstraint(["model"], ["models.digest"], name=op.f("fk_ratchet_model_models")),
        sa.ForeignKeyConstraint(["suite"], ["suites.name"], name=op.f("fk_ratchet_suite_suites")),
        sa.PrimaryKeyConstraint("suite", "case", name=op.f("pk_ratchet")),
    )
    op.create_table(
        "waivers",
        sa.Column("id", sa.String(length=20), nullable=False),
        sa.Column("suite", sa.Text(), nullable=False),
        sa.Column("case", sa.Text(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("because_of", sa.Text(), nullable=True),
        sa.Column("expires", sa.DateTime(timezone=True), nullable=False),
        sa.Column(
            "created", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False
        ),
        sa.Column("revoked", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("expires > created", name=op.f("ck_waivers_expires_later")),
        sa.ForeignKeyConstraint(["suite"], ["suites.name"], name=op.f("fk_waivers_suite_suites")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_waivers")),
    )
    op.create_index(
        "uq_waivers_in_force",
        "waivers",
        ["suite", "case"],
        unique=True,
        postgresql_where=sa.text("revoked IS NULL"),
    )
    op.create_table(
        "case_drafts",
        sa.Column("id", sa.String(length=20), nullable=False),
        sa.Column("suite", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("status", _STATUS, nullable=False),
        sa.Column("report_id", sa.String(length=20), nullable=True),
        sa.Column("run_id", sa.String(length=20), nullable=True),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("author", sa.Text(), server_default="", nullable=False),
        sa.Column("offender", sa.String(length=64), nullable=False),
        sa.Column("control", sa.String(length=64), nullable=False),
        sa.Column("simulator", postgresql.JSON(astext_type=sa.Text()), nullable=False),
        sa.Column("segment_id", sa.Text(), nullable=False),
        sa.Column("segment_digest", sa.String(length=64), nullable=False),
        sa.Column("at_s", sa.Double(), nullable=False),
        sa.Column("asked", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("spec", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("draws", sa.SmallInteger(), nullable=False),
        sa.Column("told", sa.Text(), server_default="", nullable=False),
        sa.Column("reason", sa.Text(), server_default="", nullable=False),
        sa.Column("proof", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("suite_digest", sa.String(length=64), nullable=True),
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
        sa.Column(
            "created", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False
        ),
        sa.Column(
            "updated", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False
        ),
        sa.CheckConstraint(
            "status <> 'enforced' OR suite_digest IS NOT NULL",
            name=op.f("ck_case_drafts_enforced_somewhere"),
        ),
        sa.ForeignKeyConstraint(
            ["control"], ["models.digest"], name=op.f("fk_case_drafts_control_models")
        ),
        sa.ForeignKeyConstraint(
            ["offender"], ["models.digest"], name=op.f("fk_case_drafts_offender_models")
        ),
        sa.ForeignKeyConstraint(
            ["report_id"], ["field_reports.id"], name=op.f("fk_case_drafts_report_id_field_reports")
        ),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("fk_case_drafts_run_id_runs")),
        sa.ForeignKeyConstraint(
            ["suite_digest"],
            ["suite_versions.digest"],
            name=op.f("fk_case_drafts_suite_digest_suite_versions"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_case_drafts")),
    )
    op.create_index(
        op.f("ix_case_drafts_created_id"), "case_drafts", ["created", "id"], unique=False
    )
    op.create_index(
        "ix_case_drafts_proving",
        "case_drafts",
        ["created"],
        unique=False,
        postgresql_where=sa.text("status = 'located'"),
    )
    op.create_index(op.f("ix_case_drafts_report_id"), "case_drafts", ["report_id"], unique=False)
    op.create_index(op.f("ix_case_drafts_run_id"), "case_drafts", ["run_id"], unique=False)
    op.create_index(
        op.f("ix_case_drafts_suite_name"), "case_drafts", ["suite", "name"], unique=False
    )


def downgrade() -> None:

    op.drop_index(op.f("ix_case_drafts_suite_name"), table_name="case_drafts")
    op.drop_index(op.f("ix_case_drafts_run_id"), table_name="case_drafts")
    op.drop_index(op.f("ix_case_drafts_report_id"), table_name="case_drafts")
    op.drop_index(
        "ix_case_drafts_proving",
        table_name="case_drafts",
        postgresql_where=sa.text("status = 'located'"),
    )
    op.drop_index(op.f("ix_case_drafts_created_id"), table_name="case_drafts")
    op.drop_table("case_drafts")
    op.drop_index(
        "uq_waivers_in_force", table_name="waivers", postgresql_where=sa.text("revoked IS NULL")
    )
    op.drop_table("waivers")
    op.drop_table("ratchet")
    op.drop_index(op.f("ix_field_reports_status"), table_name="field_reports")
    op.drop_index(op.f("ix_field_reports_segment_id"), table_name="field_reports")
    op.drop_index(op.f("ix_field_reports_place"), table_name="field_reports")
    op.drop_index(op.f("ix_field_reports_created_id"), table_name="field_reports")
    op.drop_index(op.f("ix_field_reports_cluster"), table_name="field_reports")
    op.drop_table("field_reports")
