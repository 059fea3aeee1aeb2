"""Libraries that call tools or want an object, over every agent.

Every way of using a library with a tool plays the two scenes of `scenes`.
"""

from __future__ import annotations

import json

import pytest
import pytest_asyncio

from ..providers import DEFAULT_TEXT
from .programs.tools import DESCRIPTION, PARAMETERS
from .reading import holds, schemas
from .scenes import CALLED, ONE_CALL, ROUNDS, SAID, Definition, definitions, exchanges
from .stage import REAL, Run, Stages, backends, client_named
from .ways import CALLS_FOR_OBJECTS, FUNCTIONS, OBJECTS, TOOLS, Way, in_rows

pytestmark = [pytest.mark.timeout(300), pytest.mark.parametrize("backend", backends(*REAL))]

SCENES = pytest.mark.parametrize("scene", [ONE_CALL, ROUNDS])
REQUESTS = {ONE_CALL: 2, ROUNDS: 4}
WEATHER = {"city": "Oslo", "degrees": 3}
"""The object that all are asked for."""


@pytest.fixture
def client(way: Way) -> str:
    return way.client


@pytest_asyncio.fixture(loop_scope="session")
async def run(stages: Stages, backend: str, client: str) -> Run:
    return await stages.run(backend, client_named(client, stages))


@pytest.mark.parametrize("way", in_rows(TOOLS))
@SCENES
def test_a_tool_is_called(run: Run, way: Way, scene: str) -> None:
    told = run.result(f"{way.name}_{scene}")
    # A client may run the calls of one answer in any order.
    assert sorted(told["called"]) == sorted(CALLED[scene])
    assert told["said"] == SAID[scene]
    requests = run.turns(f"{way.name}_{scene}")
    assert len(requests) == REQUESTS[scene]
    for request in requests:
        assert_defined(definitions(request), way)
    found = exchanges(requests[-1])
    assert [exchange.arguments["city"] for exchange in found] == CALLED[scene]
    for exchange in found:
        lost = exchange.arguments["city"] == "Atlantis"
        wanted = "no such city: Atlantis" if lost else f"3 degrees in {exchange.arguments['city']}"
        assert wanted in exchange.result
        if exchange.is_error is not None:
            assert exchange.is_error is (lost and way.flags_errors)
    if told["identities"] and run.backend != "gemini":
        assert [exchange.identity for exchange in found] == told["identities"]


@pytest.mark.parametrize("client", sorted({way.client for way in TOOLS}))
def test_results_go_to_the_conversation_that_waits_for_them(run: Run, client: str) -> None:
    # Gemini makes the two calls of one answer one after the other.
    rounds = 5 if run.backend == "gemini" else 4
    assert run.ways["continue"] == rounds * sum(way.client == client for way in TOOLS)


@pytest.mark.parametrize("way", in_rows([FUNCTIONS]))
@SCENES
def test_a_function_is_called(run: Run, way: Way, scene: str) -> None:
    told = run.result(f"{way.name}_{scene}")
    # There is room for one call in an answer.
    called, said = [city for city in CALLED[scene] if city != "Rome"], SAID[scene]
    if run.backend == "gemini":
        # Calls without ids are found in no conversation that waits, so a new one gets the history;
        # gemini wants a word after that, which is not of the scene.
        called, said = called[:1], [*said[:-1][:1], DEFAULT_TEXT]
    assert (told["called"], told["said"]) == (called, said)
    request = [one for one in run.requests if holds(one, f"marker={way.name}_{scene}")][-1]
    assert_defined(definitions(request), way)
    found = exchanges(request)
    assert [exchange.arguments["city"] for exchange in found] == called
    assert "3 degrees in Oslo" in found[0].result


def assert_defined(tools: dict[str, Definition], way: Way) -> None:
    """The provider knows the tool as the client described it."""
    assert list(tools) == ["weather"]
    assert tools["weather"].description == DESCRIPTION
    schema = tools["weather"].schema
    if way.tells_schema:
        assert json.dumps(schema) == json.dumps(PARAMETERS)
    else:
        assert schema["properties"]["city"]["type"] == "string"
        assert schema["required"] == ["city"]


@pytest.mark.parametrize("way", in_rows(CALLS_FOR_OBJECTS))
def test_an_object_is_asked_for_by_a_function(run: Run, way: Way) -> None:
    assert run.result(way.name) == WEATHER
    [tool] = definitions(run.turn(way.name)).values()
    assert tool.schema["properties"].keys() == WEATHER.keys()


@pytest.mark.parametrize("way", in_rows(OBJECTS))
def test_an_object_is_asked_for_by_a_schema(run: Run, way: Way) -> None:
    assert run.result(way.name) == WEATHER
    [first, *_] = run.turns(way.name)
    assert [s for s in schemas(first) if s["properties"].keys() == WEATHER.keys()]
