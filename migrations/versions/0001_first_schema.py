"""first schema"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0001"
down_revision: str | None = None
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:

    op.create_table(
        "alarms",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("kind", sa.String(length=40), nullable=False),
        sa.Column("drive_key", sa.String(length=64), nullable=True),
        sa.Column("detail", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column(
            "created", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False
        ),
        sa.Column("acknowledged", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_alarms")),
    )
    op.create_index(
        "ix_alarms_open",
        "alarms",
        ["created"],
        unique=False,
        postgresql_where=sa.text("acknowledged IS NULL"),
    )
    op.create_table(
        "events",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column(
            "at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False
        ),
        sa.Column("kind", sa.String(length=60), nullable=False),
        sa.Column("subject_kind", sa.String(length=20), nullable=False),
        sa.Column("subject_id", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), server_default="", nullable=False),
        sa.Column("request_id", sa.Text(), server_default="", nullable=False),
        sa.Column(
            "detail",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'{}'::jsonb"),
            nullable=False,
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_events")),
    )
    op.create_index(
        op.f("ix_events_subject_kind_subject_id_id"),
        "events",
        ["subject_kind", "subject_id", "id"],
        unique=False,
    )
    op.create_table(
        "models",
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("manifest", postgresql.JSON(astext_type=sa.Text()), nullable=False),
        sa.Column(
            "created", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False
        ),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_models")),
    )
    op.create_index(op.f("ix_models_created_digest"), "models", ["created", "digest"], unique=False)
    op.create_index(op.f("ix_models_name"), "models", ["name"], unique=False)
    op.create_table(
        "segments",
        sa.Column("segment_id", sa.Text(), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("route", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("tags", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("duration_s", sa.Double(), nullable=False),
        sa.Column("meta", postgresql.JSON(astext_type=sa.Text()), nullable=False),
        sa.Column("quarantined", sa.Text(), nullable=True),
        sa.Column("quarantined_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column(
            "indexed", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False
        ),
        sa.PrimaryKeyConstraint("segment_id", name=op.f("pk_segments")),
    )
    op.create_index(op.f("ix_segments_digest"), "segments", ["digest"], unique=False)
    op.create_index(op.f("ix_segments_route"), "segments", ["route"], unique=False)
    op.create_index(
        op.f("ix_segments_tags"), "segments", ["tags"], unique=False, postgresql_using="gin"
    )
    op.create_table(
        "shards",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("drive_keys", postgresql.ARRAY(sa.String(length=64)), nullable=False),
        sa.Column("group_digest", sa.String(length=64), nullable=False),
        sa.Column("execution", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column(
            "status",
            sa.Enum(
                "queued",
                "leased",
                "done",
                "cancelled",
                "failed",
                name="shardstatus",
                native_enum=False,
                create_constraint=True,
                length=24,
            ),
            nullable=False,
        ),
        sa.Column("priority", sa.SmallInteger(), server_default="5", nullable=False),
        sa.Column("attempt", sa.Integer(), server_default="0", nullable=False),
        sa.Column("fence", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("lease_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("worker", sa.Text(), nullable=True),
        sa.Column("error_owner", sa.String(length=16), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("enqueued", sa.DateTime(timezone=True), nullable=True),
        sa.Column(
            "created", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False
        ),
        sa.Column("started", sa.DateTime(timezone=True), nullable=True),
        sa.Column("finished", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "(status = 'leased') = (lease_until IS NOT NULL)", name=op.f("ck_shards_leased_until")
        ),
        sa.CheckConstraint("cardinality(drive_keys) > 0", name=op.f("ck_shards_drives_something")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_shards")),
    )
    op.create_index(
        "ix_shards_open",
        "shards",
        ["status", "priority", "id"],
        unique=False,
        postgresql_where=sa.text("status IN ('queued', 'leased')"),
    )
    op.create_table(
        "drive_keys",
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("key", postgresql.JSON(astext_type=sa.Text()), nullable=False),
        sa.Column("model", sa.String(length=64), nullable=False),
        sa.Column("segment_id", sa.Text(), nullable=False),
        sa.Column("group_digest", sa.String(length=64), nullable=False),
        sa.Column("execution", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("shard_id", sa.BigInteger(), nullable=True),
        sa.Column("failure", sa.Text(), nullable=True),
        sa.Column(
            "created", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False
        ),
        sa.ForeignKeyConstraint(
            ["model"], ["models.digest"], name=op.f("fk_drive_keys_model_models")
        ),
        sa.ForeignKeyConstraint(
            ["shard_id"],
            ["shards.id"],
            name=op.f("fk_drive_keys_shard_id_shards"),
            ondelete="SET NULL",
        ),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_drive_keys")),
    )
    op.create_index(op.f("ix_drive_keys_model"), "drive_keys", ["model"], unique=False)
    op.create_index(op.f("ix_drive_keys_shard_id"), "drive_keys", ["shard_id"], unique=False)
    op.create_index(
        "ix_drive_keys_waiting",
        "drive_keys",
        ["group_digest"],
        unique=False,
        postgresql_where=sa.text("shard_id IS NULL AND failure IS NULL"),
    )
    op.create_table(
        "suites",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("promoted", sa.String(length=64), nullable=True),
        sa.Column(
            "created", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False
        ),
        sa.ForeignKeyConstraint(
            ["promoted"], ["models.digest"], name=op.f("fk_suites_promoted_models")
        ),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_suites")),
    )
    op.create_table(
        "demands",
        sa.Column(
            "owner_kind",
            sa.Enum(
                "run",
                "proof",
                "probe",
                "search",
                name="ownerkind",
                native_enum=False,
                create_constraint=True,
                length=24,
            ),
            nullable=False,
        ),
        sa.Column("owner_id", sa.Text(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column(
            "role",
            sa.Enum(
                "candidate",
                "baseline",
                name="role",
                native_enum=False,
                create_constraint=True,
                length=24,
            ),
            nullable=False,
        ),
        sa.Column("case_id", sa.Text(), nullable=False),
        sa.Column("route", sa.Text(), nullable=False),
        sa.Column("mandatory", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("drive_key", sa.String(length=64), nullable=False),
        sa.CheckConstraint("position >= 0", name=op.f("ck_demands_position_counts")),
        sa.ForeignKeyConstraint(
            ["drive_key"], ["drive_keys.digest"], name=op.f("fk_demands_drive_key_drive_keys")
        ),
        sa.PrimaryKeyConstraint(
            "owner_kind", "owner_id", "position", "role", name=op.f("pk_demands")
        ),
    )
    op.create_index(op.f("ix_demands_drive_key"), "demands", ["drive_key"], unique=False)
    op.create_table(
        "rollouts",
        sa.Column("drive_key", sa.String(length=64), nullable=False),
        sa.Column(
            "outcome",
            sa.Enum(
                "completed",
                "failed",
                "left_trust_region",
                "policy_failed",
                "data_invalid",
                "infra_failed",
                name="outcome",
                native_enum=False,
                create_constraint=True,
                length=24,
            ),
            nullable=False,
        ),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("ended_s", sa.Double(), nullable=False),
        sa.Column("trusted_share", sa.Double(), nullable=False),
        sa.Column("trace_sha256", sa.String(length=64), nullable=True),
        sa.Column("trace_bits", sa.String(length=64), nullable=True),
        sa.Column("provenance", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("worker", sa.Text(), nullable=False),
        sa.Column("shard_id", sa.BigInteger(), nullable=True),
        sa.Column("fence", sa.BigInteger(), nullable=False),
        sa.Column(
            "created", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False
        ),
        sa.CheckConstraint(
            "outcome <> 'infra_failed'", name=op.f("ck_rollouts_infra_is_never_scored")
        ),
        sa.ForeignKeyConstraint(
            ["drive_key"], ["drive_keys.digest"], name=op.f("fk_rollouts_drive_key_drive_keys")
        ),
        sa.PrimaryKeyConstraint("drive_key", name=op.f("pk_rollouts")),
    )
    op.create_index(op.f("ix_rollouts_created"), "rollouts", ["created"], unique=False)
    op.create_table(
        "suite_versions",
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("suite", sa.Text(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=True),
        sa.Column("parent", sa.String(length=64), nullable=True),
        sa.Column("document", postgresql.JSON(astext_type=sa.Text()), nullable=False),
        sa.Column("planned", sa.Integer(), nullable=False),
        sa.Column(
            "created", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False
        ),
        sa.CheckConstraint("planned > 0", name=op.f("ck_suite_versions_planned_positive")),
        sa.ForeignKeyConstraint(
            ["parent"],
            ["suite_versions.digest"],
            name=op.f("fk_suite_versions_parent_suite_versions"),
        ),
        sa.ForeignKeyConstraint(
            ["suite"], ["suites.name"], name=op.f("fk_suite_versions_suite_suites")
        ),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_suite_versions")),
        sa.UniqueConstraint("suite", "number", name=op.f("uq_suite_versions_suite_number")),
    )
    op.create_index(
        "uq_suite_versions_line",
        "suite_versions",
        ["parent"],
        unique=True,
        postgresql_where=sa.text("number IS NOT NULL"),
    )
    op.create_table(
        "results",
        sa.Column("drive_key", sa.String(length=64), nullable=False),
        sa.Column("metric", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("value", sa.Double(), nullable=True),
        sa.Column("valid", sa.Boolean(), nullable=False),
        sa.Column("low", sa.Double(), nullable=True),
        sa.Column("high", sa.Double(), nullable=True),
        sa.Column("reason", sa.Text(), server_default="", nullable=False),
        sa.CheckConstraint("valid = (value IS NOT NULL)", name=op.f("ck_results_missing_is_null")),
        sa.ForeignKeyConstraint(
            ["drive_key"], ["rollouts.drive_key"], name=op.f("fk_results_drive_key_rollouts")
        ),
        sa.PrimaryKeyConstraint("drive_key", "metric", "version", name=op.f("pk_results")),
    )
    op.create_table(
        "runs",
        sa.Column("id", sa.String(length=20), nullable=False),
        sa.Column("identity", sa.String(length=64), nullable=False),
        sa.Column("candidate", sa.String(length=64), nullable=False),
        sa.Column("baseline", sa.String(length=64), nullable=False),
        sa.Column("suite_digest", sa.String(length=64), nullable=False),
        sa.Column("simulator", postgresql.JSON(astext_type=sa.Text()), nullable=False),
        sa.Column("candidate_execution", postgresql.JSON(astext_type=sa.Text()), nullable=False),
        sa.Column("baseline_execution", postgresql.JSON(astext_type=sa.Text()), nullable=False),
        sa.Column("planned", sa.Integer(), nullable=False),
        sa.Column("priority", sa.SmallInteger(), server_default="5", nullable=False),
        sa.Column(
            "status",
            sa.Enum(
                "queued",
                "running",
                "finished",
                "cancelled",
                "errored",
                name="status",
                native_enum=False,
                create_constraint=True,
                length=24,
            ),
            nullable=False,
        ),
        sa.Column(
            "verdict",
            sa.Enum(
                "pass",
                "fail",
                "inconclusive",
                name="runverdict",
                native_enum=False,
                create_constraint=True,
                length=24,
            ),
            nullable=True,
        ),
        sa.Column("sentence", sa.Text(), server_default="", nullable=False),
        sa.Column("verdict_document", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("pairs_consumed", sa.Integer(), server_default="0", nullable=False),
        sa.Column("error", sa.Text(), server_default="", nullable=False),
        sa.Column(
            "source",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'{}'::jsonb"),
            nullable=False,
        ),
        sa.Column("requested_by", sa.Text(), server_default="", nullable=False),
        sa.Column(
            "created", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False
        ),
        sa.Column("started", sa.DateTime(timezone=True), nullable=True),
        sa.Column("decided", sa.DateTime(timezone=True), nullable=True),
        sa.Column("finished", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "verdict IS NULL OR status IN ('running', 'finished')",
            name=op.f("ck_runs_verdict_has_run"),
        ),
        sa.CheckConstraint("planned > 0", name=op.f("ck_runs_planned_positive")),
        sa.ForeignKeyConstraint(
            ["baseline"], ["models.digest"], name=op.f("fk_runs_baseline_models")
        ),
        sa.ForeignKeyConstraint(
            ["candidate"], ["models.digest"], name=op.f("fk_runs_candidate_models")
        ),
        sa.ForeignKeyConstraint(
            ["suite_digest"],
            ["suite_versions.digest"],
            name=op.f("fk_runs_suite_digest_suite_versions"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_runs")),
    )
    op.create_index(op.f("ix_runs_baseline"), "runs", ["baseline"], unique=False)
    op.create_index(op.f("ix_runs_candidate"), "runs", ["candidate"], unique=False)
    op.create_index(op.f("ix_runs_created_id"), "runs", ["created", "id"], unique=False)
    op.create_index(
        "ix_runs_open",
        "runs",
        ["priority", "created"],
        unique=False,
        postgresql_where=sa.text("status IN ('queued', 'running')"),
    )
    op.create_index(op.f("ix_runs_suite_digest"), "runs", ["suite_digest"], unique=False)
    op.create_index(
        "uq_runs_live_identity",
        "runs",
        ["identity"],
        unique=True,
        postgresql_where=sa.text("status IN ('queued', 'running', 'finished')"),
    )
    op.create_table(
        "idempotency_keys",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("request_digest", sa.String(length=64), nullable=False),
        sa.Column("run_id", sa.String(length=20), nullable=False),
        sa.Column(
            "created", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False
        ),
        sa.ForeignKeyConstraint(
            ["run_id"],
            ["runs.id"],
            name=op.f("fk_idempotency_keys_run_id_runs"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_idempotency_keys")),
    )
    op.create_index(
        op.f("ix_idempotency_keys_created"), "idempotency_keys", ["created"], unique=False
    )
    op.create_index(
        op.f("ix_idempotency_keys_run_id"), "idempotency_keys", ["run_id"], unique=False
    )


def downgrade() -> None:

    op.drop_index(op.f("ix_idempotency_keys_run_id"), table_name="idempotency_keys")
    op.drop_index(op.f("ix_idempotency_keys_created"), table_name="idempotency_keys")
    op.drop_table("idempotency_keys")
    op.drop_index(
        "uq_runs_live_identity",
        table_name="runs",
        postgresql_where=sa.text("status IN ('queued', 'running', 'finished')"),
    )
    op.drop_index(op.f("ix_runs_suite_digest"), table_name="runs")
    op.drop_index(
        "ix_runs_open",
        table_name="runs",
        postgresql_where=sa.text("status IN ('queued', 'running')"),
    )
    op.drop_index(op.f("ix_runs_created_id"), table_name="runs")
    op.drop_index(op.f("ix_runs_candidate"), table_name="runs")
    op.drop_index(op.f("ix_runs_baseline"), table_name="runs")
    op.drop_table("runs")
    op.drop_table("results")
    op.drop_index(
        "uq_suite_versions_line",
        table_name="suite_versions",
        postgresql_where=sa.text("number IS NOT NULL"),
    )
    op.drop_table("suite_versions")
    op.drop_index(op.f("ix_rollouts_created"), table_name="rollouts")
    op.drop_table("rollouts")
    op.drop_index(op.f("ix_demands_drive_key"), table_name="demands")
    op.drop_table("demands")
    op.drop_table("suites")
    op.drop_index(
        "ix_drive_keys_waiting",
        table_name="drive_keys",
        postgresql_where=sa.text("shard_id IS NULL AND failure IS NULL"),
    )
    op.drop_index(op.f("ix_drive_keys_shard_id"), table_name="drive_keys")
    op.drop_index(op.f("ix_drive_keys_model"), table_name="drive_keys")
    op.drop_table("drive_keys")
    op.drop_index(
        "ix_shards_open",
        table_name="shards",
        postgresql_where=sa.text("status IN ('queued', 'leased')"),
    )
    op.drop_table("shards")
    op.drop_index(op.f("ix_segments_tags"), table_name="segments", postgresql_using="gin")
    op.drop_index(op.f("ix_segments_route"), table_name="segments")
    op.drop_index(op.f("ix_segments_digest"), table_name="segments")
    op.drop_table("segments")
    op.drop_index(op.f("ix_models_name"), table_name="models")
    op.drop_index(op.f("ix_models_created_digest"), table_name="models")
    op.drop_table("models")
    op.drop_index(op.f("ix_events_subject_kind_subject_id_id"), table_name="events")
    op.drop_table("events")
    op.drop_index(
        "ix_alarms_open", table_name="alarms", postgresql_where=sa.text("acknowledged IS NULL")
    )
    op.drop_table("alarms")
