"""Spares the start of the daemon what its imports would do for nothing.

Nearly all of the start is imports, and without this a third of it is work nobody needs.
"""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

_ENVIRONMENT = {
    # aiohttp reads the machine's certificates for its client when it is imported. So TLS
    # connections of the daemon need a context of their own (`api.media`).
    "SSL_CERT_FILE": os.devnull,
    # pydantic asks every installed package whether it has a plugin.
    "PYDANTIC_DISABLE_PLUGINS": "__all__",
}


@contextmanager
def quick_imports() -> Iterator[None]:
    """Import the server inside, once, before there are other threads.

    The garbage collector, which would look a hundred times and find nothing, waits meanwhile;
    what was imported stays for ever and is never looked at again.
    """
    before = {name: os.environ.get(name) for name in _ENVIRONMENT}
    os.environ.update(_ENVIRONMENT)
    without_rich = "rich" not in sys.modules
    if without_rich:
        # structlog imports it for coloured traces, which `log` does not use.
        sys.modules["rich"] = None  # type: ignore[assignment] # importing it fails
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
        if without_rich:
            del sys.modules["rich"]
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
