"""Keys in the real daemon: what it starts with, what a reload does, and what nobody may see."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psutil
import pytest
from aiohttp import ClientSession, UnixConnector

from clinvkd.cli import EX_CONFIG, EX_TEMPFAIL, main
from clinvkd.config import Settings
from clinvkd.errors import ConfigError
from clinvkd.keys import Key, KeyRing, new_key
from clinvkd.keys.file import change, write_private
from clinvkd.server import _check

from ..daemon import PATIENCE, Daemon, daemon, environment, spawn

ECHO = "default_backend: echo\n"
BACKENDS = "/api/v1/backends"
PROMPT = "/api/v1/prompt"


async def refusal(home: Path, **more: str) -> tuple[int | None, str]:
    """Status and message of a start that must fail."""
    temporary = home / "temporary"
    temporary.mkdir()
    process = await spawn("--port", "0", environ=environment(home, temporary, **more))
    async with asyncio.timeout(PATIENCE):
        out, err = await process.communicate()
    assert out == b""
    assert b"Traceback" not in err
    return process.returncode, err.decode()


async def status_of(running: Daemon, key: str | None = None, path: str = BACKENDS) -> int:
    headers = {} if key is None else {"X-Api-Key": key}
    async with ClientSession() as client, client.get(running.url + path, headers=headers) as told:
        return told.status


async def reload(running: Daemon, event: str) -> dict[str, Any]:
    running.signal(signal.SIGHUP)
    return await running.logged(event)


def stand_in(home: Path, show: str) -> str:
    """A path with a stand-in for gopass."""
    (home / "bin").mkdir()
    program = home / "bin" / "gopass"
    program.write_text(f'#!/bin/sh\n[ "$1" = --version ] && echo gopass 1.16.1 && exit 0\n{show}\n')
    program.chmod(0o755)
    return f"{home / 'bin'}:{os.defpath}"


@pytest.mark.parametrize(
    ("given", "status", "says"),
    [
        ({"CLINVK_API_KEYS": " , "}, EX_CONFIG, "CLINVK_API_KEYS: is set, but holds no key"),
        ({"CLINVK_API_KEY": "two words"}, EX_CONFIG, "CLINVK_API_KEY: key 1 is not"),
        ({"file": "# no key"}, EX_CONFIG, "api-keys: no API key is left there"),
        ({"file": "MY-SECRET-KEY ci"}, EX_CONFIG, "api-keys: line 1: is not 'sha256:'"),
        ({"CLINVK_API_KEYS_GOPASS_PATH": "../x"}, EX_CONFIG, "server.api_keys_gopass_path: "),
        ({"gopass": "exit 6"}, EX_CONFIG, "gopass has no store for this user"),
        ({"gopass": "exit 11"}, EX_TEMPFAIL, "gopass cannot decrypt 'team/clinvk'"),
        (
            {"CLINVK_SERVER__CORS_ALLOWED_ORIGINS": "*"},
            EX_CONFIG,
            "server.cors_allowed_origins: '*' lets every web page in, so it needs API keys",
        ),
        (
            {"CLINVK_SERVER__HOST": "0.0.0.0"},
            EX_CONFIG,
            "server.host: '0.0.0.0' is not a loopback address",
        ),
    ],
    ids=lambda value: str(value)[:50],
)
async def test_no_source_fails_into_an_open_door(
    tmp_path: Path, given: dict[str, str], status: int, says: str
) -> None:
    more = dict(given)
    if text := more.pop("file", None):
        write_private(tmp_path / ".clinvk" / "api-keys", f"{text}\n")
    if show := more.pop("gopass", None):
        more |= {"PATH": stand_in(tmp_path, show), "CLINVK_API_KEYS_GOPASS_PATH": "team/clinvk"}
    told, message = await refusal(tmp_path, **more)
    assert told == status, message
    assert says in message
    assert "MY-SECRET-KEY" not in message
    assert "two words" not in message


def test_with_keys_it_may_listen_elsewhere() -> None:
    ring = KeyRing([Key.of(new_key())])
    for host in ("0.0.0.0", "192.0.2.1", "example.org"):
        settings = Settings.model_validate(
            {"server": {"host": host, "cors_allowed_origins": ["*"]}}
        )
        _check(settings, ring)
        with pytest.raises(ConfigError, match="clinvk keys generate"):
            _check(settings, KeyRing())


async def test_keys_come_and_go_with_a_reload(tmp_path: Path) -> None:
    file = tmp_path / ".clinvk" / "api-keys"
    first, second = new_key(), new_key()
    async with daemon(tmp_path, ECHO) as running:
        assert await status_of(running) == 200
        write_private(file, Key.of(first, "first").line())
        assert (await reload(running, "API keys reloaded"))["valid"] == 1
        assert await status_of(running) == 401
        assert await status_of(running, first) == 200
        # A wrong configuration does not keep a revoked key alive.
        change(file, lambda _: [Key.of(second, "second")])
        (running.home / ".clinvk" / "config.yaml").write_text("server: {prot: 1}\n")
        await reload(running, "API keys reloaded")
        assert await status_of(running, first) == 401
        assert await status_of(running, second) == 200
        # A source that fails opens no door, and closes none either.
        file.chmod(0o644)
        line = await reload(running, "API keys not reloaded, the old ones of that source stay")
        assert "mode 0600" in line["problems"]
        assert await status_of(running) == 401
        assert await status_of(running, second) == 200
        async with (
            ClientSession(headers={"X-Api-Key": second}) as client,
            client.get(f"{running.url}/health") as response,
        ):
            body = await response.json()
        assert body["status"] == "degraded"
        assert "mode 0600" in body["api_keys"]["stale"]
        # Without any key nobody comes in; doing without keys needs a new start.
        file.unlink()
        await reload(running, "no API key is valid any more, so nobody can come in")
        assert await status_of(running, second) == 401
        assert await status_of(running) == 401


async def test_gopass_is_asked_again_at_a_reload(tmp_path: Path) -> None:
    old, new = new_key(), new_key()
    secret = tmp_path / "secret"
    secret.write_text(old)
    path = stand_in(tmp_path, f"cat {secret}")
    more = {"PATH": path, "CLINVK_API_KEYS_GOPASS_PATH": "team/clinvk"}
    async with daemon(tmp_path, ECHO, **more) as running:
        assert await status_of(running, old) == 200
        secret.write_text(new)
        await reload(running, "API keys reloaded")
        assert await status_of(running, old) == 401
        assert await status_of(running, new) == 200
        secret.unlink()
        await reload(running, "API keys not reloaded, the old ones of that source stay")
        assert await status_of(running, new) == 200


async def test_the_printed_line_finds_the_saved_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CLINVK_HOME", str(tmp_path / ".clinvk"))
    main(["keys", "generate", "--save"], standalone_mode=False)
    key = capsys.readouterr().out.strip()
    async with daemon(tmp_path, ECHO) as running:
        assert key not in "\n".join(running.banner)
        saved = tmp_path / ".clinvk" / "client-key"
        assert f'-H "Authorization: Bearer $(cat {saved})"' in running.banner[-1]
        assert await status_of(running, saved.read_text().strip()) == 200


async def test_a_unix_socket_is_served_beside_the_port(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    mode = {"CLINVK_SERVER__UNIX_SOCKET": str(path), "CLINVK_SERVER__UNIX_SOCKET_MODE": "0666"}
    async with daemon(tmp_path, ECHO, **mode) as running:
        assert path.stat().st_mode & 0o777 == 0o666
        async with (
            ClientSession(connector=UnixConnector(str(path))) as client,
            client.get(f"http://localhost{BACKENDS}") as response,
        ):
            assert response.status == 200
        assert await status_of(running) == 200
        running.signal(signal.SIGTERM)
        assert await running.ended() == 0
    assert not path.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another user")
async def test_on_the_unix_socket_other_users_are_refused(tmp_path: Path) -> None:
    with tempfile.TemporaryDirectory(dir="/tmp") as name:  # pytest's folders are closed to others
        folder = Path(name)
        folder.chmod(0o755)  # noqa: ASYNC240 - a moment
        path = folder / "socket"
        mode = {"CLINVK_SERVER__UNIX_SOCKET": str(path), "CLINVK_SERVER__UNIX_SOCKET_MODE": "0666"}
        program = (
            "import os, socket; os.setgroups([]); os.setgid(65534); os.setuid(65534);"
            "s = socket.socket(socket.AF_UNIX);"
            f"s.connect({str(path)!r});"
            f"s.sendall(b'GET {BACKENDS} HTTP/1.1\\r\\nHost: localhost\\r\\n\\r\\n');"
            "print(s.recv(12).decode())"
        )
        async with daemon(tmp_path, ECHO, **mode):
            done = await asyncio.to_thread(
                subprocess.run,
                [sys.executable, "-c", program],
                capture_output=True,
                text=True,
                timeout=60,
                check=True,
            )
    assert done.stdout == "HTTP/1.1 403\n"


@pytest.mark.parametrize("place", ["file", "/nowhere/at/all/socket"])
async def test_a_socket_that_cannot_be_made_stops_the_start(tmp_path: Path, place: str) -> None:
    path = tmp_path / place
    if place == "file":
        path.write_text("mine")
    status, message = await refusal(tmp_path, CLINVK_SERVER__UNIX_SOCKET=str(path))
    assert status == 69
    assert f"clinvk: cannot listen on {path}: " in message


async def test_a_key_is_seen_nowhere(tmp_path: Path) -> None:
    """Neither valid keys nor wrong ones, however they came."""
    variable, filed, secret = (f"{place}-{new_key()}" for place in ("variable", "file", "gopass"))
    wrong = f"wrong-{new_key()}"
    store = tmp_path.parent / f"{tmp_path.name}-store"
    store.write_text(secret)
    path = stand_in(tmp_path, f"cat {store}")
    write_private(tmp_path / ".clinvk" / "api-keys", Key.of(filed, "filed").line())
    more = {
        "PATH": path,
        "CLINVK_API_KEYS": variable,
        "CLINVK_API_KEYS_GOPASS_PATH": "team/clinvk",
        "CLINVK_DEBUG": "1",
    }
    said: list[str] = []
    async with daemon(tmp_path, ECHO, **more) as running, ClientSession() as client:

        async def ask(method: str, target: str, headers: Mapping[str, str], **body: Any) -> int:
            options: dict[str, Any] = {"json": body} if body else {}
            url = running.url + target
            async with client.request(method, url, headers=headers, **options) as response:
                said.extend((await response.text(), str(response.raw_headers)))
                return response.status

        for key in (variable, filed, secret):
            for headers in ({"Authorization": f"Bearer {key}"}, {"X-Api-Key": key}):
                assert await ask("POST", PROMPT, headers, prompt="hi", backend="echo") == 200
            assert await ask("GET", f"{BACKENDS}?api_key={key}", {}) == 200
            assert (
                await ask("GET", f"/nothing?api_key={key}", {"Referer": f"http://x/?k={key}"})
                == 404
            )
            assert await ask("POST", PROMPT, {"X-Api-Key": key}, prompt="[[fail no]]") == 500
            assert await ask("POST", PROMPT, {"X-Api-Key": key}, prompt=1) == 400
        assert await ask("GET", f"{BACKENDS}?api_key={wrong}", {}) == 401
        assert await ask("GET", BACKENDS, {"Authorization": f"Bearer {wrong}"}) == 401
        assert await ask("GET", "/health", {"X-Api-Key": variable}) == 200
        await reload(running, "API keys reloaded")
        children = running.children()
        assert children
        seen = [_seen(child) for child in children]
        seen += [" ".join(psutil.Process(running.process.pid).cmdline())]
        files = [file for folder in (tmp_path, running.temporary) for file in folder.rglob("*")]
        seen += [file.read_bytes().decode("latin-1") for file in files if file.is_file()]
        running.signal(signal.SIGTERM)
        assert await running.ended() == 0
    seen += [str(running.log), *running.banner, *said]
    for key in (variable, filed, secret, wrong):
        random_part = key.rpartition("clinvk_")[2]
        assert not [text[:200] for text in seen if random_part in text], key
    clients = {line.get("client") for line in running.log if line["event"] == "request"}
    assert clients == {Key.of(variable).name, "filed", Key.of(secret).name, None}


def _seen(process: psutil.Process) -> str:
    return f"{process.environ()} {process.cmdline()}"
