"""`clinvk jobs`: what runs, or ran, without a caller."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Any

import click

from ..client import Client, Failure, Unreachable
from .answering import Answer
from .exit_status import FAILED, OK
from .following import followed
from .invocation import DaemonCommand, Invocation, as_json_option, asks_daemon
from .request import given, idempotency_option, keyed
from .results import print_results, status_of
from .terminal import Terminal
from .words import ago, first_line

_FINAL = ("completed", "failed", "canceled", "interrupted")
_PATIENCE = 3
"""Breaks of a stream in a row, without an event between them, after which it is given up."""


@click.group()
def jobs() -> None:
    """List, follow, cancel and resume jobs."""


@jobs.command("list", cls=DaemonCommand)
@click.option(
    "--kind", type=click.Choice(("prompt", "parallel", "chain", "compare")),
    help="Only those that do this.",
)  # fmt: skip
@click.option(
    "--status", type=click.Choice(("queued", "running", *_FINAL)), help="Only those that are so."
)
@click.option(
    "-n", "--limit", type=click.IntRange(1, 1000), default=20, show_default=True,
    metavar="NUMBER", help="Most that are listed.",
)  # fmt: skip
@click.option(
    "--offset", type=click.IntRange(min=0), metavar="NUMBER", help="How many to leave out."
)
@as_json_option
@asks_daemon
def list_jobs(
    invocation: Invocation, *, kind: str | None, status: str | None, limit: int, offset: int | None
) -> int:
    """List jobs, the newest first."""
    query = given(kind=kind, status=status, limit=str(limit))
    if offset:
        query["offset"] = str(offset)
    page = invocation.run(invocation.client.call("GET", "jobs", query=query))
    terminal = invocation.terminal
    if invocation.as_json:
        terminal.document(page)
        return OK
    table = terminal.table("job", "kind", "status", "made", "error")
    for job in page["jobs"]:
        error = job.get("error", {}).get("message", "")
        made = ago(job["created_at"])
        table.add_row(job["id"], job["kind"], job["status"], made, first_line(error))
    if page["jobs"]:
        terminal.show(table)
    terminal.note(f"({len(page['jobs'])} of {page['total']})")
    return OK


@jobs.command(cls=DaemonCommand)
@click.argument("name", metavar="ID")
@as_json_option
@asks_daemon
def show(invocation: Invocation, *, name: str) -> int:
    """Show a job: its result, or what it has said so far."""
    job = invocation.run(invocation.client.call("GET", "jobs", name))
    if invocation.as_json:
        invocation.terminal.document(job)
        return OK
    _head(invocation.terminal, job)
    _print(invocation.terminal, job)
    return OK


@jobs.command(cls=DaemonCommand)
@click.argument("name", metavar="ID")
@as_json_option
@asks_daemon
def follow(invocation: Invocation, *, name: str) -> int:
    """Show what a job says until it ends.

    Ctrl-C leaves the job running.
    """
    return _follow(invocation, name)


@jobs.command(cls=DaemonCommand)
@click.argument("name", metavar="ID")
@as_json_option
@asks_daemon
def cancel(invocation: Invocation, *, name: str) -> int:
    """Stop a job that waits or runs."""
    client = invocation.client

    async def cancel() -> dict[str, Any]:
        job = await client.call("GET", "jobs", name)
        if job["status"] in _FINAL:  # the same request would delete it
            raise Failure(
                f"the job has ended already: {job['status']}",
                code="conflict",
                type="invalid_request_error",
            )
        return await client.call("DELETE", "jobs", name)

    job = invocation.run(cancel())
    if invocation.as_json:
        invocation.terminal.document(job)
    else:
        invocation.terminal.line(f"{job['id']} {job['status']}")
    return OK


@jobs.command(cls=DaemonCommand)
@click.argument("name", metavar="ID")
@click.option("--follow", "wait", is_flag=True, help="Show what the new job says until it ends.")
@idempotency_option
@as_json_option
@asks_daemon
def resume(invocation: Invocation, *, name: str, wait: bool, idempotency_key: str | None) -> int:
    """Make a new job of the steps of a chain that did not succeed, and print its id."""
    headers = keyed(idempotency_key)
    call = invocation.client.call("POST", "jobs", name, "resume", headers=headers)
    job = invocation.run(call)
    if wait:
        return _follow(invocation, job["id"])
    if invocation.as_json:
        invocation.terminal.document(job)
    else:
        invocation.terminal.line(job["id"])
    return OK


def _follow(invocation: Invocation, name: str) -> int:
    terminal, client = invocation.terminal, invocation.client
    job = invocation.run(client.call("GET", "jobs", name))

    async def show() -> None:
        async with aclosing(_events(client, name)) as events:
            if job["kind"] != "prompt":
                await followed(terminal, job["kind"], job.get("request", {}), events)
            elif not terminal.quiet:
                await Answer(invocation).show(events)
            async for _ in events:
                pass

    try:
        invocation.run(show())
    except Unreachable:
        raise
    except Failure:
        pass  # the job tells it, too
    ended = invocation.run(client.call("GET", "jobs", name))
    if invocation.as_json:
        terminal.document(ended)
        return _status(ended)
    if error := ended.get("error"):
        terminal.report(f"clinvk: {error['message']}")
    if "result" in ended and (ended["kind"] != "prompt" or terminal.quiet):
        _print(terminal, ended)
    return _status(ended)


async def _events(client: Client, name: str) -> AsyncGenerator[dict[str, Any], None]:
    """The events of a job until its end, over as many streams as it takes."""
    last, broken = 0, 0
    while True:
        try:
            query = {"after": str(last)}
            async with client.stream("GET", "jobs", name, "events", query=query) as events:
                async for event in events:
                    last, broken = event.get("sequence", last), 0
                    yield event
            return
        except Unreachable:
            broken += 1
            if broken > _PATIENCE:
                raise


def _head(terminal: Terminal, job: Mapping[str, Any]) -> None:
    for name in ("id", "kind", "status", "created_at", "started_at", "ended_at", "key"):
        if name in job:
            terminal.line(f"{name.removesuffix('_at'):<10} {job[name]}")
    if error := job.get("error"):
        terminal.line(f"{'error':<10} {error['message']}")
    if notice := job.get("notice"):
        terminal.line(f"{'notice':<10} {notice}")


def _print(terminal: Terminal, job: Mapping[str, Any]) -> None:
    """Print the result of a job, or as long as there is none what it has said."""
    result = job.get("result")
    if result is None:
        for part in job.get("output", ()):
            terminal.line(part["output"])
    elif job["kind"] == "prompt":
        terminal.line(result["output"])
    else:
        print_results(terminal, job["kind"], result)


def _status(job: Mapping[str, Any]) -> int:
    if job["status"] != "completed":
        return FAILED
    return status_of(job["result"]) if "result" in job else OK
