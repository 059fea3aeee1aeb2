"""The store of rate limits that several daemons share; imports the client of Redis."""

from __future__ import annotations

from typing import cast

from redis.asyncio import Redis
from throttled.asyncio import RedisStore


class SharedStore(RedisStore):
    """Buckets in a Redis or Valkey server.

    Args:
        url: of the server.
        seconds: to connect, and to answer.
    """

    def __init__(self, url: str, seconds: float) -> None:
        options = {"SOCKET_TIMEOUT": seconds, "SOCKET_CONNECT_TIMEOUT": seconds}
        super().__init__(server=url, options=options)

    async def aclose(self) -> None:
        """Close all connections."""
        client = cast(Redis, self._backend.get_client())  # the library's type lacks its end
        await client.aclose(close_connection_pool=True)
