"""The reference pages about the HTTP APIs that are made from the code: endpoints and errors.

Endpoints are those of the OpenAPI description, errors what each dialect makes of them.
"""

from __future__ import annotations

import inspect
import json
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from clinvkd.api import DIALECTS
from clinvkd.api.anthropic import AnthropicDialect
from clinvkd.api.dialect import Dialect
from clinvkd.api.native import NativeDialect
from clinvkd.api.openai import OpenAIDialect
from clinvkd.api.openapi import document
from clinvkd.errors import BackendRefused, BackendUnavailable, Canceled, ClinvkError, NotFound

REFERENCE = Path(__file__).parent / "reference"
GUIDES = Path(__file__).parent / "guides"

GENERATED = "<!-- Made by `python docs/generate.py`; do not edit. -->"

_ENDPOINTS = f"""\
# Endpoints

{GENERATED}

Every request that the daemon answers, as its [OpenAPI description](openapi.md) has them.
The request leads to what it takes and gives.
The name is the `operationId`, which generated clients name their functions after.
How failures look: [errors](errors.md).
"""

_ERRORS = f"""\
# Errors

{GENERATED}

Every error, and what each API makes of it: the HTTP status, and the words that are stable.
Messages are for people and may change.

{{EXAMPLES}}
When each of them comes, and what to do about it:
[native API](api.md#errors), [OpenAI](openai.md#what-an-error-looks-like),
[Anthropic](anthropic.md#shape-of-an-error).
`Retry-After` says when the same request may succeed, where that is known.

## All errors

{{TABLE}}"""

_CASES: Mapping[type[ClinvkError], Mapping[str, dict[str, Any]]] = {
    NotFound: {
        "the model": {"param": "model"},
        "the response to go on from": {"param": "previous_response_id"},
    },
    BackendRefused: {
        "because of the model": {"param": "model"},
        "because of the prompt": {"param": "prompt"},
    },
    BackendUnavailable: {"for now: `Retry-After` says how long": {"retry_after": 1}},
}
"""What a dialect may tell in another way than the rest of an error."""

_DIALECTS: Mapping[str, type[Dialect]] = {
    "native API": NativeDialect,
    "OpenAI": OpenAIDialect,
    "Anthropic": AnthropicDialect,
}
_MEDIA_TYPES = {
    "application/json": "JSON",
    "application/x-ndjson": "lines of JSON",
    "text/event-stream": "events",
}


def endpoints() -> str:
    """The page of all endpoints."""
    paths = document(DIALECTS)["paths"]
    parts = [_ENDPOINTS]
    for dialect in DIALECTS:
        operations = {
            f"{method.upper()} {path}": operation
            for path, methods in paths.items()
            for method, operation in methods.items()
            if operation["tags"] == [dialect.title]
        }
        everywhere = set.intersection(*(_failures(each) for each in operations.values()))
        rows = [_endpoint(title, each, everywhere) for title, each in operations.items()]
        head = ["request", "name", "what it does", "gives", "may also fail with"]
        parts.append(f"## {dialect.title}\n\n{_table(head, rows)}")
        parts.append(f"Each of them may fail with {', '.join(sorted(everywhere))}.\n")
    return "\n".join(parts)


def errors() -> str:
    """The page of all errors, as each dialect tells them."""
    rows = []
    for kind in sorted({*_all(ClinvkError)}, key=lambda kind: (kind.status, kind.code)):
        meaning = " ".join((inspect.getdoc(kind) or "").partition("\n\n")[0].split())
        rows.append([meaning.replace("``", "`"), *_told(kind(""))])
        for case, members in _CASES.get(kind, {}).items():
            rows.append([f"… {case}", *_told(kind("", **members))])
    error = NotFound("there is no backend 'x'", param="backend")
    examples = []
    for title, dialect in _DIALECTS.items():
        body = json.dumps(dialect.render_error(error, "5888e36d81735a57"), indent=2)
        examples.append(f"{title[:1].upper()}{title[1:]}:\n\n```json\n{body}\n```\n")
    head = ["what happened", *_DIALECTS]
    return _ERRORS.format(EXAMPLES="\n".join(examples), TABLE=_table(head, rows))


def _endpoint(title: str, operation: Mapping[str, Any], everywhere: set[str]) -> list[str]:
    responses: Mapping[str, Mapping[str, Any]] = operation["responses"]
    gives = [_gives(status, told) for status, told in responses.items() if int(status) < 400]
    return [
        _request(title),
        f"`{operation['operationId']}`",
        operation["summary"],
        "; ".join(gives),
        ", ".join(sorted(_failures(operation) - everywhere)),
    ]


def _failures(operation: Mapping[str, Any]) -> set[str]:
    return {status for status in operation["responses"] if int(status) >= 400}


def _gives(status: str, told: Mapping[str, Any]) -> str:
    kinds = [_MEDIA_TYPES.get(name, f"`{name}`") for name in told.get("content", {})]
    return f"{status}: {', '.join(kinds) or 'empty'}"


def _request(title: str) -> str:
    """The request, and a link to the page that has a heading for it."""
    shown = f"`{title}`"
    for page in sorted([*REFERENCE.glob("*.md"), *GUIDES.glob("*.md")]):
        if f"\n## {shown}\n" in page.read_text("utf-8"):
            return f"[{shown}]({os.path.relpath(page, REFERENCE)}#{_slug(title)})"
    return shown


def _slug(title: str) -> str:
    return re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")


def _all(kind: type[ClinvkError]) -> Iterator[type[ClinvkError]]:
    """Every error an answer can be; what only results and streams tell is none of them."""
    if kind.__module__ == ClinvkError.__module__ and kind not in (ClinvkError, Canceled):
        yield kind
    for derived in kind.__subclasses__():
        yield from _all(derived)


def _told(error: ClinvkError) -> list[str]:
    """Status and stable words in each dialect."""
    told = []
    for dialect in _DIALECTS.values():
        body = dialect.render_error(error, "")["error"]
        words = [f"`{body[member]}`" for member in ("code", "type") if body.get(member)]
        told.append(", ".join([str(dialect.status_of(error)), *words]))
    return told


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines) + "\n"
