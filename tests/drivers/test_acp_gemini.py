"""How the ACP driver tells gemini to choose its words: settings files of a session's folder."""

from __future__ import annotations

import json
from typing import Any

import pytest

from clinvkd.drivers.acp import AcpDriver
from clinvkd.drivers.acp.gemini import generation
from clinvkd.errors import BackendRefused
from clinvkd.events import Opened, Progress
from clinvkd.prompt import OutputSchema, Sampling

from .acp_talk import SCRATCH, TOOLS, Rules, Talk, gemini, prompt, said

HISTORY = (said("user", "hello"), said("assistant", "hi"))


def test_gemini_reads_generation_settings_from_a_folder_of_the_conversation() -> None:
    talk = gemini()
    script = talk.driver.open()
    schema = OutputSchema({"type": "object"})
    sampling = Sampling(temperature=0.25, top_p=0.5, top_k=4, seed=3)
    asked = prompt("x", max_tokens=9, sampling=sampling, output=schema)
    talk.ask(script, asked)
    (file,) = talk.files
    assert file.data is not None
    assert str(file.path.parent.parent) == talk.last("session/new")["cwd"]
    written = json.loads(file.data)
    assert written["modelConfigs"]["customOverrides"][0]["modelConfig"] == {
        "generateContentConfig": {
            "temperature": 0.25,
            "topP": 0.5,
            "topK": 4,
            "seed": 3,
            "responseMimeType": "application/json",
            "responseJsonSchema": {"type": "object"},
        }
    }
    assert written["general"]["maxAttempts"] == 1


def test_gemini_goes_on_only_with_the_settings_it_was_opened_with() -> None:
    talk = gemini()
    script = talk.driver.open()
    sampling = Sampling(temperature=0.25, stop=("a",))
    talk.ask(script, prompt("x", max_tokens=9, sampling=sampling))
    other_stop = Sampling(temperature=0.25, stop=("b",))
    assert script.serves(prompt("y", max_tokens=9, sampling=other_stop, max_turns=3))
    # The limit is cut by the pool, which gemini does not tell of.
    assert script.serves(prompt("y", max_tokens=8, sampling=sampling))
    assert not script.serves(prompt("y", max_tokens=9))
    plain = talk.driver.open()
    talk.ask(plain, prompt("x"))
    assert plain.serves(prompt("y"))
    assert not plain.serves(prompt("y", sampling=Sampling(seed=1)))


def test_settings_do_not_matter_where_they_are_no_part_of_the_session() -> None:
    talk = Talk(Rules(), "goose").start()
    script = talk.driver.open()
    talk.ask(script, prompt("x"))
    assert script.serves(prompt("y", max_tokens=8, sampling=Sampling(seed=1)))


def test_a_history_is_given_natively_and_settings_are_left_out_then() -> None:
    talk = gemini()
    asked = prompt("z", *HISTORY, sampling=Sampling(seed=1))
    talk.ask(talk.driver.open(), asked)
    assert "session/load" in talk.methods()
    assert not any(file.path.name == "settings.json" for file in talk.files)
    backend = talk.driver.backend
    assert "seed" in AcpDriver.abilities_for(backend, prompt("z")).honours
    assert not AcpDriver.abilities_for(backend, asked).honours


@pytest.mark.parametrize(
    ("asked", "budget"),
    [
        ({"sampling": Sampling(effort="none")}, 0),
        ({"sampling": Sampling(effort="medium")}, 8192),
        ({"sampling": Sampling(effort="medium", thinking_tokens=5)}, 5),
        ({"sampling": Sampling(thinking_tokens=5), "options": (("thinking_budget", 7),)}, 7),
    ],
)
def test_how_much_gemini_thinks(asked: dict[str, Any], budget: int) -> None:
    thinking = {"thinkingBudget": budget, "includeThoughts": budget > 0, "thinkingLevel": None}
    assert generation(prompt("x", **asked)) == {"thinkingConfig": thinking}


def test_an_effort_gemini_does_not_know_is_refused() -> None:
    with pytest.raises(BackendRefused, match="none, minimal, low") as caught:
        generation(prompt("x", sampling=Sampling(effort="enormous")))
    assert caught.value.param == "effort"


def test_gemini_with_tools_is_not_asked_for_json() -> None:
    asked = prompt("x", output=OutputSchema({"type": "object"}), permissions=TOOLS)
    assert generation(asked) == {}


def test_gemini_writes_nothing_into_a_callers_directory() -> None:
    talk = gemini()
    asked = prompt(
        "x",
        workdir=SCRATCH.parent / "user",
        sampling=Sampling(seed=1),
        options=(("thinking_budget", 7),),
        permissions=TOOLS,
    )
    script = talk.driver.open()
    events = talk.ask(script, asked)
    assert events[0] == Progress("ignored", "thinking_budget")
    assert all(file.path.is_relative_to(SCRATCH) for file in talk.files)
    assert talk.files[0].data == b"/user"
    assert talk.last("session/new")["cwd"] == "/user"
    again = prompt("y", workdir=asked.workdir, permissions=TOOLS)
    assert script.serves(again)
    assert talk.again(script, again)[0] == Opened("s2")
