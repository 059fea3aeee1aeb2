"""Parallel, chain and compare over echo."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from .service import NDJSON, SSE, Answer, Service, ndjson, serving, sse_events

pytestmark = pytest.mark.asyncio(loop_scope="session")

PARALLEL, CHAIN, COMPARE = "/api/v1/parallel", "/api/v1/chain", "/api/v1/compare"


def task(prompt: str, **fields: Any) -> dict[str, Any]:
    return {"backend": "echo", "prompt": prompt, **fields}


def results(answer: Answer) -> list[dict[str, Any]]:
    assert answer.status == 200, answer.text
    found: list[dict[str, Any]] = answer.json["results"]
    return found


def events(answer: Answer) -> list[dict[str, Any]]:
    """The events of a stream of several prompts, the last of which is the result."""
    assert answer.status == 200, answer.text
    sse = answer.headers["Content-Type"] == "text/event-stream"
    found = sse_events(answer.text) if sse else ndjson(answer.text)
    assert [event["sequence"] for event in found] == list(range(1, len(found) + 1))
    assert [event["type"] for event in found].index("result") == len(found) - 1
    return found


async def test_results_of_tasks_are_in_the_order_of_the_request(service: Service) -> None:
    tasks = [task(f"[[slow {0.05 if n == 0 else 0}]]number {n}", id=f"t{n}") for n in range(5)]
    answer = await service.send(PARALLEL, {"tasks": tasks, "max_parallel": 5})
    assert [(r["id"], r["output"]) for r in results(answer)] == [
        (f"t{n}", f"number {n}") for n in range(5)
    ]
    assert answer.json.items() >= {"total_tasks": 5, "completed": 5, "failed": 0}.items()
    assert all("session_id" not in result for result in answer.json["results"])


async def test_a_task_that_fails_leaves_the_others_alone(service: Service) -> None:
    tasks = [task("one"), task("[[fail broken]]"), task("three")]
    answer = await service.send(PARALLEL, {"tasks": tasks})
    one, two, three = results(answer)
    assert (one["output"], one["exit_code"], three["output"]) == ("one", 0, "three")
    assert (two["exit_code"], two["error_code"]) == (1, "backend_error")
    assert "broken" in two["error"]
    assert answer.json.items() >= {"completed": 2, "failed": 1}.items()


async def test_fail_fast_stops_the_rest(service: Service) -> None:
    tasks = [task("[[silent 600]]never"), task("[[fail broken]]"), task("never begun")]
    body = {"tasks": tasks, "max_parallel": 2, "fail_fast": True}
    answer = await service.send(PARALLEL, body)
    running, failed, waiting = results(answer)
    assert failed["exit_code"] == 1
    for stopped in (running, waiting):
        assert (stopped["exit_code"], stopped["error"]) == (-1, "canceled")
    assert waiting["duration_ms"] == 0
    assert answer.json.items() >= {"total_tasks": 3, "completed": 0, "failed": 1}.items()
    assert await service.text("still there") == "still there"


async def test_a_task_has_its_own_time(service: Service) -> None:
    tasks = [task("[[silent 600]]never", timeout_secs=0.2), task("quick")]
    late, quick = results(await service.send(PARALLEL, {"tasks": tasks}))
    assert (late["exit_code"], late["error_code"]) == (1, "turn_timeout")
    assert quick["output"] == "quick"


async def test_no_more_tasks_run_at_once_than_asked_for(service: Service) -> None:
    """With one at a time, the events of a task come in one piece."""
    tasks = [task(f"a b c d {n}") for n in range(4)]
    answer = await service.send(PARALLEL, {"tasks": tasks, "max_parallel": 1}, NDJSON)
    order = [event["task"] for event in events(answer) if "task" in event]
    assert order == sorted(order)


@pytest.mark.parametrize("headers", [SSE, NDJSON])
async def test_streamed_events_say_whose_they_are(
    service: Service, headers: dict[str, str]
) -> None:
    tasks = [task("first answer"), task("[[fail broken]]"), task("third")]
    answer = await service.send(PARALLEL, {"tasks": tasks, "max_parallel": 3}, headers)
    *told, last = events(answer)
    texts = ["", "", ""]
    ends: list[int] = []
    for event in told:
        assert event["backend"] == "echo"
        match event["type"]:
            case "message":
                texts[event["task"]] += event["content"]["text"]
            case "complete":
                ends.append(event["task"])
    assert texts == ["first answer", "", "third"]
    assert sorted(ends) == [0, 1, 2]
    assert [result["exit_code"] for result in last["content"]["results"]] == [0, 1, 0]


async def test_a_task_is_kept_if_it_asks_for_it(service: Service) -> None:
    answer = await service.send(PARALLEL, {"tasks": [task("kept", ephemeral=False)]})
    (result,) = results(answer)
    assert await service.text("[[history]]", session_id=result["session_id"])


@pytest.mark.parametrize(
    ("body", "param", "says"),
    [
        ({"tasks": []}, "tasks", "at least 1"),
        ({}, "tasks", "required"),
        ({"tasks": [task("a"), {"prompt": "b", "backend": "nobody"}]}, "tasks[1].backend",
         "tasks[1]: there is no backend 'nobody'"),
        ({"tasks": [task("a"), {"backend": "echo"}]}, "tasks[1].prompt", "prompt is required"),
        ({"tasks": [task("a", timeout_secs=0)]}, "tasks[0].timeout_secs", "greater than 0"),
        ({"tasks": [task("a", workdir="relative")]}, "tasks[0].workdir", "tasks[0]"),
        ({"tasks": [task("a", dry_run=True)]}, "tasks[0].dry_run", "not a field"),
        ({"tasks": [task("a")], "max_parallel": -1}, "max_parallel", "greater than"),
    ],
)  # fmt: skip
async def test_a_bad_task_is_named_before_anything_runs(
    service: Service, body: dict[str, Any], param: str, says: str
) -> None:
    answer = await service.send(PARALLEL, body)
    assert answer.status in (400, 404), answer.text
    assert answer.json["error"]["param"] == param
    assert says in answer.json["error"]["message"]


def step(prompt: str, name: str = "", **fields: Any) -> dict[str, Any]:
    return {"backend": "echo", "prompt": prompt, **({"name": name} if name else {}), **fields}


async def test_steps_use_what_came_before(service: Service) -> None:
    steps = [
        step("<{{input}}>", "first"),
        step("({{previous}})", "second"),
        step("{{ steps.first.output }} {{steps.second.output}} {{previous}}"),
    ]
    answer = await service.send(CHAIN, {"steps": steps, "input": "{{previous}} as it is"})
    first = "<{{previous}} as it is>"
    assert [(r["step"], r.get("name"), r["output"]) for r in results(answer)] == [
        (1, "first", first),
        (2, "second", f"({first})"),
        (3, None, f"{first} ({first}) ({first})"),
    ]
    assert answer.json.items() >= {"total_steps": 3, "completed_steps": 3}.items()
    assert "failed_step" not in answer.json


async def test_a_chain_goes_on_after_a_failure_unless_told_to_stop(service: Service) -> None:
    steps = [step("one"), step("[[fail broken]]"), step("after {{previous}}.")]
    answer = await service.send(CHAIN, {"steps": steps})
    assert [r["exit_code"] for r in results(answer)] == [0, 1, 0]
    assert results(answer)[2]["output"] == "after ."
    assert answer.json.items() >= {"completed_steps": 2, "failed_step": 2}.items()

    answer = await service.send(CHAIN, {"steps": steps, "stop_on_failure": True})
    assert [r["step"] for r in results(answer)] == [1, 2]
    assert answer.json.items() >= {"completed_steps": 1, "failed_step": 2}.items()


async def test_a_chain_goes_on_where_it_failed(service: Service) -> None:
    steps = [step("one", "first"), step("[[fail broken]]"), step("three")]
    body = {"steps": steps, "stop_on_failure": True}
    failed = await service.send(CHAIN, body)
    steps[1] = step("two after {{steps.first.output}}")
    again = {**body, "steps": steps, "results": failed.json["results"]}
    answer = await service.send(CHAIN, again)
    assert [(r["output"], r.get("resumed")) for r in results(answer)] == [
        ("one", True),
        ("two after one", None),
        ("three", None),
    ]
    assert answer.json["completed_steps"] == 3


async def test_steps_work_where_the_one_before_did(service: Service, tmp_path: Path) -> None:
    steps = [step("[[cwd]]", workdir=str(tmp_path)), step("[[cwd]]")]
    for passed in (True, False):
        answer = await service.send(CHAIN, {"steps": steps, "pass_working_dir": passed})
        one, two = (result["output"] for result in results(answer))
        assert one == str(tmp_path)
        assert (two == one) is passed


async def test_the_stream_of_a_chain_names_steps(service: Service) -> None:
    steps = [step("one", "first"), step("{{previous}} two")]
    answer = await service.send(CHAIN, {"steps": steps}, SSE)
    *told, last = events(answer)
    assert {(event["step"], event.get("name")) for event in told} == {(1, "first"), (2, None)}
    assert last["content"]["results"][1]["output"] == "one two"


@pytest.mark.parametrize(
    ("body", "param", "says"),
    [
        ({"steps": []}, "steps", "at least 1"),
        ({"steps": [step("{{previous}}")]}, "steps[0].prompt", "the first"),
        ({"steps": [step("a"), step("{{prevous}}")]}, "steps[1].prompt", "is not known"),
        ({"steps": [step("{{input}}")]}, "steps[0].prompt", "needs the field `input`"),
        ({"steps": [step("{{session}}")]}, "steps[0].prompt", "not kept"),
        ({"steps": [step("a", "x"), step("{{steps.y.output}}")]}, "steps[1].prompt",
         "does not exist"),
        ({"steps": [step("{{steps.b.output}}", "a"), step("{{steps.a.output}}", "b")]},
         "steps[0].prompt", "has not run by then"),
        ({"steps": [step("{{steps.a.output}}", "a")]}, "steps[0].prompt", "has not run by then"),
        ({"steps": [step("a", "x"), step("b", "x")]}, "steps[1].name", "another step"),
        ({"steps": [step("a"), step("b", backend="nobody")]}, "steps[1].backend", "nobody"),
        ({"steps": [step("a")], "persist_sessions": True}, "persist_sessions", "ephemeral"),
        ({"steps": [step("a")], "pass_session_id": True}, "pass_session_id", "ephemeral"),
        ({"steps": [step("a")], "results": [{}, {}]}, "results", "2 results for 1 steps"),
        ({"steps": [step("a"), step("b", schema={"$ref": "#/nowhere"})]}, "steps[1].schema",
         "leads nowhere"),
    ],
)  # fmt: skip
async def test_a_bad_step_is_named_before_anything_runs(
    service: Service, body: dict[str, Any], param: str, says: str
) -> None:
    answer = await service.send(CHAIN, body)
    assert answer.status in (400, 404), answer.text
    assert answer.json["error"]["param"] == param
    assert says in answer.json["error"]["message"]


async def test_answers_are_compared_side_by_side(service: Service) -> None:
    body = {"backends": ["echo", "echo/other"], "prompt": "same for all"}
    for sequential in (False, True):
        answer = await service.send(COMPARE, {**body, "sequential": sequential})
        assert [r["output"] for r in results(answer)] == ["same for all"] * 2
        assert all(r["token_usage"]["output_tokens"] == 3 for r in results(answer))
        assert answer.json["prompt"] == "same for all"
        assert answer.json["backends"] == ["echo", "echo/other"]


async def test_a_backend_that_cannot_answer_is_a_failed_result(tmp_path: Path) -> None:
    missing = {"driver": "acp", "command": ["no-such-agent-program"]}
    async with serving(tmp_path, backends={"missing": missing}) as service:
        answer = await service.send(COMPARE, {"backends": ["missing", "echo"], "prompt": "hi"})
        failed, fine = results(answer)
        assert (failed["exit_code"], failed["error_code"]) == (1, "backend_unavailable")
        assert fine["output"] == "hi"


async def test_a_judge_that_gives_no_verdict_spoils_nothing(service: Service) -> None:
    body = {"backends": ["echo", "echo"], "prompt": "hi", "judge": "echo"}
    answer = await service.send(COMPARE, body, NDJSON)
    *told, last = events(answer)
    assert last["content"]["verdict"]["error"]
    assert [r["output"] for r in last["content"]["results"]] == ["hi", "hi"]
    assert {event["index"] for event in told if "index" in event} == {0, 1}
    assert any(event.get("judge") for event in told)


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"backends": [], "prompt": "a"}, "backends"),
        ({"backends": ["echo", "nobody"], "prompt": "a"}, "backends[1]"),
        ({"backends": ["echo"], "prompt": ""}, "prompt"),
        ({"backends": ["echo"], "prompt": "a", "judge": "nobody"}, "judge.backend"),
    ],
)
async def test_a_bad_comparison_is_named(
    service: Service, body: dict[str, Any], param: str
) -> None:
    answer = await service.send(COMPARE, body)
    assert answer.status in (400, 404), answer.text
    assert answer.json["error"]["param"] == param


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (PARALLEL, {"tasks": [task("a"), task("b")]}),
        (CHAIN, {"steps": [step("a"), step("{{previous}}")]}),
        (COMPARE, {"backends": ["echo", "echo"], "prompt": "a"}),
    ],
)
async def test_a_dry_run_shows_every_prompt(
    service: Service, path: str, body: dict[str, Any]
) -> None:
    answer = await service.send(path, {**body, "dry_run": True})
    assert len(results(answer)) == 2
    assert all(r["output"].startswith("Would execute: ") for r in results(answer))


async def test_a_hundred_tasks_eight_at_a_time(service: Service) -> None:
    tasks = [task(f"[[slow 0.001]]task number {n}") for n in range(100)]
    answer = await service.send(PARALLEL, {"tasks": tasks, "max_parallel": 8})
    assert [r["output"] for r in results(answer)] == [f"task number {n}" for n in range(100)]


async def test_a_chain_of_twenty_steps(service: Service) -> None:
    steps = [step("0"), *(step(f"{{{{previous}}}} {n}") for n in range(1, 20))]
    answer = await service.send(CHAIN, {"steps": steps})
    assert results(answer)[-1]["output"] == " ".join(map(str, range(20)))


async def test_four_answers_to_a_prompt_of_a_megabyte(service: Service) -> None:
    prompt = "0123456789abcdef" * 65_536
    answer = await service.send(COMPARE, {"backends": ["echo"] * 4, "prompt": prompt})
    assert [r["output"] == prompt for r in results(answer)] == [True] * 4
