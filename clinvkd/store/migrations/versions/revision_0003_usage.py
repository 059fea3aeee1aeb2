"""What was used: by day, backend, model and key."""

from __future__ import annotations

from alembic import op
from sqlalchemy import Column, Double, Integer, Text

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "usage",
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
