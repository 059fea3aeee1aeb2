"""A real Prometheus scrapes a daemon as the guide says, and answers what the dashboard asks."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import shutil
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from aiohttp import ClientSession

from clinvkd.keys import Key, KeyRing

from ..api.service import Service, serving
from ..markdown import blocks

DOCS = Path(__file__).parents[2] / "docs"
GUIDE = DOCS / "guides" / "monitoring.md"
DASHBOARD = DOCS / "monitoring" / "grafana-dashboard.json"
SECRET = "the-key-of-prometheus"
PORT = 8080
PATIENCE = 100.0
COSTS = {"Cost in the last 24 h A", "Cost by backend A"}
"""Questions without an answer here: echo costs nothing."""

pytestmark = [
    pytest.mark.skipif(
        shutil.which("prometheus") is None, reason="prometheus is not installed (Debian)"
    ),
    pytest.mark.timeout(240),
]


def configuration(service: Service, folder: Path) -> dict[str, Any]:
    """What the guide says about a key in a file, with real addresses, and in a hurry."""
    documented = (yaml.safe_load(text) for text in blocks(GUIDE, "yml"))
    config = next(each for each in documented if "authorization" in str(each))
    (job,) = config["scrape_configs"]
    assert job["static_configs"] == [{"targets": [f"127.0.0.1:{PORT}"]}]
    job["static_configs"] = [{"targets": [f"127.0.0.1:{service.port}"]}]
    (folder / "key").write_text(SECRET)
    job["authorization"]["credentials_file"] = str(folder / "key")
    config["global"] = {"scrape_interval": "1s", "scrape_timeout": "1s"}
    return dict(config)


class Prometheus:
    """A running one."""

    def __init__(self, client: ClientSession, url: str) -> None:
        self._client = client
        self._url = url

    async def query(self, expression: str) -> list[Any]:
        """The series that an expression gives now."""
        parameters = {"query": expression}
        async with self._client.get(f"{self._url}/api/v1/query", params=parameters) as response:
            told = await response.json()
        assert told["status"] == "success", (expression, told)
        return list(told["data"]["result"])


@asynccontextmanager
async def prometheus(service: Service, folder: Path) -> AsyncIterator[Prometheus]:
    config = folder / "prometheus.yml"
    config.write_text(yaml.safe_dump(configuration(service, folder)))
    process = await asyncio.create_subprocess_exec(
        "prometheus", f"--config.file={config}", f"--storage.tsdb.path={folder / 'series'}",
        "--web.listen-address=127.0.0.1:0",
        stdin=DEVNULL, stdout=DEVNULL, stderr=PIPE,
    )  # fmt: skip
    try:
        async with asyncio.timeout(PATIENCE):
            address = await _address(process)
        async with ClientSession() as client:
            yield Prometheus(client, f"http://{address}")
    finally:
        process.kill()
        await process.communicate()


async def _address(process: Process) -> str:
    """Where it listens, once it answers."""
    assert process.stderr is not None
    address = ""
    async for line in process.stderr:
        if found := re.search(rb'msg="Listening on".* address=(\S+)', line):
            address = found[1].decode()
        if b"Server is ready" in line:
            return address
    raise AssertionError("prometheus did not start")


def questions() -> dict[str, str]:
    """The expressions of the dashboard, as Grafana asks them for everything of the last moments."""
    panels = json.loads(DASHBOARD.read_text())["panels"]
    asked = {}
    for panel in panels:
        for target in panel.get("targets", []):
            expression = target["expr"].replace("$__rate_interval", "1m")
            expression = re.sub(r"\$(instance|backend)", ".+", expression)
            asked[f"{panel['title']} {target['refId']}"] = expression
    return asked


async def without_answer(running: Prometheus) -> set[str]:
    """The questions that nothing answers, at the latest when patience ends."""
    empty = set(questions())
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(PATIENCE):
            while empty - COSTS:  # a scrape tells nobody of itself
                for name, expression in questions().items():
                    if name in empty and await running.query(expression):
                        empty.discard(name)
                await asyncio.sleep(0.2)
    return empty


async def test_the_dashboard_has_something_to_show(tmp_path: Path) -> None:
    ring = KeyRing([Key.of(SECRET, "prometheus")])
    async with serving(tmp_path, ring, server={"metrics_enabled": True}) as service:
        service.client.session.headers["Authorization"] = f"Bearer {SECRET}"
        assert await service.text("Hello there.")
        assert (await service.post(prompt="[[fail out of luck]]")).status == 500
        async with prometheus(service, tmp_path) as running:
            empty = await without_answer(running)
            assert empty == COSTS
            for variable in ("instance", "backend"):
                assert await running.query(f"count by ({variable}) (clinvk_backend_available)")
