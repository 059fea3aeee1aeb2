"""Sessions, jobs, and the keys of requests that are carried out once."""

from __future__ import annotations

from alembic import op
from sqlalchemy import Column, Double, ForeignKey, Integer, LargeBinary, Text

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Make the tables."""
    _sessions()
    _jobs()
    op.create_table(
        "idempotency",
        Column("owner", Text, primary_key=True),
        Column("route", Text, primary_key=True),
        Column("key", Text, primary_key=True),
        Column("body_digest", Text, nullable=False),
        Column("state", Text, nullable=False),
        Column("created_at", Double, nullable=False),
        Column("job_id", Text),
        Column("status", Integer),
        Column("headers", Text),
        Column("body", LargeBinary),
    )
    op.create_index("idempotency_by_age", "idempotency", ["created_at"])


def _sessions() -> None:
    op.create_table(
        "sessions",
        Column("id", Text, primary_key=True),
        Column("owner", Text, nullable=False),
        Column("backend", Text, nullable=False),
        Column("model", Text),
        Column("workdir", Text),
        Column("title", Text),
        Column("status", Text, nullable=False),
        Column("error", Text),
        Column("created_at", Double, nullable=False),
        Column("updated_at", Double, nullable=False),
        Column("turn_count", Integer, nullable=False),
        Column("message_count", Integer, nullable=False),
        Column("input_tokens", Integer, nullable=False),
        Column("output_tokens", Integer, nullable=False),
        Column("cached_tokens", Integer, nullable=False),
        Column("cache_write_tokens", Integer, nullable=False),
        Column("reasoning_tokens", Integer, nullable=False),
        Column("cost_usd", Double),
        Column("agent_session_id", Text),
        Column("parent_id", Text),
        Column("head_digest", Text, nullable=False),
        Column("tags", Text, nullable=False),
        Column("metadata", Text, nullable=False),
        Column("binding", Text),
    )
    op.create_index("sessions_by_owner", "sessions", ["owner", "updated_at", "id"])
    op.create_index("sessions_by_use", "sessions", ["updated_at", "id"])
    op.create_index(
        "sessions_by_head", "sessions", ["head_digest", "owner", "backend", "updated_at"]
    )
    op.create_table(
        "session_messages",
        Column("session_id", Text, ForeignKey("sessions.id", ondelete="CASCADE"), primary_key=True),
        Column("position", Integer, primary_key=True),
        Column("created_at", Double, nullable=False),
        Column("role", Text, nullable=False),
        Column("usage", Text),
        Column("text", Text, nullable=False),
        Column("content", Text),
    )
    op.create_table(
        "session_tags",
        Column("session_id", Text, ForeignKey("sessions.id", ondelete="CASCADE"), primary_key=True),
        Column("tag", Text, primary_key=True),
    )
    op.create_index("session_tags_by_tag", "session_tags", ["tag"])
    op.create_table(
        "session_counts",
        Column("owner", Text, primary_key=True),
        Column("backend", Text, primary_key=True),
        Column("status", Text, primary_key=True),
        Column("sessions", Integer, nullable=False),
    )


def _jobs() -> None:
    op.create_table(
        "jobs",
        Column("id", Text, primary_key=True),
        Column("owner", Text, nullable=False),
        Column("kind", Text, nullable=False),
        Column("status", Text, nullable=False),
        Column("created_at", Double, nullable=False),
        Column("started_at", Double),
        Column("ended_at", Double),
        Column("error", Text),
        Column("request", Text, nullable=False),
        Column("result", Text),
    )
    op.create_index("jobs_by_owner", "jobs", ["owner", "created_at", "id"])
    op.create_index("jobs_by_status", "jobs", ["status", "ended_at"])
    op.create_table(
        "job_events",
        Column("job_id", Text, ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True),
        Column("sequence", Integer, primary_key=True),
        Column("data", Text, nullable=False),
    )
