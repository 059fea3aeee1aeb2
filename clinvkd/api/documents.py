"""Documents that callers give in a request: PDFs and plain texts."""

from __future__ import annotations

import base64
import binascii
import re

from ..errors import InvalidRequest
from ..prompt import Document

_DATA_URL = re.compile(
    r"data:(?P<type>application/pdf|text/plain)(?:;[\w=.-]+)*;base64,(?P<data>.*)", re.DOTALL
)


def file_of(data: object, name: object, where: str) -> Document:
    """The document of a file's data URL; which backends take it is the intake's business.

    Raises:
        InvalidRequest: it is no data URL of a PDF or a plain text, naming the field `where`.
    """
    match = _DATA_URL.fullmatch(data) if isinstance(data, str) else None
    if match is None:
        raise InvalidRequest(
            f"{where} must be a data URL of a PDF or a plain text (data:text/plain;base64,...)",
            param=where,
        )
    title = name if isinstance(name, str) else None
    raw = _decoded(match["data"], where)
    if match["type"] == "text/plain":
        try:
            return Document("text/plain", raw.decode(), title)
        except UnicodeDecodeError:
            raise InvalidRequest(f"{where} is not UTF-8", param=where) from None
    check_pdf(match["data"], where)
    return Document("application/pdf", match["data"], title)


def check_pdf(data: str, where: str) -> None:
    """Check that base64 holds a PDF, by its first bytes.

    Raises:
        InvalidRequest: it does not, naming the field `where`.
    """
    if not _decoded(data, where).startswith(b"%PDF-"):
        raise InvalidRequest(f"{where} is not a PDF", param=where)


def _decoded(data: str, where: str) -> bytes:
    try:
        return base64.b64decode(data, validate=True)
    except binascii.Error:
        raise InvalidRequest(f"{where} is not valid base64", param=where) from None
