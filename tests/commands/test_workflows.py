"""`clinvk parallel`, `chain`, `compare` and `jobs` against a daemon."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from .running import PATIENCE, Commands, interrupted

pytestmark = pytest.mark.asyncio(loop_scope="session")

TASKS = [
    {"prompt": "first line\nsecond line", "name": "lines", "tags": ["a"], "meta": {"n": 1}},
    {"prompt": "[[fail broken]]", "id": "bad"},
    {"prompt": "the third"},
]
STEPS = [
    {"prompt": "begin {{input}}", "name": "start"},
    {"prompt": "then {{previous}} and {{steps.start.output}}"},
]


def written(clinvk: Commands, **body: Any) -> str:
    """The name of a file with this body."""
    (clinvk.directory / "body.json").write_text(json.dumps(body))
    return "body.json"


# Parallel.


async def test_results_go_to_output_and_progress_to_error(clinvk: Commands) -> None:
    done = await clinvk("parallel", "-f", written(clinvk, tasks=TASKS))
    assert done.status == 1
    heads = [line for line in done.out.splitlines() if line.startswith("== ")]
    assert [head.partition(",")[0] for head in heads] == [
        "== 1 lines (echo", "== 2 bad (echo", "== 3 (echo",
    ]  # fmt: skip
    assert "\nfirst line\nsecond line\n== 2" in done.out
    assert "\n!! backend 'echo': broken\n" in done.out
    lines = done.err.splitlines()
    assert {"1 lines | first line", "1 lines | second line", "3 | the third"} <= set(lines)
    assert any(line.startswith("2 bad: failed: backend 'echo': broken") for line in lines)


async def test_quiet_prints_results_only(clinvk: Commands) -> None:
    done = await clinvk("parallel", "-q", "-f", written(clinvk, tasks=TASKS))
    assert (done.status, done.err) == (1, "")
    assert "\nthe third\n" in done.out


async def test_answers_may_come_as_they_are_made(clinvk: Commands) -> None:
    own = clinvk.with_variables(CLINVK_PARALLEL__AGGREGATE_OUTPUT="false")
    done = await own("parallel", stdin=json.dumps([{"prompt": "a b\nc"}]))
    assert (done.status, done.out) == (0, "1 | a b\n1 | c\n")


async def test_tasks_come_from_standard_input(clinvk: Commands) -> None:
    done = await clinvk.succeed("parallel", "--json", stdin=json.dumps({"tasks": TASKS[2:]}))
    assert [result["output"] for result in done.json["results"]] == ["the third"]


async def test_results_are_written_to_a_directory(clinvk: Commands) -> None:
    file = written(clinvk, tasks=TASKS, output_dir="made/results")
    done = await clinvk("parallel", "--json", "-f", file)
    assert done.status == 1
    directory = clinvk.directory / "made" / "results"
    names = ["001_lines.json", "002_bad.json", "003_echo.json"]
    assert sorted(path.name for path in directory.iterdir()) == [*names, "summary.json"]
    parts = [json.loads((directory / name).read_text()) for name in names]
    assert parts == done.json["results"]
    assert (parts[0]["tags"], parts[0]["meta"]) == (["a"], {"n": 1})
    summary = json.loads((directory / "summary.json").read_text())
    assert (summary["total_tasks"], summary["completed"], summary["failed"]) == (3, 2, 1)
    assert [part["file"] for part in summary["results"]] == names
    assert all("output" not in part for part in summary["results"])


async def test_options_are_for_tasks_that_do_not_say_otherwise(clinvk: Commands) -> None:
    tasks = [{"prompt": "[[model]]"}, {"prompt": "[[model]]", "model": "own"}]
    done = await clinvk.succeed("parallel", "-m", "given", "--json", stdin=json.dumps(tasks))
    assert [result["output"] for result in done.json["results"]] == ["given", "own"]


async def test_fail_fast_stops_the_others(clinvk: Commands) -> None:
    tasks = [{"prompt": "[[silent 600]]x"}, {"prompt": "[[fail no]]"}]
    done = await clinvk("parallel", "--fail-fast", "--json", stdin=json.dumps(tasks))
    assert done.status == 1
    assert [result["exit_code"] for result in done.json["results"]] == [-1, 1]


@pytest.mark.parametrize(
    ("text", "status", "says"),
    [
        ("{", 2, "standard input: is no JSON"),
        ("{}", 2, "a list 'tasks'"),
        ('"x"', 2, "a list 'tasks'"),
        ("[]", 65, "tasks"),
        ("[1]", 65, "tasks[0]"),
        ('[{"prompt":"x"},{"prompt":"y","backend":"nobody"}]', 65, "tasks[1]"),
        ('[{"prompt":"x","nonsense":1}]', 65, "nonsense"),
        ('{"tasks":[],"output_dir":1}', 2, "output_dir"),
    ],
)
async def test_wrong_tasks_are_refused(clinvk: Commands, text: str, status: int, says: str) -> None:
    done = await clinvk("parallel", "--json", stdin=text)
    assert done.status == status
    assert says in done.error["message"]


async def test_a_directory_that_cannot_be_made_stops_before_anything_runs(
    clinvk: Commands,
) -> None:
    (clinvk.directory / "file").touch()
    done = await clinvk("parallel", "--output-dir", "file/inside", stdin='[{"prompt":"x"}]')
    assert (done.status, done.out) == (2, "")
    assert "cannot be made" in done.err


# Chain.


async def test_a_chain_hands_on_its_outputs(clinvk: Commands) -> None:
    file = written(clinvk, steps=STEPS)
    done = await clinvk.succeed("chain", "-f", file, "--input", "here")
    assert "\nbegin here\n" in done.out
    assert "\nthen begin here and begin here\n" in done.out
    assert "1 start | begin here" in done.err.splitlines()
    assert (await clinvk.succeed("chain", "-f", file, "--input", "x", "--json")).json[
        "completed_steps"
    ] == 2


async def test_a_chain_ends_at_a_failure_unless_told_otherwise(clinvk: Commands) -> None:
    steps = [{"prompt": "[[fail no]]"}, {"prompt": "after it"}]
    stopped = await clinvk("chain", "--json", stdin=json.dumps(steps))
    assert (stopped.status, len(stopped.json["results"])) == (1, 1)
    on = json.dumps({"steps": steps, "stop_on_failure": False})
    went_on = await clinvk("chain", "--json", stdin=on)
    assert (went_on.status, len(went_on.json["results"])) == (1, 2)


async def test_a_placeholder_that_means_nothing_is_refused(clinvk: Commands) -> None:
    done = await clinvk("chain", stdin='[{"prompt":"{{steps.none.output}}"}]')
    assert (done.status, done.out) == (65, "")
    assert "steps[0]" in done.err


async def test_a_dry_run_of_several(clinvk: Commands) -> None:
    done = await clinvk.succeed("chain", "--dry-run", stdin='[{"prompt":"x"},{"prompt":"y"}]')
    assert done.out.count("Would execute: ") == 2


# Compare.


async def test_answers_are_compared(clinvk: Commands) -> None:
    done = await clinvk.succeed("compare", "--backends", "echo, echo/large", "[[model]]")
    assert "== 2 echo (echo/large, done" in done.out
    assert "\nlarge\n" in done.out
    document = await clinvk.succeed("compare", "--backends", "echo,echo", "--json", stdin="same")
    assert [result["output"] for result in document.json["results"]] == ["same", "same"]


async def test_all_backends_are_those_that_are_there(clinvk: Commands) -> None:
    document = await clinvk("compare", "--all-backends", "--timeout", "0.001", "--json", "x")
    assert "echo" in document.json["backends"]
    assert "claude" not in document.json["backends"]


async def test_a_verdict_is_printed(clinvk: Commands) -> None:
    """Echo answers with its own prompt, which holds what the compared ones said."""
    options = ("compare", "--backends", "echo,echo", "--judge", "echo")
    done = await clinvk(*options, "x")
    assert done.status == 1  # echo is no judge
    assert "== verdict of echo: none, " in done.out
    assert "judge: failed: " in done.err


@pytest.mark.parametrize(
    ("arguments", "status", "says"),
    [
        (("x",), 2, "--backends"),
        (("--backends", "echo", "--all-backends", "x"), 2, "--all-backends"),
        (("--backends", "echo,nobody", "x"), 65, "backends[1]"),
        (("--backends", "echo,", "x"), 65, "backends[1]"),
    ],
)
async def test_wrong_comparisons(
    clinvk: Commands, arguments: tuple[str, ...], status: int, says: str
) -> None:
    done = await clinvk("compare", *arguments)
    assert (done.status, done.out) == (status, "")
    assert says in done.err


# Jobs.


async def test_a_job_is_begun_followed_and_listed(clinvk: Commands) -> None:
    job = (await clinvk.succeed("prompt", "--background", "one two")).out.strip()
    followed = await clinvk.succeed("jobs", "follow", job)
    assert (followed.out, followed.err) == ("one two\n", "")
    assert (await clinvk.succeed("jobs", "follow", "-q", job)).out == "one two\n"
    document = (await clinvk.succeed("jobs", "follow", "--json", job)).json
    assert (document["id"], document["status"]) == (job, "completed")
    assert document["result"]["output"] == "one two"
    listed = (await clinvk.succeed("jobs", "list", "--kind", "prompt")).out.splitlines()
    assert any(line.split()[:3] == [job, "prompt", "completed"] for line in listed)
    shown = (await clinvk.succeed("jobs", "show", job)).out
    assert shown.startswith(f"id         {job}\n")
    assert shown.endswith("\none two\n")


async def test_leaving_a_job_leaves_it_running(clinvk: Commands) -> None:
    job = (await clinvk.succeed("prompt", "--background", "[[slow 600]]first then")).out.strip()
    process = await clinvk.begin("jobs", "follow", job)
    assert process.stdout is not None
    async with asyncio.timeout(PATIENCE):
        assert await process.stdout.readexactly(6) == b"first "
    assert (await interrupted(process)).status == 130
    assert (await clinvk.succeed("jobs", "show", "--json", job)).json["status"] == "running"
    assert (await clinvk.succeed("jobs", "cancel", job)).out == f"{job} canceled\n"
    again = await clinvk("jobs", "cancel", "--json", job)
    assert (again.status, again.error["code"]) == (65, "conflict")
    ended = await clinvk("jobs", "follow", job)
    assert (ended.status, ended.out, ended.err) == (1, "first \n", "clinvk: canceled\n")
    assert "\nfirst \n" in (await clinvk.succeed("jobs", "show", job)).out


async def test_lanes_of_a_job_are_followed(clinvk: Commands) -> None:
    file = written(clinvk, tasks=TASKS)
    job = (await clinvk.succeed("parallel", "-f", file, "--background")).out.strip()
    done = await clinvk("jobs", "follow", job)
    assert done.status == 1
    assert "1 lines | second line" in done.err.splitlines()
    assert "\nthe third\n" in done.out


async def test_a_chain_goes_on_as_a_new_job(clinvk: Commands) -> None:
    steps = [{"prompt": "kept"}, {"prompt": "[[exit 3]]"}, {"prompt": "{{previous}} later"}]
    job = (await clinvk.succeed("chain", "--background", stdin=json.dumps(steps))).out.strip()
    assert (await clinvk("jobs", "follow", job)).status == 1
    done = await clinvk("jobs", "resume", job, "--follow")
    assert done.status == 1
    assert "== 1 (echo, done before)\nkept\n" in done.out
    unknown = await clinvk("jobs", "resume", "f" * 32)
    assert unknown.status == 65


@pytest.mark.parametrize(
    ("kind", "body"),
    [("parallel", {"tasks": [{"prompt": "later"}]}), ("chain", {"steps": [{"prompt": "later"}]})],
)
async def test_a_file_may_ask_for_a_job(clinvk: Commands, kind: str, body: dict[str, Any]) -> None:
    file = written(clinvk, **body, background=True)
    job = (await clinvk.succeed(kind, "-f", file)).out.strip()
    assert "later" in (await clinvk.succeed("jobs", "follow", job)).out
    assert (await clinvk.succeed(kind, "-f", file, "--json")).json["kind"] == kind
    wrong = await clinvk(kind, "-f", written(clinvk, **body, background="yes"))
    assert (wrong.status, "background" in wrong.err) == (65, True)


async def test_a_dry_run_makes_no_job(clinvk: Commands) -> None:
    file = written(clinvk, tasks=[{"prompt": "never"}], dry_run=True, background=True)
    several = ("compare", "--backends", "echo", "never")
    for arguments in (("parallel", "-f", file), several, ("prompt", "never")):
        done = await clinvk.succeed(*arguments, "--dry-run", "--background")
        assert "send:" in done.out


async def test_a_job_writes_no_files(clinvk: Commands) -> None:
    done = await clinvk("parallel", "--background", "--output-dir", "x", stdin='[{"prompt":"x"}]')
    assert (done.status, done.out) == (2, "")
    asked = written(clinvk, tasks=[{"prompt": "x"}], background=True, output_dir="x")
    assert (await clinvk("parallel", "-f", asked)).status == 2
