"""Stored responses."""

from __future__ import annotations

from alembic import op
from sqlalchemy import Column, Double, Text

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make the table of responses."""
    op.create_table(
        "responses",
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
    )
    op.create_index("responses_by_age", "responses", ["created_at"])
    op.create_index("responses_by_status", "responses", ["status"])
