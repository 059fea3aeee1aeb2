"""`clinvk usage`."""

from __future__ import annotations

import pytest

from clinvkd.commands.usage import bar

from .running import Commands

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_usage_is_a_table_with_bars(clinvk: Commands) -> None:
    await clinvk.succeed("prompt", "one two three")
    done = await clinvk.succeed("usage")
    heading, echo, *_ = done.out.splitlines()
    assert heading.split() == [
        "backend", "requests", "errors", "in", "cached", "out", "cost", "tokens",
    ]  # fmt: skip
    assert echo.startswith("echo ")
    assert "$0.00" in echo
    assert echo.endswith("█" * 24)


async def test_usage_as_json_and_by_other_things(clinvk: Commands) -> None:
    await clinvk.succeed("prompt", "hello")
    answer = (await clinvk.succeed("usage", "--by", "key", "--json")).json
    (nobody,) = answer["usage"]
    assert nobody["key"] == ""
    assert nobody["requests"] == answer["total"]["requests"] >= 1
    assert "\n-  " in (await clinvk.succeed("usage", "--by", "key")).out
    today = answer["to"]
    assert today in (await clinvk.succeed("usage", "--by", "day", "--from", today)).out
    assert (await clinvk.succeed("usage", "--to", "2020-01-01")).out == ""


async def test_a_day_that_is_none_is_named(clinvk: Commands) -> None:
    done = await clinvk("usage", "--from", "soon")
    assert done.status not in (0, None)
    assert "from: " in done.err
    assert "2026-11-22" in done.err


@pytest.mark.parametrize(
    ("value", "most", "drawn"),
    [(0, 0, ""), (0, 9, ""), (9, 9, "█" * 24), (1, 2, "█" * 12), (1, 192, "▏"), (3, 192, "▍")],
)
async def test_bars(value: float, most: float, drawn: str) -> None:
    assert bar(value, most) == drawn
