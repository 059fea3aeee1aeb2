"""What can go wrong between a client and the daemon."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class Failure(Exception):
    """The daemon refused a request, or what was asked of an agent failed.

    Attributes:
        message: for people.
        code: stable; those of the daemon are in `clinvkd.errors`.
        type: the kind of the error, in the same words as the daemon's.
        param: path of the request field at fault, or None.
    """

    def __init__(
        self,
        message: str,
        *,
        code: str = "failed",
        type: str = "client_error",  # noqa: A002 - the name it has in every answer
        param: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.type = type
        self.param = param

    @classmethod
    def told(cls, error: Mapping[str, Any]) -> Failure:
        """The failure that an error of the native API tells of, in a body or in an event."""
        return cls(
            str(error.get("message", "it failed and did not say why")),
            code=str(error.get("code", "failed")),
            type=str(error.get("type", "server_error")),
            param=error.get("param"),
        )

    def body(self) -> dict[str, Any]:
        """It as the native API would tell it."""
        content = {
            "code": self.code,
            "message": self.message,
            "param": self.param,
            "type": self.type,
        }
        return {"error": content}


class Unreachable(Failure):
    """No daemon answers, or it stopped answering in the middle."""

    def __init__(self, message: str) -> None:
        super().__init__(message, code="unreachable", type="unreachable")
