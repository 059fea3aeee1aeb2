"""Pages for people: files of this package, the same for everybody, under a strict policy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web

from ..errors import NotFound
from .endpoint import Returns

WEB = Path(__file__).parent.parent / "web"
"""Where the pages lie, each in a folder of its own."""

PAGE_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",  # icons of Swagger UI's style sheet, pictures in conversations
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
"""What a page may load and do: nothing that does not come from here, and nothing inline."""


def file_returns(when: str, *media_types: str) -> tuple[Returns, ...]:
    """What a route of files is answered with: conditions and ranges of HTTP hold for them.

    Args:
        when: what the file is.
        media_types: those that it may have.
    """
    return (
        Returns(str, when, media_types=media_types),
        Returns(str, "The part that `Range` names.", 206, media_types),
        Returns(None, "The file is as the caller knows it.", 304),
        Returns(None, "`If-Match` or `If-Unmodified-Since` does not hold.", 412),
        Returns(None, "`Range` names no part of the file.", 416),
    )


@dataclass(frozen=True, slots=True)
class Page:
    """A page and the files it loads.

    Attributes:
        folder: where they lie, ``index.html`` among them.
        assets: the files that are served beside the page, with their media types.
        policy: the `Content-Security-Policy` of all of them.
    """

    folder: Path
    assets: Mapping[str, str]
    policy: str = PAGE_POLICY

    def index(self) -> web.FileResponse:
        """The page itself."""
        return self._file("index.html", "text/html")

    def asset(self, name: str) -> web.FileResponse:
        """A file that the page loads.

        Raises:
            NotFound: there is none of that name.
        """
        if name not in self.assets:
            raise NotFound(f"there is no {name[:80]!r} here")
        return self._file(name, self.assets[name])

    def _file(self, name: str, media_type: str) -> web.FileResponse:
        headers = {
            "Content-Type": f"{media_type}; charset=utf-8",
            "Content-Security-Policy": self.policy,
            "Cache-Control": "no-cache",  # asked for again, and answered with 304
        }
        return web.FileResponse(self.folder / name, headers=headers)
