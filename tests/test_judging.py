"""Judges of answers: right, and never for ever."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from clinvkd.errors import InvalidRequest
from clinvkd.judging import Judge
from clinvkd.prompt import OutputSchema

DOUBLING = {
    "$ref": "#/$defs/0",
    "$defs": {
        **{str(n): {"allOf": [{"$ref": f"#/$defs/{n + 1}"}] * 2} for n in range(60)},
        "60": {"type": "string"},
    },
}
BACKTRACKING = '"' + "a" * 60 + 'b"'


@pytest.mark.parametrize(
    ("schema", "fits", "fails", "says"),
    [
        ({"type": "integer"}, "5", '"x"', "$: 'x' is not of type 'integer'"),
        ({"items": {"pattern": "^a+$"}}, '["aa"]', '["b"]', "$[0]: 'b' does not match '^a+$'"),
        ({"patternProperties": {"^a": {"type": "null"}}}, '{"a": null}', '{"a": 1}', "$.a: 1 is"),
        ({"$ref": "#/$defs/a", "$defs": {"a": {"const": 1}}}, "1", "2", "$: 1 was expected"),
        ({"pattern": "^\ud800é$"}, '"\\ud800é"', "no JSON", "it is not JSON"),
    ],
)
async def test_what_fits_and_what_does_not(
    schema: dict[str, Any], fits: str, fails: str, says: str
) -> None:
    judge, output = Judge(), OutputSchema(schema)
    assert await judge.fault_of(fits, output) is None
    fault = await judge.fault_of(fails, output)
    assert fault is not None
    assert fault.startswith(says)


@pytest.mark.parametrize(
    ("schema", "answer"),
    [
        ({"pattern": "^(a+)+$"}, BACKTRACKING),
        ({"items": {"patternProperties": {"^(a+)+$": False}}}, f"[{{{BACKTRACKING}: 1}}]"),
        (DOUBLING, '"x"'),
    ],
    ids=["pattern", "name of a property", "references"],
)
async def test_what_takes_for_ever_is_given_up_and_nobody_waits(
    schema: dict[str, Any], answer: str
) -> None:
    judge = Judge()
    costly = asyncio.get_running_loop().create_task(
        judge.fault_of(answer, OutputSchema(schema)), name="costly"
    )
    assert await judge.fault_of("5", OutputSchema({"pattern": "^a$"})) is None
    assert not costly.done()
    with pytest.raises(InvalidRequest, match="too costly"):
        await costly


async def test_many_wait_for_their_turn() -> None:
    judge, output = Judge(), OutputSchema({"pattern": "^a+$"})
    faults = await asyncio.gather(*(judge.fault_of('"aa"', output) for _ in range(10)))
    assert faults == [None] * 10
