"""`clinvk parallel`, `chain` and `compare`: several prompts with one command."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from ..client import Failure
from .answering import note_ignored
from .exit_status import OK
from .following import followed
from .invocation import DaemonCommand, Invocation, as_json_option, asks_daemon
from .output_files import make_directory, write_results
from .request import (
    absolute,
    agent_options,
    backend_option,
    background_option,
    dry_run_option,
    given,
    idempotency_option,
    json_object,
    keyed,
    prompt_text,
)
from .results import Result, print_results, status_of

_file_option = click.option(
    "-f", "--file", default="-", metavar="FILE", help="JSON file; standard input without one."
)


@click.command(cls=DaemonCommand)
@_file_option
@backend_option
@agent_options
@click.option(
    "--max-parallel", type=click.IntRange(min=1), metavar="NUMBER",
    help="Most tasks that run at once.  [parallel.max_workers]",
)  # fmt: skip
@click.option("--fail-fast", is_flag=True, help="Stop all others when one fails.")
@click.option(
    "--output-dir", type=click.Path(path_type=Path, file_okay=False), metavar="DIRECTORY",
    help="Write summary.json and a file for each task there.",
)  # fmt: skip
@dry_run_option
@background_option
@idempotency_option
@as_json_option
@asks_daemon
def parallel(
    invocation: Invocation,
    *,
    file: str,
    backend: str | None,
    agent: Mapping[str, Any],
    max_parallel: int | None,
    fail_fast: bool,
    output_dir: Path | None,
    dry_run: bool,
    background: bool,
    idempotency_key: str | None,
) -> int:
    """Run several prompts at once.

    The file holds {"tasks": [...]}, a task the fields of a prompt, and `id`, `name`,
    `timeout_secs`. Beside `tasks` may stand `max_parallel`, `fail_fast`, `output_dir`, `dry_run`
    and `background`. `tags` and `meta` of a task come back with its result. Options of an agent
    are for the tasks that do not say otherwise.
    """
    body = json_object(file, "tasks")
    directory = output_dir or _directory(body.pop("output_dir", None))
    about = [_taken(task, "tags", "meta") for task in body["tasks"]]
    _fill(body["tasks"], given(backend=backend, **agent))
    body |= given(max_parallel=max_parallel, fail_fast=fail_fast, dry_run=dry_run)
    if _is_job(body, background=background):
        if directory is not None:
            raise click.UsageError("a job writes no files: leave out background or output_dir")
        return _begin(invocation, "parallel", body, idempotency_key)
    if directory is not None:
        make_directory(directory)
    aggregate = invocation.settings.parallel.aggregate_output
    result = _run(invocation, "parallel", body, idempotency_key, again=aggregate)
    for part, members in zip(result["results"], about, strict=False):
        part.update(members)
    if directory is not None and not result.get("dry_run"):
        write_results(directory, result)
    return _end(invocation, "parallel", result, show=aggregate or invocation.terminal.quiet)


@click.command(cls=DaemonCommand)
@_file_option
@backend_option
@agent_options
@click.option("--input", "given_input", metavar="TEXT", help="What {{input}} stands for.")
@dry_run_option
@background_option
@idempotency_option
@as_json_option
@asks_daemon
def chain(
    invocation: Invocation,
    *,
    file: str,
    backend: str | None,
    agent: Mapping[str, Any],
    given_input: str | None,
    dry_run: bool,
    background: bool,
    idempotency_key: str | None,
) -> int:
    """Run prompts one after the other, each with what those before it answered.

    The file holds {"steps": [...]}; in a prompt, {{previous}}, {{steps.NAME.output}} and
    {{input}} stand for earlier outputs and the input. A step that fails ends the chain, unless
    the file says "stop_on_failure": false; `dry_run` and `background` may stand there, too.
    Options of an agent are for the steps that do not say otherwise.
    """
    body = {"stop_on_failure": True, **json_object(file, "steps")}
    _fill(body["steps"], given(backend=backend, **agent))
    body |= given(input=given_input, dry_run=dry_run)
    if _is_job(body, background=background):
        return _begin(invocation, "chain", body, idempotency_key)
    return _end(invocation, "chain", _run(invocation, "chain", body, idempotency_key))


@click.command(cls=DaemonCommand)
@click.argument("text", metavar="[PROMPT]", required=False)
@click.option("--backends", metavar="NAMES", help="Who is asked, with commas between them.")
@click.option("--all-backends", is_flag=True, help="Ask all that are available.")
@agent_options
@click.option("--judge", metavar="BACKEND", help="Who says which answer is the best.")
@click.option("--sequential", is_flag=True, help="Ask one after the other.")
@click.option(
    "--timeout", type=click.FloatRange(min=0, min_open=True), metavar="SECONDS",
    help="Most seconds each answer may take.",
)  # fmt: skip
@dry_run_option
@background_option
@idempotency_option
@as_json_option
@asks_daemon
def compare(
    invocation: Invocation,
    *,
    text: str | None,
    backends: str | None,
    all_backends: bool,
    agent: Mapping[str, Any],
    judge: str | None,
    sequential: bool,
    timeout: float | None,
    dry_run: bool,
    background: bool,
    idempotency_key: str | None,
) -> int:
    """Ask several backends the same, and show their answers side by side.

    A name may be BACKEND/MODEL. Without PROMPT, and for `-`, standard input is the prompt.
    """
    if bool(backends) == all_backends:
        raise click.UsageError("give either --backends or --all-backends")
    prompt = prompt_text(text)
    names = [name.strip() for name in (backends or "").split(",")]
    if all_backends:
        listed = invocation.run(invocation.client.call("GET", "backends"))["backends"]
        names = [backend["name"] for backend in listed if backend["available"]]
    body = given(judge=judge, sequential=sequential, timeout_secs=timeout, dry_run=dry_run, **agent)
    body |= {"backends": names, "prompt": prompt}
    if _is_job(body, background=background):
        return _begin(invocation, "compare", body, idempotency_key)
    return _end(invocation, "compare", _run(invocation, "compare", body, idempotency_key))


def _run(
    invocation: Invocation,
    kind: str,
    body: dict[str, Any],
    key: str | None,
    *,
    again: bool = True,
) -> dict[str, Any]:
    """The whole answer; its making is shown, `again` says whether it is printed at the end."""
    client, headers = invocation.client, keyed(key)
    if invocation.as_json:
        asked = {**body, "output_format": "json"}
        return invocation.run(client.call("POST", kind, body=asked, headers=headers))

    async def run() -> dict[str, Any]:
        async with client.stream("POST", kind, body=body, headers=headers) as events:
            note_ignored(invocation)
            result = await followed(invocation.terminal, kind, body, events, again=again)
        if result is None:
            raise Failure("the answer ended in the middle", code="unreachable", type="unreachable")
        return result

    return invocation.run(run())


def _is_job(body: Mapping[str, Any], *, background: bool) -> bool:
    """Whether the option or the file asks for a job; a dry run makes none."""
    return (background or body.get("background") is True) and not body.get("dry_run")


def _begin(invocation: Invocation, kind: str, body: dict[str, Any], key: str | None) -> int:
    asked = {**body, "background": True}
    call = invocation.client.call("POST", kind, body=asked, headers=keyed(key))
    job = invocation.run(call)
    if invocation.as_json:
        invocation.terminal.document(job)
    else:
        invocation.terminal.line(job["id"])
    return OK


def _end(invocation: Invocation, kind: str, result: Result, *, show: bool = True) -> int:
    terminal = invocation.terminal
    if invocation.as_json:
        terminal.document(result)
    elif show:
        print_results(terminal, kind, result)
    return status_of(result)


def _directory(value: object) -> Path | None:
    match value:
        case None | "":
            return None
        case str(text):
            return Path(text)
        case _:
            raise click.UsageError("output_dir: must be the name of a directory")


def _taken(task: Any, *names: str) -> dict[str, Any]:
    """Members of a task that are not for the daemon."""
    if not isinstance(task, dict):
        return {}
    return {name: task.pop(name) for name in names if name in task}


def _fill(parts: Sequence[Any], members: Mapping[str, Any]) -> None:
    """Give tasks or steps what they leave out; the daemon says what is wrong with the others."""
    for part in parts:
        if isinstance(part, dict):
            absolute(part)
            for name, value in members.items():
                part.setdefault(name, value)
