"""The APIs described by OpenAPI 3.1, from the declarations that requests are checked against.

Building it takes a fraction of a second of work, so nothing here is imported or run before
somebody asks for the document.
"""

from __future__ import annotations

from .document import document

__all__ = ["document"]
