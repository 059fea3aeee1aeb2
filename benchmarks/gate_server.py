"""The model list with all of the gate in front of it, or with less: `gate_server KIND HOME`."""

from __future__ import annotations

import asyncio
import gc
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from aiohttp import web

from clinvkd import log
from clinvkd.api.endpoint import CALLER, ENGINE
from clinvkd.config import Settings
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


def gated(environ: dict[str, str], **sections: dict[str, Any]) -> web.AppRunner:
    """The application as it is served, with a key and a rate limit.

    Args:
        sections: of its configuration, instead of those of `SETTINGS`.
    """
    settings = Settings.model_validate({**SETTINGS.model_dump(exclude_unset=True), **sections})
    access_log = log.set_up(settings.log)
    ring = KeyRing([Key.of(KEY, "bench")])
    app = create_app(settings, environ, ring, access_log=access_log)
    connections = Connections(settings.server)
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


OFF: dict[str, Any] = {"requests": 0}
SILENT: dict[str, Any] = {"format": "json", "level": "warning"}
KINDS: dict[str, Callable[[dict[str, str]], web.AppRunner]] = {
    "bare": bare,
    "full": gated,
    "uninspected": partial(gated, inspector=OFF),
    "unlogged": partial(gated, inspector=OFF, log=SILENT),
}
"""What is served, by the name it has on the command line."""


async def main(kind: str, home: Path) -> None:
    """Serve until killed."""
    runner = KINDS[kind]({"HOME": str(home), "PATH": str(home)})
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    gc.collect()
    gc.freeze()  # as the daemon does
    print(runner.addresses[0][1], flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], Path(sys.argv[2])))
