"""Every cell of the table on every route; the table in the documentation is what came out."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace

import pytest
import pytest_asyncio

from clinvkd.api import dialect_of
from clinvkd.keys import Key, KeyRing

from .cells import ALLOWED, ALLOWED_HOST, CELLS, KEY, PORT, Cell
from .page import check_page
from .routes import BODIES, Route, declared, every_route
from .stage import Reply, Stage, head_of, send, staged

pytestmark = pytest.mark.asyncio(loop_scope="session")

ROUTES = every_route()
SERVER = {
    "allowed_hosts": [ALLOWED_HOST],
    "cors_allowed_origins": [ALLOWED],
    "metrics_enabled": True,
}
AT_ONCE = 8


@dataclass(slots=True)
class Gate:
    """A daemon without keys, one with a key, and what each cell came to."""

    open: Stage
    keyed: Stage
    results: dict[str, str] = field(default_factory=dict)
    _plain: dict[tuple[bool, int], int] = field(default_factory=dict)

    async def plain_status(self, route: Route, *, keyed: bool) -> int:
        """What a request that is right is answered with."""
        place = keyed, ROUTES.index(route)
        if place not in self._plain:
            self._plain[place] = (await self.ask(route, keyed=keyed)).status
        return self._plain[place]

    async def ask(self, route: Route, cell: Cell | None = None, *, keyed: bool = False) -> Reply:
        """A request to a route, changed as the cell says."""
        stage = self.keyed if keyed else self.open
        headers = dict(route.headers or {})
        if keyed:
            headers["Authorization"] = f"Bearer {KEY}"
        if cell is None:
            return await send(stage.port, head_of(replace(route, headers=headers)))
        changed = replace(
            route,
            headers=headers,
            method=cell.method or route.method,
            body=None if cell.method == "OPTIONS" else route.body,
        )
        request = head_of(
            changed,
            [line.replace(PORT, str(stage.port)) for line in cell.lines],
            without=cell.without,
            target=cell.target
            and cell.target.format(target=route.target, joint="&" if "?" in route.target else "?"),
            version=cell.version,
        )
        # Who shows wrong keys too often is told to wait: here each route is asked by another.
        sender = f"127.0.2.{1 + ROUTES.index(route)}" if keyed else None
        return await send(stage.port, request, sender=sender)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def gate(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Gate]:
    ring = KeyRing([Key.of(KEY, "tester")])
    folder = tmp_path_factory.mktemp("gate")
    (folder / "open").mkdir()
    (folder / "keyed").mkdir()
    async with staged(folder / "open", server=SERVER) as without_keys:
        await without_keys.engine.store.responses.get("opened", "")  # migrations are not reentrant
        async with staged(folder / "keyed", ring, server=SERVER) as with_keys:
            yield Gate(without_keys, with_keys)


async def test_every_route_is_listed() -> None:
    assert set(BODIES) == declared()


async def test_every_route_answers_a_request_that_is_right(gate: Gate) -> None:
    for keyed in (False, True):
        for route in ROUTES:
            status = await gate.plain_status(route, keyed=keyed)
            there = (route.method, route.path) in BODIES and "{" not in route.path
            assert status in ({200, 204} if there else {200, 404}), route


@pytest.mark.parametrize("cell", CELLS, ids=str)
async def test_cell(gate: Gate, cell: Cell) -> None:
    """On all routes it is about, the answer is the same one, in the form of the dialect."""
    turns = gate.open.turns(), gate.keyed.turns()
    routes = [route for route in ROUTES if cell.on(route)]
    assert routes
    slots = asyncio.Semaphore(AT_ONCE)

    async def check(route: Route) -> None:
        async with slots:
            reply = await gate.ask(route, cell, keyed=cell.keyed)
        if cell.outcome == "accepted":
            plain = await gate.plain_status(route, keyed=cell.keyed)
            assert reply.status == plain, (route, reply)
            return
        assert reply.status == cell.outcome, (route, reply)
        if reply.body and reply.status != 204:
            error = json.loads(reply.body)["error"]
            assert error["message"], route
            assert "evil" not in reply.body
        if cell.outcome in (403, 401, 413, 415):
            header = dialect_of(route.path).request_id_header.lower()
            assert header in reply.headers, route

    async with asyncio.TaskGroup() as group:
        for route in routes:
            group.create_task(check(route))
    if cell.outcome != "accepted":
        assert (gate.open.turns(), gate.keyed.turns()) == turns
    gate.results[str(cell)] = str(cell.outcome)


async def test_the_page_shows_what_came_out(gate: Gate) -> None:
    if len(gate.results) < len(CELLS):
        pytest.skip("not all cells were tested")
    rows = ["| | request | answer |", "| --- | --- | --- |"]
    for cell in CELLS:
        outcome = gate.results[str(cell)]
        rows.append(f"| {cell.topic} | {cell.request} | {outcome} |")
    note = (
        "Each row holds on every route, on those that stream in both ways, and where there is no"
        " route. `accepted`: it is answered as it is without what the row is about."
    )
    check_page("gate", [*rows, "", note])
