"""What clinvk adds to first text over speaking to the same warm agent directly."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path
from typing import Any

from .daemon import daemon
from .report import Section, median, seconds


async def measure(folder: Path, runs: int) -> Section:
    """The echo agent spoken to directly and through clinvk, in turns."""
    runs *= 20
    direct: list[float] = []
    through: list[float] = []
    added: list[float] = []
    async with daemon(folder, {"default_backend": "echo"}) as served:
        agent = await _Echo.start(folder)
        await served.spare("echo")
        for _ in range(20):
            await agent.ask()
            await served.ask(backend="echo", prompt="hi")
        for _ in range(runs):
            direct.append(await agent.ask())
            first, _, _ = await served.ask(backend="echo", prompt="hi")
            through.append(first)
            added.append(first - direct[-1])
        await agent.stop()
    return Section(
        "overhead",
        "What clinvk adds to first text",
        ("spoken to directly", "through clinvk", "added, median"),
        [(seconds(direct), seconds(through), f"{1000 * median(added):.2f} ms")],
        [
            (
                f"{runs} new conversations each, in turns, with the same warm `echo` agent; the"
                " HTTP client's own time is part of what is added."
            )
        ],
    )


class _Echo:
    """The shortest client of an ACP agent."""

    def __init__(self, process: asyncio.subprocess.Process, folder: Path) -> None:
        self._process = process
        self._folder = folder
        self._number = 0

    @classmethod
    async def start(cls, folder: Path) -> _Echo:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "clinvkd.agents.echo",
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        echo = cls(process, folder)
        await echo._call("initialize", {"protocolVersion": 1, "clientCapabilities": {}})
        return echo

    async def ask(self) -> float:
        """Seconds to the first text of a new conversation."""
        begin = time.perf_counter()
        session = await self._call("session/new", {"cwd": str(self._folder), "mcpServers": []})
        prompt = [{"type": "text", "text": "hi"}]
        params = {"sessionId": session["sessionId"], "prompt": prompt}
        first = 0.0
        self._send("session/prompt", params)
        while "result" not in (message := await self._read()):
            update = message.get("params", {}).get("update", {})
            if not first and update.get("sessionUpdate") == "agent_message_chunk":
                first = time.perf_counter() - begin
        await self._call("session/close", {"sessionId": session["sessionId"]})
        return first

    async def stop(self) -> None:
        self._process.terminate()
        await self._process.wait()

    async def _call(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        self._send(method, params)
        while (message := await self._read()).get("id") != self._number:
            pass
        return dict(message["result"])

    def _send(self, method: str, params: dict[str, Any]) -> None:
        self._number += 1
        message = {"jsonrpc": "2.0", "id": self._number, "method": method, "params": params}
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(message).encode() + b"\n")

    async def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        return dict(json.loads(await self._process.stdout.readline()))
