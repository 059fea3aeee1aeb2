"""The daemon as a process: its banner, its signals, its log, and what it refuses to start with."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
from aiohttp import ClientResponse, ClientSession

from clinvkd.cli import EX_CONFIG
from clinvkd.server import EX_UNAVAILABLE

from .api.service import SSE, check_events, eventually, first, sse_events, text_of
from .daemon import PATIENCE, Daemon, ask, daemon, environment, spawn

ECHO = "default_backend: echo\n"
QUICK = ECHO + "server: {shutdown_grace_secs: 0.3}\n"


@asynccontextmanager
async def streaming(running: Daemon, prompt: str) -> AsyncIterator[ClientResponse]:
    """A stream of echo that has begun."""
    body = {"prompt": prompt, "backend": "echo"}
    async with (
        ClientSession() as client,
        client.post(f"{running.url}/api/v1/prompt", json=body, headers=SSE) as response,
    ):
        assert response.status == 200
        yield response


async def events_of(response: ClientResponse) -> list[dict[str, Any]]:
    events = sse_events((await response.read()).decode())
    check_events(events)
    return events


async def refusal(home: Path, *arguments: str, **more: str) -> tuple[int | None, str]:
    """Status and message of a start that must fail, and leave nothing."""
    temporary = home / "temporary"
    temporary.mkdir()
    process = await spawn(*arguments, environ=environment(home, temporary, **more))
    async with asyncio.timeout(PATIENCE):
        out, err = await process.communicate()
    assert out == b""
    assert b"Traceback" not in err
    assert not list(temporary.iterdir())
    return process.returncode, err.decode()


async def test_the_banner_says_where_and_what(tmp_path: Path) -> None:
    async with daemon(tmp_path, ECHO) as running:
        assert running.url.startswith("http://127.0.0.1:")
        text = "\n".join(running.banner)
        assert "claude     not installed: 'claude' was not found\n" in text
        assert "echo       available" in text
        assert "Default backend: echo (configured as default_backend)." in text


@pytest.mark.skipif(shutil.which("curl") is None, reason="the printed line needs curl")
async def test_the_printed_line_works_as_pasted(tmp_path: Path) -> None:
    async with daemon(tmp_path, ECHO) as running:
        pasted = "\n".join(running.banner[running.banner.index("Try it:") + 1 :])
        shell = await asyncio.create_subprocess_exec(
            "/bin/sh", "-c", pasted, stdout=asyncio.subprocess.PIPE, env={"PATH": os.defpath}
        )
        async with asyncio.timeout(PATIENCE):
            out, _ = await shell.communicate()
        assert shell.returncode == 0
        assert text_of(sse_events(out.decode())) == "Say hello."


async def test_without_any_backend_it_says_so_and_serves(tmp_path: Path) -> None:
    off = "backends: {local: {enabled: false}, echo: {enabled: false}}"
    (tmp_path / ".clinvk").mkdir()
    (tmp_path / ".clinvk" / "config.yaml").write_text(off)
    process = await spawn("--port", "0", environ=environment(tmp_path, tmp_path))
    assert process.stdout is not None
    async with asyncio.timeout(PATIENCE):
        banner = [(await process.stdout.readline()).decode() for _ in range(5)]
        process.terminate()
        out, _ = await process.communicate()
    assert process.returncode == 0
    assert banner[0].startswith("clinvk is listening")
    assert banner[-1] == "Default backend: none (no backend is available).\n"
    assert out == b""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_told_to_stop_it_ends_streams_in_band_and_leaves_nothing(
    tmp_path: Path, number: signal.Signals
) -> None:
    async with daemon(tmp_path, QUICK) as running:
        assert (await ask(running, "warm"))[0] == 200
        agents = running.children()
        assert agents
        async with (
            streaming(running, "[[slow 600]]one two") as endless,
            streaming(running, "[[slow 0.01]]all of this comes in time") as short,
        ):
            waiting = asyncio.gather(ask(running, "[[silent 600]]never"))
            await endless.content.readuntil(b'"text":"one "')
            await short.content.readuntil(b'"text":"all "')
            await eventually(lambda: busy(running, 2))
            running.signal(number)
            last = await endless.content.read()
            assert b'"code":"shutting_down"' in last
            assert b'"type":"complete"' in last
            assert b'"exit_code":1' in last
            rest = await short.content.read()
            assert b'"exit_code":0' in rest or b'"shutting_down"' in rest
            ((status, body),) = await waiting
            assert (status, body["error"]["code"]) == (503, "shutting_down")
        assert await running.ended() == 0
        _, alive = psutil.wait_procs(agents, timeout=0)
        assert not alive
        assert not list(running.temporary.iterdir())


async def busy(running: Daemon, turns: int) -> bool:
    """Whether at least so many turns run."""
    async with ClientSession() as client, client.get(f"{running.url}/health") as response:
        body = await response.json()
    return int(sum(backend["pool"]["busy"] for backend in body["backends"])) >= turns


async def test_streams_that_end_within_the_grace_end_well(tmp_path: Path) -> None:
    async with daemon(tmp_path, ECHO) as running:
        async with streaming(running, "[[slow 0.05]]" + "word " * 8) as response:
            running.signal(signal.SIGTERM)
            await running.logged("stopping")
            events = await events_of(response)
        assert text_of(events).split() == ["word"] * 8
        assert first(events, "complete")["exit_code"] == 0
        assert await running.ended() == 0


async def test_told_to_stop_while_it_starts_it_stops(tmp_path: Path) -> None:
    """The agents are still starting: they must not be left behind."""
    async with daemon(tmp_path, QUICK) as running:
        running.signal(signal.SIGTERM)
        assert await running.ended() == 0
        assert not list(running.temporary.iterdir())


async def test_a_port_that_is_taken_is_told(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        status, message = await refusal(tmp_path, "--port", port)
    assert status == EX_UNAVAILABLE
    assert message.startswith(f"clinvk: cannot listen on 127.0.0.1:{port}: ")
    assert "address already in use" in message


async def test_no_agent_is_started_before_it_listens(tmp_path: Path) -> None:
    mark = tmp_path / "started"
    script = f"open({str(mark)!r}, 'w')"
    (tmp_path / ".clinvk").mkdir()
    (tmp_path / ".clinvk" / "config.yaml").write_text(
        "default_backend: mine\nbackends: {mine: {driver: acp, command: ["
        f'{sys.executable}, -c, "{script}"]}}}}'
    )
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        status, _ = await refusal(tmp_path, "--port", str(taken.getsockname()[1]))
    assert status == EX_UNAVAILABLE
    assert not mark.exists()


@pytest.mark.parametrize(
    ("arguments", "more", "says"),
    [
        (("--host", "0.0.0.0"), {}, "server.host: '0.0.0.0' is not a loopback address"),
        (("--host", "192.0.2.1"), {}, "server.host: '192.0.2.1' is not a loopback address"),
        (("--host", "example.org"), {}, "server.host: 'example.org' is not a loopback address"),
        ((), {"CLINVK_API_KEYS": "secret-key,a b"}, "CLINVK_API_KEYS: key 2 is not"),
        ((), {"CLINVK_SERVER__METRICS_PORT": "0"}, "server.metrics_port: is 0, allowed is null"),
        ((), {"CLINVK_SERVER__PROT": "1"}, "server.prot: unknown key"),
        ((), {"CLINVK_BACKENDS__CODEX__MODEL": "-rf"}, "backends.codex.model: model must be"),
        ((), {"CLINVK_BACKENDS__GEMINI__QUIRKS": '{"imagse": true}'}, "did you mean images?"),
    ],
)
async def test_what_it_does_not_start_with(
    tmp_path: Path, arguments: tuple[str, ...], more: dict[str, str], says: str
) -> None:
    status, message = await refusal(tmp_path, "--port", "0", *arguments, **more)
    assert status == EX_CONFIG
    assert says in message
    assert "secret-key" not in message


async def test_an_unknown_key_of_the_file_is_named(tmp_path: Path) -> None:
    (tmp_path / ".clinvk").mkdir()
    (tmp_path / ".clinvk" / "config.yaml").write_text("server: {prot: 1}\n")
    status, message = await refusal(tmp_path)
    assert status == EX_CONFIG
    assert "server.prot: unknown key, did you mean server.port?" in message


@pytest.mark.parametrize("host", ["localhost", "127.0.0.2", "::1"])
async def test_every_loopback_address_will_do(tmp_path: Path, host: str) -> None:
    if host == "::1" and not _has_ipv6():
        pytest.skip("this machine has no IPv6 loopback")
    async with daemon(tmp_path, ECHO, CLINVK_SERVER__HOST=host) as running:
        assert (await ask(running, "hello"))[1]["output"] == "hello"


def _has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


async def test_a_changed_configuration_is_taken_without_dropping_a_stream(tmp_path: Path) -> None:
    async with daemon(tmp_path, ECHO) as running:
        file = running.home / ".clinvk" / "config.yaml"
        async with streaming(running, "[[slow 0.05]]" + "word " * 20) as response:
            await response.content.readuntil(b'"text":"word "')
            file.write_text(
                ECHO + "backends:\n  echo: {system_prompt: Changed.}\n"
                "  more: {driver: acp, command: [nowhere]}\n"
            )
            running.signal(signal.SIGHUP)
            await running.logged("configuration reloaded")
            told = (await ask(running, "[[history]]"))[1]["output"]
            assert '"system":"Changed."' in told
            assert (await ask(running, "hi", backend="more"))[0] == 503
            rest = (await response.read()).decode()
        assert rest.count('"text":"word "') >= 18
        assert '"exit_code":0' in rest
        section = "backends: {echo: {system_prompt: Again.}}\n"
        file.write_text(f"{ECHO}server: {{heartbeat_secs: 1}}\n{section}")
        running.signal(signal.SIGHUP)
        await running.logged("configuration reloaded")
        assert "changes of the server section need a restart" in [
            line["event"] for line in running.log
        ]
        assert '"system":"Again."' in (await ask(running, "[[history]]"))[1]["output"]
        assert (await ask(running, "hi", backend="more"))[0] == 404


async def test_a_broken_configuration_keeps_the_old_one(tmp_path: Path) -> None:
    broken = {
        "server: {read_timeout_secs: soon}": "server.read_timeout_secs: is 'soon'",
        "server: {host: 0.0.0.0}": "server.host: '0.0.0.0' is not a loopback address",
        "backends: [": "config.yaml",
        "backends: {echo: {model: '-rf'}}": "backends.echo.model: ",
        "backends: {echo: {quirks: {nonsense: 1}}}": "backends.echo.quirks.nonsense",
    }
    async with daemon(tmp_path, ECHO + "backends: {echo: {system_prompt: Old.}}\n") as running:
        for text, says in broken.items():
            (running.home / ".clinvk" / "config.yaml").write_text(text + "\n")
            running.signal(signal.SIGHUP)
            line = await running.logged("configuration not reloaded, the old one stays")
            assert line["level"] == "error"
            assert says in line["problems"]
            assert '"system":"Old."' in (await ask(running, "[[history]]"))[1]["output"]
        running.signal(signal.SIGTERM)
        assert await running.ended() == 0


async def test_the_log_is_lines_of_json_without_what_callers_said(tmp_path: Path) -> None:
    async with daemon(tmp_path, ECHO, CLINVK_DEBUG="1") as running:
        await ask(running, "SECRET words", system_prompt="SECRET", metadata={"SECRET": "SECRET"})
        await ask(running, "SECRET [[fail SECRET]]")
        await ask(running, "hi", workdir="/SECRET")
        await ask(running, "SECRET", SECRET=1)
        running.signal(signal.SIGTERM)
        assert await running.ended() == 0
        assert "SECRET" not in str(running.log)
        requests = [line for line in running.log if line["event"] == "request"]
        assert [line["status"] for line in requests] == [200, 500, 400, 400]
        assert all(line["request_id"] and line["timestamp"] for line in requests)
