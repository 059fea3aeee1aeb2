"""What a request is made of on the command line: the prompt, the options of an agent, files."""

from __future__ import annotations

import functools
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, get_args

import click

from ..prompt import Approval, Sandbox

_Function = TypeVar("_Function", bound=Callable[..., Any])

_LIMIT = click.IntRange(min=1)

_OPTIONS = (
    click.option("-m", "--model", help="Model: the agent's name, or fast, balanced, best."),
    click.option(
        "-w",
        "--workdir",
        type=click.Path(file_okay=False, resolve_path=True),
        metavar="DIRECTORY",
        help="Directory to work in; without one the agent works in a private, empty one.",
    ),
    click.option(
        "--approval-mode",
        type=click.Choice(get_args(Approval)),
        help="What happens when the agent would ask before it acts.",
    ),
    click.option(
        "--sandbox-mode", type=click.Choice(get_args(Sandbox)), help="Where the agent may write."
    ),
    click.option("--system-prompt", metavar="TEXT", help="Replaces the agent's own."),
    click.option("--max-tokens", type=_LIMIT, metavar="NUMBER", help="Most tokens of an answer."),
    click.option(
        "--max-turns", type=_LIMIT, metavar="NUMBER", help="Most rounds of the agent's own tools."
    ),
    click.option(
        "--extra",
        multiple=True,
        metavar="OPTION",
        help="Further --name=value from the backend's list; may be given several times.",
    ),
)

backend_option = click.option("-b", "--backend", help="Backend to ask; else the default backend.")

dry_run_option = click.option(
    "--dry-run", is_flag=True, help="Tell what would be started and sent; run nothing."
)

background_option = click.option(
    "--background", is_flag=True, help="Make a job of it, and print its id at once."
)

idempotency_option = click.option(
    "--idempotency-key",
    metavar="KEY",
    help="The same request with the same key is carried out once, and to its end, also when it is"
    " interrupted and sent again.",
)


def agent_options(function: _Function) -> _Function:
    """Add the options of an agent; the function gets those that were given as `agent`."""
    names = (
        "model", "workdir", "approval_mode", "sandbox_mode", "system_prompt", "max_tokens",
        "max_turns", "extra",
    )  # fmt: skip

    @functools.wraps(function)
    def gathered(**options: Any) -> Any:
        agent = {name: options.pop(name) for name in names}
        agent["extra"] = list(agent["extra"])
        return function(agent=given(**agent), **options)

    for option in reversed(_OPTIONS):
        gathered = option(gathered)
    return gathered  # type: ignore[return-value]


def given(**members: Any) -> dict[str, Any]:
    """The members of a body that say something."""
    return {name: value for name, value in members.items() if value not in (None, "", [], False)}


def prompt_text(argument: str | None) -> str:
    """The prompt: the argument, or without one, and for `-`, all of standard input.

    Raises:
        UsageError: there is none, or it is no Unicode text.
    """
    if argument not in (None, "-"):
        text = str(argument)
    elif argument is None and sys.stdin.isatty():
        raise click.UsageError("give a prompt, or send one to standard input")
    else:
        text = _decoded(sys.stdin.buffer.read(), "standard input")
    if not text.strip():
        raise click.UsageError("the prompt is empty")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise click.UsageError("the prompt is no UTF-8 text") from None
    return text


def json_object(file: str, member: str) -> dict[str, Any]:
    """The JSON object in a file, or for `-` on standard input.

    Args:
        member: the list it must have; a list alone is taken for it.

    Raises:
        UsageError: it cannot be read, or is something else.
    """
    name = "standard input" if file == "-" else file
    found = _json(sys.stdin.buffer.read() if file == "-" else _bytes(Path(file)), name)
    if isinstance(found, list):
        return {member: found}
    if not isinstance(found, dict) or not isinstance(found.get(member), list):
        raise click.UsageError(f"{name}: must be a JSON object with a list {member!r}")
    return found


def json_schema_of(file: Path) -> Any:
    """What a file with a JSON Schema holds; the daemon checks it.

    Raises:
        UsageError: it cannot be read, or is no JSON.
    """
    return _json(_bytes(file), str(file))


def absolute(part: dict[str, Any]) -> None:
    """Make the workdir of a task or step absolute, as the daemon wants it."""
    match part.get("workdir"):
        case str(workdir) if workdir:
            part["workdir"] = str(Path(workdir).absolute())


def keyed(key: str | None) -> dict[str, str]:
    """The headers that carry an idempotency key, if there is one.

    Raises:
        UsageError: no header can hold it; the daemon judges the others.
    """
    if key and not key.isprintable():
        raise click.UsageError("--idempotency-key: must hold printable characters only")
    return {"Idempotency-Key": key} if key else {}


def _bytes(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise click.UsageError(f"{file}: cannot be read: {error.strerror}") from None


def _json(data: bytes, name: str) -> Any:
    try:
        return json.loads(_decoded(data, name))
    except ValueError as error:
        raise click.UsageError(f"{name}: is no JSON: {error}") from None
    except RecursionError:
        raise click.UsageError(f"{name}: is nested too deeply") from None


def _decoded(data: bytes, name: str) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise click.UsageError(f"{name}: is no UTF-8 text") from None
