"""The reference of the dialect against the code."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pydantic import BaseModel

from clinvkd.api.openai.chat_models import ChatRequest
from clinvkd.api.openai.completions import CompletionRequest
from clinvkd.api.openai.responses.models import ResponseRequest
from clinvkd.config import Backend, Settings
from clinvkd.drivers import DRIVERS

from ...markdown import first_column, section, tables

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "openai.md"


@pytest.mark.parametrize(
    ("heading", "model"),
    [
        ("Chat fields", ChatRequest),
        ("Completion fields", CompletionRequest),
        ("Response fields", ResponseRequest),
    ],
)
def test_every_field_is_documented_and_exists(heading: str, model: type[BaseModel]) -> None:
    assert first_column(section(PAGE, heading)) == set(model.model_fields)


@pytest.mark.parametrize(
    ("row", "ability"),
    [("`temperature`", "temperature"), ("`reasoning_effort`", "effort"), ("`response", "output")],
)
def test_who_honours_what(row: str, ability: str) -> None:
    settings = Settings()
    able = set()
    for name, configured in settings.enabled_backends().items():
        backend = Backend.of(name, configured, settings.pool_of(name))
        if ability in DRIVERS[backend.driver].abilities_of(backend).honours:
            able.add(name)
    (table,) = tables(section(PAGE, "What a request may ask"))
    (said,) = (cells[1] for cells in table if cells[0].startswith(row))
    assert set(re.findall(r"`(\w+)`", said)) == able
