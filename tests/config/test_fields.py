"""Every setting is documented, and the models know what they allow."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from pydantic import BaseModel

from clinvkd.attribute_docs import descriptions
from clinvkd.config import Settings, fields
from clinvkd.config.sections import BackendSettings


def models(model: type[BaseModel]) -> Iterator[type[BaseModel]]:
    yield model
    for name in model.model_fields:
        place = fields.child(fields.root(model), name)
        assert place is not None
        if place.model:
            yield from models(place.model)


ALL_FIELDS = [
    (model, name)
    for model in dict.fromkeys((*models(Settings), *models(BackendSettings)))
    for name in model.model_fields
]


@pytest.mark.parametrize(("model", "name"), ALL_FIELDS)
def test_a_field_has_a_docstring(model: type[BaseModel], name: str) -> None:
    description = descriptions(model).get(name)
    assert description
    assert description.endswith(".")


@pytest.mark.parametrize(("model", "name"), ALL_FIELDS)
def test_a_unit_in_a_name_is_told_in_the_docstring(model: type[BaseModel], name: str) -> None:
    units = {"_secs": "econds", "_mb": "ebibytes", "_bytes": "bytes", "_days": "ays"}
    description = descriptions(model)[name]
    for suffix, unit in units.items():
        if name.endswith(suffix):
            assert unit in description


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("server.port", "a whole number from 0 to 65535"),
        ("server.rate_limit_rps", "a number above 0, at most 1000000"),
        ("unified_flags.max_turns", "a whole number of at least 0"),
        ("pool.agents", "a whole number from 1 to 256 or null"),
        ("log.format", "one of auto, json, console"),
        ("server.metrics_enabled", "true or false"),
        ("server.allowed_hosts", "a list of texts"),
        ("backends.x.command", "a list of texts or one text"),
        ("backends.x.approval_mode", "one of default, auto, none, always, ask or null"),
        ("backends.x.environment", "a mapping"),
        ("backends.x.quirks.anything.below", "anything"),
        ("parallel", "a mapping with the keys max_workers, max_jobs, fail_fast, aggregate_output"),
        ("output.color", "true or false"),
        ("server.host", "a text"),
    ],
)
def test_what_is_allowed_is_read_from_the_models(path: str, allowed: str) -> None:
    place = fields.find(Settings, path.split("."))
    assert place is not None
    assert place.allowed == allowed


@pytest.mark.parametrize("path", ["nothing", "server.nothing", "server.port.nothing"])
def test_there_is_no_place_outside_the_models(path: str) -> None:
    assert fields.find(Settings, path.split(".")) is None


def test_an_agents_environment_and_what_holds_a_password_are_secret() -> None:
    variable = fields.find(Settings, ("backends", "claude", "environment", "TOKEN"))
    assert variable is not None
    assert variable.secret
    table = fields.find(Settings, ("backends", "claude", "environment"))
    assert table is not None
    assert table.secret
    secret = {
        path
        for path in fields.leaves(Settings)
        if (place := fields.find(Settings, path)) and place.secret
    }
    assert secret == {("server", "rate_limit_redis_url")}
