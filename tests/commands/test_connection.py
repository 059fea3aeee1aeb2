"""How commands find the daemon, what they show it, and what they say when there is none."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
import pytest

from clinvkd.client import Address, api_key, find_address, parse_address
from clinvkd.commands import invocation
from clinvkd.config import Settings
from clinvkd.errors import ConfigError
from clinvkd.keys.file import CLIENT_KEY_FILE

from ..daemon import Daemon, daemon, environment
from .running import PATIENCE, Commands, interrupted

pytestmark = pytest.mark.asyncio(loop_scope="session")

KEY = "a-key-of-sixteen-and-more"


async def test_a_daemon_is_found_by_flag_and_variable(running: Daemon, stranger: Commands) -> None:
    listed = ("sessions", "list", "--json")
    assert (await stranger(*listed)).status == 69
    assert (await stranger(*listed, "--url", running.url)).status == 0
    assert (await stranger.with_variables(CLINVK_URL=running.url)(*listed)).status == 0
    nowhere = stranger.with_variables(CLINVK_URL="http://127.0.0.1:1")
    assert (await nowhere(*listed, "--url", running.url)).status == 0


async def test_no_daemon_is_said_clearly(stranger: Commands) -> None:
    done = await stranger("prompt", "x")
    assert (done.status, done.out) == (69, "")
    assert done.err == (
        "clinvk: no clinvk daemon answers at http://127.0.0.1:1 (connection refused);"
        " start one with `clinvk serve`, or add --spawn\n"
    )
    document = await stranger("prompt", "--json", "x")
    assert (document.status, document.error["code"], document.err) == (69, "unreachable", "")


async def test_an_address_that_is_none_is_refused(stranger: Commands) -> None:
    url = "localhost:80"
    done = await stranger("prompt", "--url", url, "x")
    assert done.status == 2
    by_variable = await stranger.with_variables(CLINVK_URL=url)("prompt", "x")
    assert by_variable.status == 78
    assert "CLINVK_URL" in by_variable.err


async def test_a_wrong_configuration_is_told(stranger: Commands) -> None:
    wrong = stranger.with_variables(CLINVK_PORT="80")
    done = await wrong("prompt", "x")
    assert done.status == 78
    assert "did you mean CLINVK_SERVER__PORT" in done.err
    assert (await wrong("prompt", "--json", "x")).error["code"] == "configuration"


@asynccontextmanager
async def server(answer: Callable[[str], bytes]) -> AsyncIterator[str]:
    """A server that gives each target of a request its answer and closes; its URL."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        writer.write(answer(head.decode().split(" ")[1]))
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as listening:
        host, port = listening.sockets[0].getsockname()
        yield f"http://{host}:{port}"


EVENT = b'{"type":"message","backend":"echo","sequence":1,"content":{"text":"begun"}}\n'
CUT = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"%x\r\n%b\r\n" % (len(EVENT), EVENT)
)


@pytest.mark.parametrize(
    ("answer", "out", "says"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", "", "is no clinvk daemon (HTTP 200"),
        (b"HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\n\r\n", "", "(HTTP 302"),
        (b"HTTP/1.1 500 No\r\nContent-Length: 2\r\n\r\n[]", "", "(HTTP 500"),
        (b"", "", "no clinvk daemon answers"),
        (CUT, "begun\n", "went away in the middle"),
        (CUT + b"0\r\n\r\n", "begun\n", "ended in the middle"),
    ],
)
async def test_strange_servers(stranger: Commands, answer: bytes, out: str, says: str) -> None:
    async with server(lambda _: answer) as url:
        done = await stranger("prompt", "--url", url, "x")
    assert (done.status, done.out) == (69, out)
    assert says in done.err


async def test_a_stream_of_a_job_that_breaks_off_is_taken_up_again(stranger: Commands) -> None:
    job = b'{"id":"1","kind":"prompt","status":"completed","result":{"output":"","exit_code":0}}'
    complete = EVENT.replace(b'"message"', b'"complete"').replace(b":1,", b":2,")
    answers = {
        "/api/v1/jobs/1": b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(job), job),
        "/api/v1/jobs/1/events?after=0": CUT,
        "/api/v1/jobs/1/events?after=1": CUT.replace(
            b"%x\r\n%b" % (len(EVENT), EVENT), b"%x\r\n%b" % (len(complete), complete)
        )
        + b"0\r\n\r\n",
    }
    async with server(answers.__getitem__) as url:
        done = await stranger("jobs", "follow", "--url", url, "1")
    assert (done.status, done.out, done.err) == (0, "begun\n", "")


