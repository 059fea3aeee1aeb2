"""A daemon before all three CLIs at once, and callers of every dialect who bring results to it.

The model behind each CLI is scripted by the prompt's first word, its topic: it calls the tool
with the topic, and once there are results it repeats the last one. So a conversation says the
same in whatever agent it is continued.
"""

from __future__ import annotations

import json
import re
import signal
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
from aiohttp import ClientSession, ClientTimeout

from clinvkd.pool.descendants import MARKER

from ..api.service import eventually
from ..daemon import Daemon, daemon
from ..providers import FakeProvider, RecordedRequest, Reply, ToolCall
from ..real_agents import AGENTS, prepare

CLIS = ("claude", "codex", "gemini")
SHOWN = {"claude": "{}", "codex": "{}", "gemini": "mcp_clinvk_{}"}
"""How the model of each CLI knows a tool of the caller's."""

MODELS = {"claude": "claude-sonnet-4-5", "codex": "fake-1", "gemini": "gemini-2.5-flash"}
LOOK_UP = "look_up"
SCHEMA = {
    "type": "object",
    "properties": {"topic": {"type": "string"}},
    "required": ["topic"],
}


def answer(cli: str, request: RecordedRequest) -> Reply:
    """What the model behind `cli` says: a call at first, and the last result after that."""
    said = request.conversation.utterances
    results = [utterance.text for utterance in said if utterance.role == "tool"]
    if results:
        found = re.findall(r"found \w+", results[-1])
        return Reply(text=f"So I {found[-1] if found else 'am lost'}.")
    topic = next(utterance.text for utterance in said if utterance.role == "user").split()[0]
    return Reply(tools=(ToolCall(SHOWN[cli].format(LOOK_UP), {"topic": topic}),))


@dataclass
class Caller(ABC):
    """One conversation, as a caller of some dialect leads it.

    Attributes:
        calls: ids of the calls that wait for results, with the topic of each.
        text: of the latest answer.
    """

    http: ClientSession
    url: str
    cli: str
    calls: dict[str, str] = field(default_factory=dict)
    text: str = ""
    path = ""

    async def ask(self, topic: str) -> None:
        """Ask for a topic; the model has to call for it."""
        self._say(f"{topic} please")
        await self._send()
        assert list(self.calls.values()) == [topic]

    async def bring(self) -> None:
        """Bring what was found, and take the answer."""
        for call, topic in self.calls.items():
            self._give(call, f"found {topic}")
        self.calls = {}
        await self._send()
        assert not self.calls

    async def _send(self) -> None:
        model = f"{self.cli}/{MODELS[self.cli]}"
        body = {"model": model, **self._body()}
        async with self.http.post(self.url + self.path, json=body) as response:
            answered = await response.json()
            assert response.status == 200, answered
        self.text = ""
        self._take(answered)

    @abstractmethod
    def _say(self, text: str) -> None: ...

    @abstractmethod
    def _give(self, call: str, result: str) -> None: ...

    @abstractmethod
    def _body(self) -> dict[str, Any]: ...

    @abstractmethod
    def _take(self, answered: Any) -> None: ...


@dataclass
class ChatCaller(Caller):
    """Sends the whole chat each time."""

    said: list[dict[str, Any]] = field(default_factory=list)
    path = "/openai/v1/chat/completions"

    def _say(self, text: str) -> None:
        self.said.append({"role": "user", "content": text})

    def _give(self, call: str, result: str) -> None:
        self.said.append({"role": "tool", "tool_call_id": call, "content": result})

    def _body(self) -> dict[str, Any]:
        function = {"name": LOOK_UP, "description": "Looks it up.", "parameters": SCHEMA}
        return {"messages": self.said, "tools": [{"type": "function", "function": function}]}

    def _take(self, answered: Any) -> None:
        message = answered["choices"][0]["message"]
        self.said.append(message)
        self.text = message["content"] or ""
        for call in message.get("tool_calls") or ():
            self.calls[call["id"]] = json.loads(call["function"]["arguments"])["topic"]


@dataclass
class MessagesCaller(Caller):
    """Sends all messages each time."""

    said: list[dict[str, Any]] = field(default_factory=list)
    path = "/anthropic/v1/messages"

    def _say(self, text: str) -> None:
        self.said.append({"role": "user", "content": text})

    def _give(self, call: str, result: str) -> None:
        given = {"type": "tool_result", "tool_use_id": call, "content": result}
        self.said.append({"role": "user", "content": [given]})

    def _body(self) -> dict[str, Any]:
        tool = {"name": LOOK_UP, "description": "Looks it up.", "input_schema": SCHEMA}
        return {"max_tokens": 500, "messages": self.said, "tools": [tool]}

    def _take(self, answered: Any) -> None:
        self.said.append({"role": "assistant", "content": answered["content"]})
        for block in answered["content"]:
            if block["type"] == "tool_use":
                self.calls[block["id"]] = block["input"]["topic"]
            else:
                self.text += block["text"]


