"""The model list with all of the gate in front of it, or bare: `gate_server (bare|full) HOME`."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from aiohttp import web

from clinvkd import log
from clinvkd.api.endpoint import CALLER, ENGINE
from clinvkd.config import LogSettings, Settings
from clinvkd.engine import Engine
from clinvkd.keys import OWNER, Key, KeyRing
from clinvkd.limits import Connections, GuardedRunner
from clinvkd.server import create_app

KEY = "clinvk_0123456789abcdef0123456789abcdef"
SETTINGS = Settings.model_validate(
    {
        "default_backend": "echo",
        "log": {"format": "json"},
        "server": {
            "cors_allowed_origins": ["http://localhost:3000"],
            "rate_limit_enabled": True,
            "rate_limit_rps": 1_000_000,
            "rate_limit_burst": 1_000_000,
        },
    }
)


def full(environ: dict[str, str]) -> web.AppRunner:
    """The application as it is served, with a key and a rate limit."""
    app = create_app(SETTINGS, environ, KeyRing([Key.of(KEY, "bench")]))
    connections = Connections(SETTINGS.server)
    return GuardedRunner(app, connections=connections, access_log=None, handler_cancellation=True)


def bare(environ: dict[str, str]) -> web.AppRunner:
    """Nothing but the handler."""
    served = create_app(SETTINGS, environ)
    (handler,) = {
        route.handler
        for route in served.router.routes()
        if route.resource is not None and route.resource.canonical == "/openai/v1/models"
    }

    async def handle(request: web.Request) -> web.StreamResponse:
        request[CALLER] = OWNER
        return await handler(request)

    app = web.Application()
    app[ENGINE] = Engine(SETTINGS, environ)
    app.router.add_get("/openai/v1/models", handle)
    return web.AppRunner(app, access_log=None, handler_cancellation=True)


async def main(kind: str, home: Path) -> None:
    """Serve until killed."""
    log.set_up(LogSettings(format="json"))
    runner = {"bare": bare, "full": full}[kind]({"HOME": str(home), "PATH": str(home)})
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    print(runner.addresses[0][1], flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], Path(sys.argv[2])))
