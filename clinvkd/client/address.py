"""Where the daemon is, and the key to show there.

The address: `--url`, else `CLINVK_URL`, else what the daemon itself listens on by the same
configuration, its unix socket before its port. The key: `--api-key`, else `CLINVK_API_KEY`, else
the file that `clinvk keys generate --save` writes.
"""

from __future__ import annotations

import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

from ..config import Settings
from ..errors import ConfigError

URL_VARIABLE = "CLINVK_URL"
KEY_VARIABLE = "CLINVK_API_KEY"

_KEY = re.compile(r"[\x21-\x7e]+")


@dataclass(frozen=True, slots=True)
class Address:
    """Where a daemon listens.

    Attributes:
        url: what paths are appended to, without a slash at its end.
        socket: the unix socket to connect to instead of the URL's host, or None.
        own: it is this machine's daemon, to which the key in the key file belongs.
    """

    url: str
    socket: Path | None = None
    own: bool = True

    def __str__(self) -> str:
        return f"unix:{self.socket}" if self.socket else self.url


def parse_address(text: str) -> Address:
    """The address in `http://HOST:PORT`, `https://...` or `unix:/PATH`.

    Raises:
        ValueError: it is none of these.
    """
    if text.startswith("unix:"):
        path = Path(text.removeprefix("unix:").removeprefix("//"))
        if not path.is_absolute():
            raise ValueError("a unix socket is named by an absolute path: unix:/run/clinvk.sock")
        return Address("http://localhost", path)
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname, parts.port  # an impossible port is a ValueError
    except ValueError:
        host, parts = None, urlsplit("")
    if parts.scheme not in ("http", "https") or not host or parts.query or parts.fragment:
        raise ValueError(f"{text!r} is neither http://HOST:PORT nor unix:/PATH")
    if parts.username is not None:
        raise ValueError("a name or password in the address is of no use; give an API key")
    return Address(text.rstrip("/"), own=_is_loopback(host))


def find_address(given: Address | None, settings: Settings, environ: Mapping[str, str]) -> Address:
    """The daemon's address.

    Args:
        given: by a flag, or None.

    Raises:
        ConfigError: the variable holds no address, or the configuration leaves the port open.
    """
    if given is not None:
        return given
    if text := environ.get(URL_VARIABLE):
        try:
            return parse_address(text)
        except ValueError as error:
            raise ConfigError(f"{URL_VARIABLE}: {error}") from None
    server = settings.server
    if server.unix_socket and _is_socket(path := Path(server.unix_socket)):
        return Address("http://localhost", path)
    if server.port == 0:
        raise ConfigError(
            f"server.port: is 0, so nobody knows the daemon's port; give --url or {URL_VARIABLE}"
        )
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(server.host, server.host)  # noqa: S104
    return Address(f"http://{f'[{host}]' if ':' in host else host}:{server.port}")


def api_key(
    given: str | None, address: Address, environ: Mapping[str, str], file: Path
) -> str | None:
    """The key to show at an address, or None.

    Args:
        given: by a flag, or None.
        file: holds the key of this machine's daemon; it is shown to no other.

    Raises:
        ConfigError: the file cannot be used, or there is something that cannot be a key.
    """
    key, place = given, "--api-key"
    if not key:
        key, place = environ.get(KEY_VARIABLE), KEY_VARIABLE
    if not key and address.own:
        key, place = _read(file), str(file)
    if not key:
        return None
    if not _KEY.fullmatch(key):
        raise ConfigError(f"{place}: a key is one word of printable ASCII characters")
    return key


def _read(file: Path) -> str | None:
    try:
        mode, text = file.stat().st_mode, file.read_text("ascii")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is no text"
        raise ConfigError(f"{file}: cannot be read: {reason}") from None
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise ConfigError(f"{file}: others can read it; make it 0600 (chmod 600)")
    return text.strip()


def _is_socket(path: Path) -> bool:
    try:
        return stat.S_ISSOCK(path.stat().st_mode)
    except OSError:
        return False


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