async def test_keys(tmp_path: Path, stranger: Commands) -> None:
    home = tmp_path / "keyed"
    async with daemon(home, "default_backend: echo\n", CLINVK_API_KEYS=KEY) as keyed:
        own = Commands(environment(home, tmp_path, CLINVK_URL=keyed.url), tmp_path)
        assert (await own("prompt", "x")).status == 77
        assert (await own("prompt", "--api-key", "wrong", "x")).status == 77
        assert (await own("prompt", "--json", "x")).error["code"] == "unauthorized"
        assert (await own("prompt", "--api-key", KEY, "x")).status == 0
        assert (await own.with_variables(CLINVK_API_KEY=KEY)("prompt", "x")).status == 0
        wrong = own.with_variables(CLINVK_API_KEY="wrong")
        assert (await wrong("prompt", "--api-key", KEY, "x")).status == 0
        file = home / ".clinvk" / "client-key"
        file.touch(0o600)
        file.write_text(f"{KEY}\n")
        assert (await own("prompt", "x")).status == 0
        assert (await wrong("prompt", "x")).status == 77
        file.chmod(0o644)
        exposed = await own("prompt", "x")
        assert exposed.status == 78
        assert "others can read it" in exposed.err


async def test_a_daemon_for_one_command(stranger: Commands) -> None:
    done = await stranger("prompt", "--spawn", "-b", "echo", "one two")
    assert (done.status, done.out, done.err) == (0, "one two\n", "")
    assert not left_of(stranger)
    process = await stranger.begin("prompt", "--spawn", "-b", "echo", "[[slow 600]]first then")
    assert process.stdout is not None
    async with asyncio.timeout(PATIENCE):
        await process.stdout.readexactly(6)
    assert left_of(stranger)
    assert (await interrupted(process)).status == 130
    assert not left_of(stranger)


def left_of(commands: Commands) -> list[psutil.Process]:
    """The processes that run in the home of these commands."""
    home = commands.environ["CLINVK_HOME"]
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("CLINVK_HOME") == home:
                found.append(process)
        except psutil.Error:
            continue
    return found


async def test_spawn_takes_the_daemon_that_is_there(running: Daemon, stranger: Commands) -> None:
    """One of its own would have a default backend that is not installed."""
    elsewhere = stranger.with_variables(CLINVK_BACKEND="claude")
    assert (await elsewhere("prompt", "--spawn", "x")).status == 75
    assert (await elsewhere("prompt", "--spawn", "--url", running.url, "x")).out == "x\n"


async def test_a_daemon_that_does_not_start_says_why(stranger: Commands) -> None:
    keys = Path(stranger.environ["CLINVK_HOME"]) / "api-keys"
    keys.touch(0o600)
    done = await stranger("prompt", "--spawn", "x")
    assert done.status == 69
    assert "no API key is left there" in done.err


# The parts.


def settings(**server: object) -> Settings:
    return Settings.model_validate({"server": server})


@pytest.mark.parametrize(
    ("server", "found"),
    [
        ({}, "http://127.0.0.1:8080"),
        ({"host": "0.0.0.0", "port": 9}, "http://127.0.0.1:9"),
        ({"host": "::"}, "http://[::1]:8080"),
        ({"host": "localhost"}, "http://localhost:8080"),
        ({"unix_socket": "/no/such/socket"}, "http://127.0.0.1:8080"),
    ],
)
async def test_the_configuration_tells_the_address(server: dict[str, object], found: str) -> None:
    address = find_address(None, settings(**server), {})
    assert (str(address), address.own) == (found, True)


async def test_a_port_that_nobody_knows_is_no_address() -> None:
    with pytest.raises(ConfigError, match=r"server\.port: is 0"):
        find_address(None, settings(port=0), {})


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("http://127.0.0.1:80", Address("http://127.0.0.1:80")),
        ("https://clinvk.example/base/", Address("https://clinvk.example/base", own=False)),
        ("http://[::1]:80/", Address("http://[::1]:80")),
        ("unix:/run/c.sock", Address("http://localhost", Path("/run/c.sock"))),
        ("unix:///run/c.sock", Address("http://localhost", Path("/run/c.sock"))),
    ],
)
async def test_addresses(text: str, address: Address) -> None:
    assert parse_address(text) == address


@pytest.mark.parametrize(
    "text", ["", "http://", "http://h:99999", "unix:", "http://h?x=1", "ftp://h", "localhost:80"]
)
async def test_no_addresses(text: str) -> None:
    with pytest.raises(ValueError, match=r"HOST:PORT|absolute path"):
        parse_address(text)


async def test_an_address_holds_no_password() -> None:
    with pytest.raises(ValueError, match="API key"):
        parse_address("http://user:secret@127.0.0.1:1/")


async def test_the_key_of_this_machine_stays_here(tmp_path: Path) -> None:
    assert invocation.CLIENT_KEY_FILE == CLIENT_KEY_FILE
    file = tmp_path / CLIENT_KEY_FILE
    file.touch(0o600)
    file.write_text("key-in-a-file\n")
    here, there = Address("http://127.0.0.1:1"), Address("http://other:1", own=False)
    assert api_key(None, here, {}, file) == "key-in-a-file"
    assert api_key(None, there, {}, file) is None
    assert api_key("given", there, {}, file) == "given"
    assert api_key(None, there, {"CLINVK_API_KEY": "variable"}, file) == "variable"
    assert api_key(None, here, {}, tmp_path / "none") is None
    with pytest.raises(ConfigError, match="one word"):
        api_key("two words", here, {}, file)
