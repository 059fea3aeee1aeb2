"""Images that callers give in a request: which kinds, and whether they are what they say."""

from __future__ import annotations

import base64
import binascii

from ..errors import InvalidRequest

TYPES = ("image/png", "image/jpeg", "image/gif", "image/webp")


def check_image(media_type: str, data: str, where: str) -> None:
    """Check that base64 holds an image of a known type, by the first bytes.

    Raises:
        InvalidRequest: it does not, naming the field `where`.
    """
    if media_type not in TYPES:
        raise InvalidRequest(f"{where} must be one of {', '.join(TYPES)}", param=where)
    try:
        head = base64.b64decode(data, validate=True)[:12]
    except binascii.Error:
        raise InvalidRequest(f"{where} is not valid base64", param=where) from None
    if type_of(head) != media_type:
        raise InvalidRequest(f"{where} is not an image of type {media_type}", param=where)


def type_of(data: bytes) -> str | None:
    """The type of an image by its first 12 bytes, or None when it is none of `TYPES`."""
    match data[:12]:
        case head if head.startswith(b"\x89PNG\r\n\x1a\n"):
            return "image/png"
        case head if head.startswith(b"\xff\xd8\xff"):
            return "image/jpeg"
        case head if head.startswith((b"GIF87a", b"GIF89a")):
            return "image/gif"
        case head if head.startswith(b"RIFF") and head.endswith(b"WEBP"):
            return "image/webp"
    return None
