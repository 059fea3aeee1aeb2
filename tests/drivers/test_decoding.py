"""JSON with halves of characters."""

from __future__ import annotations

import json

import pytest

from clinvkd.drivers.decoding import decoded


@pytest.mark.parametrize(
    ("document", "value"),
    [
        (r'"x\ud83dy"', "x\ufffdy"),
        (r'"x\uDC00y"', "x\ufffdy"),
        (r'"\ud83d"', "\ufffd"),
        (r'"\ud83d\ud83d\ude00"', "\ufffd\U0001f600"),
        (r'"\ud83d\u0041 \ud83d\n"', "\ufffdA \ufffd\n"),
        (r'"\\ud83d \\\ud83d \"\ud83d\""', '\\ud83d \\\ufffd "\ufffd"'),
        (r'{"k\ud83d": ["\ud83d", 12345678901234567890]}',
         {"k\ufffd": ["\ufffd", 12345678901234567890]}),
        ('"ü \\ud83d 😀"', "ü \ufffd 😀"),
    ],
)  # fmt: skip
def test_a_half_becomes_the_replacement_character_and_nothing_else_does(
    document: str, value: object
) -> None:
    assert decoded(document) == decoded(document.encode()) == value


def test_every_half_that_is_written_is_read() -> None:
    halves = {chr(code): "\ufffd" for code in range(0xD800, 0xE000)}
    assert decoded(json.dumps(list(halves))) == list(halves.values())


@pytest.mark.parametrize("document", ["", "Welcome!", r'{"a": "\ud83d"', r'"\ud8"', "[" * 100_000])
def test_what_is_no_json_is_a_value_error(document: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - from the parser, in words of its own
        decoded(document)


def test_halves_below_the_deepest_level_are_a_value_error_too() -> None:
    with pytest.raises(ValueError, match="recursion limit"):
        decoded("[" * 100_000 + r'"\ud83d"' + "]" * 100_000)
