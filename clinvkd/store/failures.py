"""Why the store cannot serve, as far as the store itself has to tell the reasons apart."""

from __future__ import annotations

from ..errors import StoreUnavailable


class DatabaseLocked(StoreUnavailable):
    """Another program held the database for longer than the busy timeout."""


class DatabaseCorrupt(StoreUnavailable):
    """The file is damaged, or is no database at all."""


class DatabaseTooNew(StoreUnavailable):
    """A newer clinvk has migrated the file to a form this one does not know."""