@dataclass
class ResponsesCaller(Caller):
    """Sends what is new, and the id of the response before."""

    new: list[dict[str, Any]] = field(default_factory=list)
    previous: str | None = None
    path = "/openai/v1/responses"

    def _say(self, text: str) -> None:
        self.new.append({"role": "user", "content": text})

    def _give(self, call: str, result: str) -> None:
        self.new.append({"type": "function_call_output", "call_id": call, "output": result})

    def _body(self) -> dict[str, Any]:
        tool = {"name": LOOK_UP, "description": "Looks it up.", "parameters": SCHEMA}
        more = {"previous_response_id": self.previous} if self.previous else {}
        return {"input": self.new, "tools": [{"type": "function", **tool}], **more}

    def _take(self, answered: Any) -> None:
        self.new, self.previous = [], answered["id"]
        for item in answered["output"]:
            if item["type"] == "function_call":
                self.calls[item["call_id"]] = json.loads(item["arguments"])["topic"]
            elif item["type"] == "message":
                self.text += "".join(part["text"] for part in item["content"])


DIALECTS = (ChatCaller, MessagesCaller, ResponsesCaller)


class Running:
    """A daemon that serves all three CLIs."""

    def __init__(self, daemon: Daemon, http: ClientSession) -> None:
        self.daemon = daemon
        self.http = http

    def callers(self) -> list[Caller]:
        """One of every dialect for every CLI."""
        return [dialect(self.http, self.daemon.url, cli) for cli in CLIS for dialect in DIALECTS]

    async def pools(self) -> dict[str, dict[str, Any]]:
        """The figures of ``/health`` by backend."""
        async with self.http.get(f"{self.daemon.url}/health") as response:
            reports = (await response.json())["backends"]
        return {report["name"]: report["pool"] for report in reports if report["name"] in CLIS}

    async def ways(self, way: str) -> dict[str, int]:
        """How many turns of each CLI found their conversation in that way."""
        return {cli: pool["turns"].get(way, 0) for cli, pool in (await self.pools()).items()}

    async def kill_agents(self) -> None:
        """End every agent at once, as if it had crashed, and wait until that was noticed."""
        for child in self.daemon.children():
            try:
                if child.environ().get(MARKER):
                    child.kill()
            except psutil.Error:
                pass  # it ended meanwhile, or is no child of ours any more

        async def forgotten() -> bool:
            return not any(pool["parked"] for pool in (await self.pools()).values())

        await eventually(forgotten)


class Scene:
    """Providers and homes of the three CLIs, which outlive the daemons before them."""

    def __init__(self, folder: Path, providers: dict[str, FakeProvider], config: str) -> None:
        self.providers = providers
        self._folder = folder
        self._config = config

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[Running]:
        """Start a daemon; each has the same home and so the same store."""
        async with (
            daemon(self._folder / "daemon", self._config) as running,
            ClientSession(timeout=ClientTimeout(total=120)) as http,
        ):
            yield Running(running, http)
            if running.process.returncode is None:
                running.signal(signal.SIGTERM)  # in peace: killed, it would leave the agents behind
                await running.ended()


@asynccontextmanager
async def scene(
    folder: Path, says: Callable[[str, RecordedRequest], Reply] = answer, **pool: Any
) -> AsyncIterator[Scene]:
    """All three CLIs, their pools configured by `pool`, before models that say what `says` says."""
    async with AsyncExitStack() as stack:
        providers: dict[str, FakeProvider] = {}
        sections: dict[str, Any] = {"local": {"enabled": False}}
        for cli in CLIS:

            def script(request: RecordedRequest, cli: str = cli) -> Reply:
                return says(cli, request)

            provider = await stack.enter_async_context(AGENTS[cli](script))
            agent = prepare(cli, provider.url, folder)
            sections[cli] = {
                "command": [*agent.command, *(["--acp"] if cli == "gemini" else [])],
                "environment": agent.environment,
                "pool": pool,
            }
            providers[cli] = provider
        yield Scene(folder, providers, json.dumps({"backends": sections}))
