"""The tables as they are at the newest revision; `migrations` is how a file gets there."""

from __future__ import annotations

from sqlalchemy import Column, Double, Index, MetaData, Table, Text

REVISIONS = ("0001",)
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
