"""What callers may say about sessions."""

from __future__ import annotations

from typing import get_args

from ..errors import InvalidRequest
from ..store import SessionStatus

MOST_LISTED = 1_000
"""Most sessions of one page."""

TITLE_LENGTH = 200
"""Most characters of a title that a caller gives."""

MOST_TAGS = 32
TAG_LENGTH = 64

_MOST_OFFSET = 2**31 - 1


def check_page(limit: int, offset: int) -> None:
    """Refuse a page that nobody can have.

    Raises:
        InvalidRequest: naming `limit` or `offset`.
    """
    if not 1 <= limit <= MOST_LISTED:
        raise InvalidRequest(f"limit must be from 1 to {MOST_LISTED}", param="limit")
    if not 0 <= offset <= _MOST_OFFSET:
        raise InvalidRequest(f"offset must be from 0 to {_MOST_OFFSET}", param="offset")


def check_title(title: str) -> None:
    """Refuse a title that a session cannot have.

    Raises:
        InvalidRequest: it is too long, or not one line of text.
    """
    if len(title) > TITLE_LENGTH or not title.isprintable():
        raise InvalidRequest(
            f"title must be one line of at most {TITLE_LENGTH} characters", param="title"
        )


def check_tags(tags: tuple[str, ...]) -> None:
    """Refuse tags that a session cannot have.

    Raises:
        InvalidRequest: naming the tag at fault.
    """
    if len(tags) > MOST_TAGS:
        raise InvalidRequest(f"a session has at most {MOST_TAGS} tags", param="tags")
    for index, tag in enumerate(tags):
        if not 1 <= len(tag) <= TAG_LENGTH or not tag.isprintable():
            raise InvalidRequest(
                f"tags[{index}] must be one line of 1 to {TAG_LENGTH} characters",
                param=f"tags[{index}]",
            )


def status_of(text: str) -> SessionStatus:
    """The status of that name.

    Raises:
        InvalidRequest: there is none such.
    """
    known: tuple[SessionStatus, ...] = get_args(SessionStatus)
    for status in known:
        if text == status:
            return status
    raise InvalidRequest(f"status must be one of {', '.join(known)}", param="status")
