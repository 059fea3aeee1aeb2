"""Recordings that callers give in a request, as OpenAI's APIs define them."""

from __future__ import annotations

import base64
import binascii

from ..errors import InvalidRequest
from ..prompt import Audio

FORMATS = {"wav": "audio/wav", "mp3": "audio/mp3"}
"""Media types by the names of OpenAI's `input_audio.format`."""


def audio_of(data: object, name: object, where: str) -> Audio:
    """The recording of an `input_audio` part; which backends take it is the intake's business.

    Args:
        data: the bytes in standard base64; looked at only as far as their first bytes tell.
        name: one of `FORMATS`.
        where: path of the part's member, for errors.

    Raises:
        InvalidRequest: it is none, naming the field.
    """
    media_type = FORMATS.get(name) if isinstance(name, str) else None
    if media_type is None:
        known = ", ".join(FORMATS)
        raise InvalidRequest(f"{where}.format must be one of {known}", param=f"{where}.format")
    where = f"{where}.data"
    if not isinstance(data, str):
        raise InvalidRequest(f"{where} must be base64", param=where)
    try:
        head = base64.b64decode(data, validate=True)[:12]
    except binascii.Error:
        raise InvalidRequest(f"{where} is not valid base64", param=where) from None
    if type_of(head) != media_type:
        raise InvalidRequest(f"{where} is not a recording of format {name}", param=where)
    return Audio(media_type, data)


def type_of(data: bytes) -> str | None:
    """The type of a recording by its first 12 bytes, or None when it is none of `FORMATS`."""
    if data.startswith(b"RIFF") and data[8:12] == b"WAVE":
        return "audio/wav"
    if data.startswith(b"ID3") or _is_mpeg_frame(data):
        return "audio/mp3"
    return None


def _is_mpeg_frame(data: bytes) -> bool:
    """Whether it begins with eleven ones and names a layer; AAC, which has none, looks alike."""
    return data[:1] == b"\xff" and data[1:2] >= b"\xe0" and bool(data[1] & 0x06)
