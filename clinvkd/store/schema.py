"""The tables as they are at the newest revision; `migrations` is how a file gets there."""

from __future__ import annotations

from sqlalchemy import (
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
)

REVISIONS = ("0001", "0002", "0003")
"""All revisions this program knows, oldest first."""

metadata = MetaData()

# JSON documents are plain text here: read and written whole, exactly as they were, on any
# database. They stand last, so that a look at the other columns reads none of their pages.
responses = Table(
    "responses",
    metadata,
    Column("id", Text, primary_key=True),
    Column("created_at", Double, nullable=False),
    Column("client", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("backend", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("previous_id", Text),
    Column("request", Text, nullable=False),
    Column("input_items", Text, nullable=False),
    Column("output", Text),
    Column("messages", Text, nullable=False),
    Column("binding", Text, nullable=False),
    Index("responses_by_age", "created_at"),
    Index("responses_by_status", "status"),
)

sessions = Table(
    "sessions",
    metadata,
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
    Column("head_digest", Text, nullable=False),  # of the history, see `heads`
    Column("tags", Text, nullable=False),
    Column("metadata", Text, nullable=False),
    Column("binding", Text),
    # A page of an owner's sessions, of everybody's, and the session that holds a history: all of
    # what is asked for, else the order leads SQLite to look through all of the owner's.
    Index("sessions_by_owner", "owner", "updated_at", "id"),
    Index("sessions_by_use", "updated_at", "id"),
    Index("sessions_by_head", "head_digest", "owner", "backend", "updated_at"),
)

session_messages = Table(
    "session_messages",
    metadata,
    Column("session_id", Text, ForeignKey("sessions.id", ondelete="CASCADE"), primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("created_at", Double, nullable=False),
    Column("role", Text, nullable=False),
    Column("usage", Text),
    Column("text", Text, nullable=False),  # what is searched
    Column("content", Text),  # all blocks; NULL when the text is all there is
)

session_tags = Table(
    "session_tags",
    metadata,
    Column("session_id", Text, ForeignKey("sessions.id", ondelete="CASCADE"), primary_key=True),
    Column("tag", Text, primary_key=True),
    Index("session_tags_by_tag", "tag"),
)

# How many sessions there are: to count the rows would take longer the more there are.
session_counts = Table(
    "session_counts",
    metadata,
    Column("owner", Text, primary_key=True),
    Column("backend", Text, primary_key=True),
    Column("status", Text, primary_key=True),
    Column("sessions", Integer, nullable=False),
)

jobs = Table(
    "jobs",
    metadata,
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
    Index("jobs_by_owner", "owner", "created_at", "id"),
    Index("jobs_by_status", "status", "ended_at"),
)

job_events = Table(
    "job_events",
    metadata,
    Column("job_id", Text, ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True),
    Column("sequence", Integer, primary_key=True),
    Column("data", Text, nullable=False),
)

idempotency = Table(
    "idempotency",
    metadata,
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
    Index("idempotency_by_age", "created_at"),
)

usage = Table(
    "usage",
    metadata,
    Column("day", Text, primary_key=True),
    Column("backend", Text, primary_key=True),
    Column("model", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("requests", Integer, nullable=False),
    Column("errors", Integer, nullable=False),
    Column("input_tokens", Integer, nullable=False),
    Column("output_tokens", Integer, nullable=False),
    Column("cached_tokens", Integer, nullable=False),
    Column("cache_write_tokens", Integer, nullable=False),
    Column("reasoning_tokens", Integer, nullable=False),
    Column("cost_usd", Double, nullable=False),
    Column("estimated_cost_usd", Double, nullable=False),
    Column("unpriced_requests", Integer, nullable=False),
)
