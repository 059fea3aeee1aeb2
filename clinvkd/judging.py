"""Judges whether an answer fits the JSON Schema that was asked for.

Patterns and references that multiply can keep a judge busy for ever, and nothing in the same
process could stop it, because Python's regular expressions never let go of the interpreter. So by
a schema that holds such things a process of its own judges, ``python -m clinvkd.judging``, whose
time is limited; to start it takes some 0.1 s, which the event loop does not wait for.
"""

from __future__ import annotations

import asyncio
import json
import resource
import sys
from asyncio.subprocess import DEVNULL, PIPE
from typing import Any

from .errors import InternalError, InvalidRequest
from .prompt import OutputSchema

MOST_CPU_SECS = 2
"""Processor time within which an answer has to be judged."""

_MOST_WALL_SECS = 60.0  # on a machine that is busy with other things
_AT_ONCE = 4
_REAPED = 255  # what asyncio tells of a process that who collects orphans was quicker to wait for
_COSTLY = frozenset({"pattern", "patternProperties", "$ref", "$dynamicRef"})


class Judge:
    """Judges answers, a few at a time."""

    def __init__(self) -> None:
        self._slots = asyncio.Semaphore(_AT_ONCE)

    async def fault_of(self, text: str, output: OutputSchema) -> str | None:
        """What is wrong with an answer, or None when nothing is.

        Raises:
            InvalidRequest: it takes too long to tell.
        """
        if not _may_be_costly(output.schema):
            return fault_of(text, output.schema)
        document = json.dumps({"text": text, "schema": output.schema}).encode()
        async with self._slots:
            return await _judged_apart(document)


def fault_of(text: str, schema: dict[str, Any]) -> str | None:
    """What is wrong with an answer, or None when nothing is; may take for ever to tell."""
    from jsonschema import Draft202012Validator  # some 40 ms that the start need not wait for
    from jsonschema.exceptions import ValidationError

    try:
        value: Any = json.loads(text)
        Draft202012Validator(schema).validate(value)
    except ValueError as error:
        return f"it is not JSON ({error})"
    except ValidationError as error:
        return f"{error.json_path}: {error.message[:300]}"
    except RecursionError:
        return "it is nested too deeply"
    return None


async def _judged_apart(document: bytes) -> str | None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-P", "-m", __name__, stdin=PIPE, stdout=PIPE, stderr=DEVNULL
    )
    told = b""
    try:
        async with asyncio.timeout(_MOST_WALL_SECS):
            told, _ = await process.communicate(document)
    except TimeoutError:
        pass  # it is killed, and so has told nothing
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if told:
        fault: str | None = json.loads(told)
        return fault
    if process.returncode is None or process.returncode < 0 or process.returncode == _REAPED:
        raise InvalidRequest(
            "the schema of the answer takes too long to judge by: its patterns or references are"
            " too costly for this answer"
        )
    raise InternalError("an answer could not be judged by its schema")


def _may_be_costly(schema: Any) -> bool:
    match schema:
        case dict():
            return not _COSTLY.isdisjoint(schema) or any(map(_may_be_costly, schema.values()))
        case list():
            return any(map(_may_be_costly, schema))
        case _:
            return False


def main() -> None:
    """Judge the answer that comes on standard input; tell the fault, or null, as JSON."""
    resource.setrlimit(resource.RLIMIT_CPU, (MOST_CPU_SECS, MOST_CPU_SECS))
    asked = json.load(sys.stdin)
    sys.stdout.write(json.dumps(fault_of(asked["text"], asked["schema"])))


if __name__ == "__main__":
    main()
