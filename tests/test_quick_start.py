"""What the start of the daemon leaves for later, in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import certifi
import pytest

_LATER = {
    "alembic",
    "genai_prices",
    "gnupg",
    "jsonschema",
    "opentelemetry",
    "prometheus_client",
    "redis",
    "referencing",
    "rich",
    "sqlalchemy",
    "throttled",
}
"""Libraries that only some daemons need, or only some time after their start."""

_START = """
import asyncio, gc, json, os, sys
from clinvkd.quick_start import quick_imports

with quick_imports():
    import clinvkd.server
    while_importing = gc.isenabled()

from clinvkd.api import DIALECTS, build_models
from clinvkd.api.media import _trusting
from clinvkd.config import Settings

imported = {name.partition(".")[0] for name, module in sys.modules.items() if module}
declared = [endpoint for dialect in DIALECTS for endpoint in dialect.endpoints]
bodies = {endpoint.body for endpoint in declared if endpoint.body}
built = [body.__name__ for body in bodies if body.__pydantic_complete__]
asyncio.run(build_models())

import rich

print(json.dumps({
    "imported": sorted(imported),
    "built": built,
    "bodies": len(bodies),
    "unbuilt later": [body.__name__ for body in bodies if not body.__pydantic_complete__],
    "collecting": [while_importing, gc.isenabled()],
    "environment": {name: os.environ.get(name) for name in
                    ("SSL_CERT_FILE", "PYDANTIC_DISABLE_PLUGINS")},
    "trusted": _trusting().cert_store_stats()["x509_ca"],
}))
"""


@pytest.fixture(scope="module")
def started() -> dict[str, Any]:
    """A process just after the imports of the daemon, as it sees itself."""
    ran = subprocess.run(
        [sys.executable, "-c", _START],
        env={"PATH": os.environ["PATH"], "SSL_CERT_FILE": certifi.where()},
        stdout=subprocess.PIPE,
        timeout=60,
        check=True,
    )
    seen: dict[str, Any] = json.loads(ran.stdout)
    return seen


def test_no_library_is_imported_before_it_is_needed(started: dict[str, Any]) -> None:
    imported = set(started["imported"])
    assert {"aiohttp", "pydantic", "structlog"} <= imported
    assert not imported & _LATER


def test_models_are_built_after_the_start(started: dict[str, Any]) -> None:
    assert started["bodies"] > 10
    assert started["built"] == []
    assert started["unbuilt later"] == []


def test_nothing_that_was_put_off_for_the_imports_stays_so(started: dict[str, Any]) -> None:
    assert started["collecting"] == [False, True]
    assert started["environment"] == {
        "SSL_CERT_FILE": certifi.where(),
        "PYDANTIC_DISABLE_PLUGINS": None,
    }


def test_servers_of_images_are_checked_by_the_machines_certificates(
    started: dict[str, Any],
) -> None:
    assert started["trusted"] > 10
