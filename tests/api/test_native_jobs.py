"""Jobs: work that goes on without a caller, and what it told."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from .service import NDJSON, SSE, Answer, Service, serving

pytestmark = pytest.mark.asyncio(loop_scope="session")

JOBS = "/api/v1/jobs"
PARALLEL, CHAIN = "/api/v1/parallel", "/api/v1/chain"
FINAL = ("completed", "failed", "canceled", "interrupted")


async def get(service: Service, path: str, **headers: str) -> Answer:
    async with service.client.get(path, headers=headers) as response:
        return await Answer.of(response)


async def delete(service: Service, path: str) -> Answer:
    async with service.client.delete(path) as response:
        return await Answer.of(response)


async def begun(service: Service, body: dict[str, Any], path: str = "/api/v1/prompt") -> str:
    """The id of a new job."""
    answer = await service.send(path, {"background": True, **body})
    assert answer.status == 202, answer.text
    assert answer.json["status"] == "queued"
    assert answer.headers["Location"] == f"{JOBS}/{answer.json['id']}"
    return str(answer.json["id"])


async def ended(service: Service, job: str) -> dict[str, Any]:
    """The job, once it has ended."""
    await get(service, f"{JOBS}/{job}/events")
    found: dict[str, Any] = (await get(service, f"{JOBS}/{job}")).json
    assert found["status"] in FINAL
    return found


def numbered(answer: Answer) -> list[tuple[int, dict[str, Any]]]:
    """The events of an event stream with their ids."""
    assert answer.status == 200, answer.text
    found = []
    for block in answer.text.split("\n\n"):
        lines = dict(line.split(": ", 1) for line in block.split("\n") if line[:1] not in ("", ":"))
        if lines:
            found.append((int(lines["id"]), json.loads(lines["data"])))
    return found


async def test_a_prompt_runs_without_its_caller(service: Service) -> None:
    job = await begun(service, {"backend": "echo", "prompt": "in the background"})
    found = await ended(service, job)
    assert found["status"] == "completed"
    assert found["kind"] == "prompt"
    assert found["result"]["output"] == "in the background"
    assert found["request"]["prompt"] == "in the background"
    assert found["created_at"] <= found["started_at"] <= found["ended_at"]
    again = await service.text("[[history]]", session_id=found["result"]["session_id"])
    assert "in the background" in again


async def test_events_are_those_of_a_stream_with_numbers(service: Service) -> None:
    job = await begun(service, {"backend": "echo", "prompt": "one two three"})
    told = numbered(await get(service, f"{JOBS}/{job}/events"))
    assert [number for number, _ in told] == list(range(1, len(told) + 1))
    assert all(number == event["sequence"] for number, event in told)
    assert told[-1][1]["type"] == "complete"
    text = "".join(event["content"]["text"] for _, event in told if event["type"] == "message")
    assert text == "one two three"


async def test_a_reader_goes_on_where_it_was(service: Service) -> None:
    job = await begun(service, {"backend": "echo", "prompt": "one two three"})
    everything = numbered(await get(service, f"{JOBS}/{job}/events"))
    for known in range(len(everything)):
        header = {"Last-Event-ID": str(known)}
        assert numbered(await get(service, f"{JOBS}/{job}/events", **header)) == everything[known:]
    last = everything[-1][0]
    nothing = await get(service, f"{JOBS}/{job}/events", **{"Last-Event-ID": str(last)})
    assert (nothing.status, nothing.text) == (204, "")
    asked = await get(service, f"{JOBS}/{job}/events?after=2", **NDJSON)
    assert [json.loads(line) for line in asked.text.splitlines()] == [e for _, e in everything[2:]]


@pytest.mark.parametrize("known", ["999", "x", "-1", "1.5", "9" * 30])
async def test_an_event_that_is_yet_to_come_is_refused(service: Service, known: str) -> None:
    job = await begun(service, {"backend": "echo", "prompt": "short"})
    await ended(service, job)
    answer = await get(service, f"{JOBS}/{job}/events", **{"Last-Event-ID": known})
    assert (answer.status, answer.error["param"]) == (400, "Last-Event-ID")


async def test_two_read_along_while_it_runs(service: Service) -> None:
    job = await begun(service, {"backend": "echo", "prompt": "[[slow 0.02]]a b c d e"})
    one, two = await asyncio.gather(*(get(service, f"{JOBS}/{job}/events") for _ in range(2)))
    assert numbered(one) == numbered(two)
    assert numbered(one)[-1][1]["content"]["exit_code"] == 0


async def test_what_it_has_said_so_far_is_seen(service: Service) -> None:
    job = await begun(service, {"backend": "echo", "prompt": "[[slow 600]]first then"})
    async with service.client.get(f"{JOBS}/{job}/events") as events:
        await events.content.readuntil(b'"first "')
        found = (await get(service, f"{JOBS}/{job}")).json
        assert found["status"] == "running"
        assert found["output"] == [{"backend": "echo", "output": "first "}]
        assert (await delete(service, f"{JOBS}/{job}")).json["status"] == "canceled"
        assert b'"first "' not in await events.content.read()
    found = (await get(service, f"{JOBS}/{job}")).json
    assert (found["status"], found["error"]["code"]) == ("canceled", "canceled")
    assert found["output"] == [{"backend": "echo", "output": "first "}]


async def test_one_that_has_ended_can_be_deleted(service: Service) -> None:
    job = await begun(service, {"backend": "echo", "prompt": "short"})
    await ended(service, job)
    assert (await delete(service, f"{JOBS}/{job}")).json == {"deleted": True, "id": job}
    for path in (f"{JOBS}/{job}", f"{JOBS}/{job}/events"):
        assert (await get(service, path)).status == 404
    assert (await delete(service, f"{JOBS}/{job}")).status == 404


async def test_a_failure_is_told(service: Service) -> None:
    job = await begun(service, {"backend": "echo", "prompt": "[[fail broken]]"})
    told = numbered(await get(service, f"{JOBS}/{job}/events"))
    assert [event["type"] for _, event in told[-2:]] == ["error", "complete"]
    found = await ended(service, job)
    assert found["status"] == "failed"
    assert "broken" in found["error"]["message"]


async def test_a_mistake_is_told_before_there_is_a_job(service: Service) -> None:
    before = (await get(service, JOBS)).json["total"]
    answer = await service.post(background=True, prompt="x", model="-x")
    assert (answer.status, answer.error["param"]) == (400, "model")
    answer = await service.post(background=True, prompt="x", ephemeral=True)
    assert (answer.status, answer.error["param"]) == (400, "background")
    assert (await get(service, JOBS)).json["total"] == before


async def test_all_kinds_run_as_jobs_and_are_listed(service: Service) -> None:
    tasks = [{"backend": "echo", "prompt": f"task {n}"} for n in range(3)]
    parallel = await begun(service, {"tasks": tasks}, PARALLEL)
    compare = await begun(service, {"backends": ["echo"], "prompt": "x"}, "/api/v1/compare")
    found = await ended(service, parallel)
    assert [r["output"] for r in found["result"]["results"]] == ["task 0", "task 1", "task 2"]
    await ended(service, compare)
    page = (await get(service, f"{JOBS}?kind=parallel&status=completed&limit=1")).json
    assert [job["id"] for job in page["jobs"]] == [parallel]
    newest = (await get(service, f"{JOBS}?limit=2")).json["jobs"]
    assert [job["id"] for job in newest] == [compare, parallel]


@pytest.mark.parametrize(
    ("query", "param"),
    [("limit=0", "limit"), ("limit=x", "limit"), ("kind=x", "kind"), ("status=x", "status"),
     ("offset=-1", "offset"), ("stauts=queued", "stauts")],
)  # fmt: skip
async def test_a_wrong_filter_is_named(service: Service, query: str, param: str) -> None:
    answer = await get(service, f"{JOBS}?{query}")
    assert (answer.status, answer.error["param"]) == (400, param)


async def test_a_chain_goes_on_where_it_failed(service: Service) -> None:
    steps = [
        {"backend": "echo", "prompt": "one", "name": "first"},
        {"backend": "echo", "prompt": "[[fail broken]]"},
        {"backend": "echo", "prompt": "three"},
    ]
    job = await begun(service, {"steps": steps, "stop_on_failure": True}, CHAIN)
    assert (await ended(service, job))["result"]["failed_step"] == 2
    answer = await service.send(f"{JOBS}/{job}/resume", {})
    assert answer.status == 202, answer.text
    resumed = (await ended(service, answer.json["id"]))["result"]
    assert [(r["output"], r.get("resumed")) for r in resumed["results"]] == [
        ("one", True),
        ("", None),
    ]
    prompt = await begun(service, {"backend": "echo", "prompt": "x"})
    await ended(service, prompt)
    answer = await service.send(f"{JOBS}/{prompt}/resume", {})
    assert (answer.status, answer.error["param"]) == (400, "id")


@pytest.mark.parametrize(
    ("prompts", "brought", "known"),
    [
        # One that itself began with results; behind the first failure they are of no use.
        (["a", "[[fail x]]", "c {{previous}}"], [(0, "A"), (1, ""), (1, "")], ["A"]),
        (["a", "b b b", "[[fail x]] c"], [(0, "A"), (1, "")], ["A", "b b b"]),
        (["a", "[[fail x]]", "c"], [], ["a"]),
        # A step that succeeded after a failure used what the failed one had said.
        (["[[fail x]]", "b {{previous}}"], [], []),
    ],
)
async def test_a_chain_is_resumed_behind_its_leading_successes(
    service: Service, prompts: list[str], brought: list[tuple[int, str]], known: list[str]
) -> None:
    steps = [{"backend": "echo", "prompt": prompt} for prompt in prompts]
    earlier = [{"exit_code": code, "output": output} for code, output in brought]
    job = await begun(service, {"steps": steps, "results": earlier}, CHAIN)
    for _ in range(2):  # what is resumed can be resumed again
        await ended(service, job)
        answer = await service.send(f"{JOBS}/{job}/resume", {})
        assert answer.status == 202, answer.text
        job = answer.json["id"]
        found = await ended(service, job)
        results = found["result"]["results"]
        assert len(results) == len(prompts)
        assert [each["output"] for each in results if each.get("resumed")] == known
        assert found["request"]["results"] == [{"exit_code": 0, "output": each} for each in known]


async def test_no_more_run_at_once_than_configured(tmp_path: Path) -> None:
    async with serving(tmp_path, parallel={"max_jobs": 1}) as service:
        first = await begun(service, {"backend": "echo", "prompt": "[[silent 600]]never"})
        second = await begun(service, {"backend": "echo", "prompt": "second"})
        assert (await get(service, f"{JOBS}/{second}")).json["status"] == "queued"
        await delete(service, f"{JOBS}/{first}")
        assert (await ended(service, second))["status"] == "completed"


async def test_a_job_that_waits_can_be_canceled(tmp_path: Path) -> None:
    async with serving(tmp_path, parallel={"max_jobs": 1}) as service:
        first = await begun(service, {"backend": "echo", "prompt": "[[silent 600]]never"})
        second = await begun(service, {"backend": "echo", "prompt": "second"})
        answer = await delete(service, f"{JOBS}/{second}")
        assert answer.json["status"] == "canceled"
        await delete(service, f"{JOBS}/{first}")


async def test_a_job_that_nobody_here_runs_can_be_canceled(tmp_path: Path) -> None:
    """As when its process died while another one had the same file open."""
    async with serving(tmp_path, server={"shutdown_grace_secs": 0.1}) as service:
        job = await begun(service, {"backend": "echo", "prompt": "[[slow 600]]first then"})
        async with service.client.get(f"{JOBS}/{job}/events") as events:
            await events.content.readuntil(b'"first "')
        async with serving(tmp_path) as other:
            answer = await delete(other, f"{JOBS}/{job}")
            assert (answer.status, answer.json["status"]) == (200, "canceled")
            assert answer.json["error"]["code"] == "canceled"
            assert (await delete(other, f"{JOBS}/{job}")).json["deleted"]


async def test_jobs_survive_a_restart(tmp_path: Path) -> None:
    async with serving(tmp_path, server={"shutdown_grace_secs": 0.1}) as service:
        done = await begun(service, {"backend": "echo", "prompt": "done"})
        before = await ended(service, done)
        told = numbered(await get(service, f"{JOBS}/{done}/events"))
        cut = await begun(service, {"backend": "echo", "prompt": "[[slow 600]]first then"})
        async with service.client.get(f"{JOBS}/{cut}/events") as events:
            await events.content.readuntil(b'"first "')
    async with serving(tmp_path) as service:
        assert (await get(service, f"{JOBS}/{done}")).json == before
        assert numbered(await get(service, f"{JOBS}/{done}/events")) == told
        found = (await get(service, f"{JOBS}/{cut}")).json
        assert found["status"] == "interrupted"
        assert found["output"] == [{"backend": "echo", "output": "first "}]


async def test_an_idempotency_key_stands_for_the_job(service: Service) -> None:
    key = {"Idempotency-Key": "job-key-1"}
    body = {"backend": "echo", "prompt": "once", "background": True}
    first = await service.post(body, key)
    await ended(service, first.json["id"])
    second = await service.post(body, key)
    assert second.status == 202
    assert second.json["id"] == first.json["id"]
    assert second.json["status"] == "completed"
    assert second.headers["Idempotency-Replayed"] == "true"
    other = await service.post({**body, "prompt": "other"}, key)
    assert (other.status, other.error["param"]) == (409, "Idempotency-Key")


@pytest.mark.parametrize("headers", [{}, SSE, NDJSON])
async def test_the_same_key_and_body_give_the_same_answer(
    service: Service, headers: dict[str, str]
) -> None:
    key = {"Idempotency-Key": f"key {headers.get('Accept')}".replace(" ", "-"), **headers}
    body = {"backend": "echo", "prompt": "carried out once"}
    before = await service.engine.sessions.count()
    first, second = await service.post(body, key), await service.post(body, key)
    assert (first.status, first.text) == (second.status, second.text)
    assert first.headers["Content-Type"] == second.headers["Content-Type"]
    assert "Idempotency-Replayed" not in first.headers
    assert second.headers["Idempotency-Replayed"] == "true"
    assert await service.engine.sessions.count() == before + 1


async def test_a_caller_who_left_gets_the_answer_later(service: Service) -> None:
    key = {"Idempotency-Key": "left-early", **SSE}
    body = {"backend": "echo", "prompt": "[[slow 0.05]]all of these words come"}
    data = json.dumps(body).encode()
    headers = {"Content-Type": "application/json", **key}
    async with service.client.post("/api/v1/prompt", data=data, headers=headers) as response:
        await response.content.readuntil(b'"all "')
        response.close()
    answer = await service.post(body, key)
    while answer.status == 409:
        assert answer.headers["Retry-After"] == "1"
        await asyncio.sleep(0.02)
        answer = await service.post(body, key)
    assert answer.headers["Idempotency-Replayed"] == "true"
    text = [event["content"]["text"] for event in answer.events if event["type"] == "message"]
    assert "".join(text) == "all of these words come"


async def test_a_failure_is_not_kept(service: Service) -> None:
    key = {"Idempotency-Key": "failing"}
    body = {"backend": "echo", "prompt": "[[fail broken]]"}
    assert (await service.post(body, key)).status == 500
    again = await service.post(body, key)
    assert again.status == 500
    assert "Idempotency-Replayed" not in again.headers
    assert (await service.post(prompt="fine", headers=key)).status == 200


@pytest.mark.parametrize("key", ["with blank", "x" * 256, ""])
async def test_a_key_that_is_none_is_refused(service: Service, key: str) -> None:
    answer = await service.post(prompt="x", headers={"Idempotency-Key": key})
    assert (answer.status, answer.error["param"]) == (400, "Idempotency-Key")
    answer = await service.post(prompt="x", ephemeral=True, headers={"Idempotency-Key": "k"})
    assert (answer.status, answer.error["param"]) == (400, "Idempotency-Key")


async def test_other_dialects_keep_answers_too(service: Service) -> None:
    body = {"model": "echo", "messages": [{"role": "user", "content": "hello"}]}
    key = {"Idempotency-Key": "chat"}
    first = await service.send("/openai/v1/chat/completions", body, key)
    second = await service.send("/openai/v1/chat/completions", body, key)
    assert first.json == second.json
    assert second.headers["Idempotency-Replayed"] == "true"
