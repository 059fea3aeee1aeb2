"""A listener of its own for who scrapes the metrics: it serves nothing else and needs no key."""

from __future__ import annotations

import structlog
from aiohttp import web

from .api.endpoint import ENGINE
from .api.metrics import METRICS, UNGUARDED
from .config import Settings
from .limits import Connections, GuardedRunner
from .middleware.checks import checked
from .middleware.errors import errors
from .middleware.hosts import hosts
from .middleware.observe import ACCESS_LOG, observe
from .middleware.origin import origin

_log = structlog.get_logger(__name__)


class MetricsListener:
    """Listens at `server.metrics_host` and `server.metrics_port`, if a port is configured.

    Args:
        app: the application whose metrics it serves; it must run before this is opened.
        settings: the configuration.

    Attributes:
        port: where it listens; None when it does not.
    """

    def __init__(self, app: web.Application, settings: Settings) -> None:
        self.port: int | None = None
        self._app = app
        self._settings = settings
        self._runner: web.AppRunner | None = None

    async def open(self) -> None:
        """Begin to listen.

        Raises:
            OSError: the address cannot be listened on; it is the `filename`.
        """
        server = self._settings.server
        if not server.metrics_enabled or server.metrics_port is None:
            return
        self._runner = GuardedRunner(
            self._application(), connections=Connections(server), access_log=None
        )
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, server.metrics_host, server.metrics_port).start()
        except OSError as error:
            where = f"{server.metrics_host}:{server.metrics_port}"
            raise OSError(error.errno, error.strerror, where) from error
        self.port = int(self._runner.addresses[0][1])
        _log.info("metrics listener open", host=server.metrics_host, port=self.port)

    async def aclose(self) -> None:
        """Listen no more."""
        if self._runner is not None:
            await self._runner.cleanup()

    def _application(self) -> web.Application:
        server = self._settings.server
        own = self._settings.model_copy(
            update={"server": server.model_copy(update={"host": server.metrics_host})}
        )
        chain = (observe, errors, checked(hosts, origin))
        app = web.Application()
        app[ENGINE] = self._app[ENGINE]
        app[METRICS] = self._app[METRICS]
        app[ACCESS_LOG] = self._app[ACCESS_LOG]
        app.middlewares.extend(make(own, app) for make in chain)
        app.router.add_get(UNGUARDED.path, UNGUARDED.handler)
        return app
