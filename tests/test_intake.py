"""How a request becomes a prompt: defaults, names, options, rights, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from clinvkd.config import Settings
from clinvkd.errors import ConfigError, InvalidRequest, NotFound
from clinvkd.intake import Approved, Asked, Intake
from clinvkd.keys import OWNER
from clinvkd.prompt import (
    Audio,
    Document,
    Image,
    Message,
    OutputSchema,
    Prompt,
    Sampling,
    Text,
    ToolResult,
    ToolUse,
)

USER = Message("user", (Text("hi"),))
PICTURE = Message("user", (Image("image/png", "aGk="),))
RECORDING = Message("user", (Audio("audio/wav", "aGk="),))


def intake(**sections: Any) -> Intake:
    return Intake(Settings.model_validate(sections), lambda: "echo")


def approve(sections: dict[str, Any] | None = None, /, **asked: Any) -> Approved:
    return intake(**(sections or {})).approve(Asked(**{"messages": (USER,), **asked}), OWNER)


def prompt(sections: dict[str, Any] | None = None, /, **asked: Any) -> Prompt:
    return approve(sections, **asked).prompt


def test_without_a_word_the_defaults_hold() -> None:
    assert prompt() == Prompt(backend="echo", messages=(USER,))


def test_the_request_wins_over_the_section_and_that_over_the_common_flags(tmp_path: Path) -> None:
    section = {"model": "m-section", "system_prompt": "section", "approval_mode": "auto"}
    flags = {"approval_mode": "always", "sandbox_mode": "full", "max_tokens": 7, "max_turns": 8}
    sections = {"backends": {"claude": section}, "unified_flags": flags}
    configured = prompt(sections, backend="claude")
    assert (configured.model, configured.system) == ("m-section", "section")
    assert configured.permissions.approval == "auto"
    assert configured.permissions.sandbox == "full"
    assert (configured.max_tokens, configured.max_turns) == (7, 8)
    asked = prompt(
        sections, backend="claude", model="m", system="s", approval="none", sandbox="read-only",
        max_tokens=1, max_turns=2, workdir=str(tmp_path), ephemeral=True,
    )  # fmt: skip
    assert (asked.model, asked.system) == ("m", "s")
    assert (asked.permissions.approval, asked.permissions.sandbox) == ("none", "read-only")
    assert (asked.max_tokens, asked.max_turns, asked.workdir) == (1, 2, tmp_path)
    assert asked.ephemeral


@pytest.mark.parametrize(
    ("backend", "name", "model"),
    [
        ("claude", "fast", "haiku"),
        ("claude", "best", "opus"),
        ("codex", "balanced", "gpt-5.2"),
        ("gemini", "quick", "gemini-2.5-flash"),
        ("echo", "fast", "fast"),
        ("claude", "claude-opus-4-1", "claude-opus-4-1"),
        ("claude", "FAST", "FAST"),
        ("codex", "provider/model:tag@1", "provider/model:tag@1"),
        ("codex", "m" * 256, "m" * 256),
    ],
)
def test_names_of_models(backend: str, name: str, model: str) -> None:
    assert prompt(backend=backend, model=name).model == model


@pytest.mark.parametrize("name", ["-x", "a b", "a\n", "\t", "a\0", "m" * 257, "a\u2028b"])
def test_a_model_that_could_be_anything_else_is_refused(name: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        prompt(model=name)
    assert caught.value.param == "model"


@pytest.mark.parametrize(
    ("section", "asked", "tools"),
    [
        ({}, {}, False),
        ({}, {"approval": "default", "sandbox": "default"}, False),
        ({}, {"approval": "auto"}, True),
        ({}, {"sandbox": "read-only"}, True),
        ({}, {"workdir": True}, True),
        ({}, {"workdir": True, "chat": True}, False),
        ({"approval_mode": "auto"}, {}, True),
        ({"tools": "on"}, {}, True),
        ({"tools": "on"}, {"chat": True}, True),
        ({"tools": "off"}, {"approval": "none", "workdir": True}, False),
    ],
)
def test_when_the_agents_own_tools_are_on(
    tmp_path: Path, section: dict[str, Any], asked: dict[str, Any], tools: bool
) -> None:
    if "workdir" in asked:
        asked = {**asked, "workdir": str(tmp_path)}
    given = prompt({"backends": {"echo": section}}, **asked)
    assert given.permissions.tools is tools


def test_rights_of_the_section_are_passed_on() -> None:
    section = {"allowed_tools": ["Read", "Edit"], "trusted": True}
    given = prompt({"backends": {"claude": section}}, backend="claude").permissions
    assert (given.allowed_tools, given.trusted) == (("Read", "Edit"), True)


def test_options_are_read_by_their_type() -> None:
    given = prompt(backend="codex", extra=("--summary=none", "--effort=high"))
    assert given.options == (("effort", "high"), ("summary", "none"))
    given = prompt(backend="gemini", extra=("--thinking_budget=128",))
    assert given.option("thinking_budget") == 128
    assert prompt(backend="codex", extra=("--effort=low", "--effort=high")).options == (
        ("effort", "high"),
    )


@pytest.mark.parametrize(
    ("backend", "extra", "says"),
    [
        ("claude", ("--settings=/x",), "extra[0] '--settings=/x' is not an option of backend 'cl"),
        ("claude", ("--effort=low", "-p"), "extra[1] '-p' is not an option"),
        ("claude", ("effort=low",), "is not an option"),
        ("claude", ("",), "is not an option"),
        ("claude", ("--effort=",), "extra[0] takes one of low, "),
        ("claude", ("--effort",), "extra[0] takes one of low, "),
        ("claude", ("--effort=low ",), "extra[0] takes one of low, "),
        ("gemini", ("--thinking_budget=much",), "extra[0] takes one integer from 0"),
        ("gemini", ("--thinking_budget=-1",), "extra[0] takes one integer from 0"),
        ("gemini", ("--thinking_budget=1.5",), "extra[0] takes one integer from 0"),
        ("gemini", ("--thinking_budget=1\0",), "extra[0] takes one integer from 0"),
        ("echo", ("--anything=1",), "allowed: none"),
        ("echo", ("-" * 10_000,), "allowed: none"),
    ],
)
def test_only_listed_options_are_taken(backend: str, extra: tuple[str, ...], says: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        prompt(backend=backend, extra=extra)
    assert says in caught.value.message
    assert caught.value.param == f"extra[{len(extra) - 1}]"
    assert len(caught.value.message) < 500


@pytest.mark.parametrize(
    ("messages", "param"),
    [
        ((), "prompt"),
        ((Message("assistant", (Text("hi"),)),), "prompt"),
        ((Message("user", ()),), "prompt"),
        ((Message("user", (Text(" \n"), Text("\t"))),), "prompt"),
        ((Message("user", (Text("a\0"),)),), "prompt"),
        ((Message("user", (Text("a\0"),)), USER), "messages"),
    ],
)
def test_messages_that_are_no_prompt(messages: tuple[Message, ...], param: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        prompt(messages=messages)
    assert caught.value.param == param


@pytest.mark.parametrize(
    "messages",
    [
        (Message("user", ()),),
        (Message("user", (Text("a\0"),)), USER),
        (Message("user", (ToolResult("call", ()),)),),
    ],
)
def test_an_error_names_the_only_field_of_the_dialect(messages: tuple[Message, ...]) -> None:
    with pytest.raises(InvalidRequest) as caught:
        prompt(messages=messages, field="input")
    assert caught.value.param == "input"


@pytest.mark.parametrize(
    "messages",
    [
        (Message("user", (ToolResult("other", ()),)),),
        (USER, Message("assistant", (ToolUse("call", "look", {}),)), USER),
    ],
    ids=["of no call", "missing"],
)
def test_results_are_at_fault_and_not_the_prompt(messages: tuple[Message, ...]) -> None:
    with pytest.raises(InvalidRequest) as caught:
        prompt(messages=messages)
    assert caught.value.param == "tool_results"


def test_a_nul_that_the_user_did_not_write_is_replaced() -> None:
    called = ToolUse("call", "look", {"at": "a\0"})  # for the caller's tool, as the model said it
    result = ToolResult("call", (Text("a\0"), Image("image/png", "aGk=")), is_error=True)
    document = Document("text/plain", "\0b", "a.bin")
    messages = (
        USER,
        Message("assistant", (Text("\0a\0"), called)),
        Message("user", (result, document, Text("and?"))),
    )
    given = prompt(messages=messages, backend="claude").messages
    assert given == (
        USER,
        Message("assistant", (Text("\ufffda\ufffd"), called)),
        Message(
            "user",
            (
                ToolResult("call", (Text("a\ufffd"), Image("image/png", "aGk=")), is_error=True),
                Document("text/plain", "\ufffdb", "a.bin"),
                Text("and?"),
            ),
        ),
    )


def test_a_picture_alone_is_a_prompt() -> None:
    assert prompt(messages=(PICTURE,)).messages == (PICTURE,)


@pytest.mark.parametrize(
    ("messages", "param"), [((PICTURE,), "prompt"), ((PICTURE, USER), "messages")]
)
def test_a_backend_without_eyes_refuses_pictures(messages: tuple[Message, ...], param: str) -> None:
    with pytest.raises(InvalidRequest, match="backend 'local' does not take images") as caught:
        prompt(messages=messages, backend="local")
    assert caught.value.param == param


@pytest.mark.parametrize(
    ("messages", "param"), [((RECORDING,), "prompt"), ((RECORDING, USER), "messages")]
)
@pytest.mark.parametrize("backend", ["claude", "codex", "local", "echo"])
def test_a_backend_without_ears_refuses_recordings(
    messages: tuple[Message, ...], param: str, backend: str
) -> None:
    says = f"backend '{backend}' does not take audio"
    with pytest.raises(InvalidRequest, match=says) as caught:
        prompt(messages=messages, backend=backend)
    assert caught.value.param == param


def test_gemini_takes_recordings() -> None:
    assert prompt(messages=(RECORDING,), backend="gemini").messages == (RECORDING,)


def test_a_system_prompt_with_nul_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="NUL") as caught:
        prompt(system="a\0b")
    assert caught.value.param == "system_prompt"


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("claud", "there is no backend 'claud'; did you mean 'claude'? configured: claude, codex"),
        ("zzz", "there is no backend 'zzz'; configured: claude, codex, gemini, echo"),
        ("local", "there is no backend 'local'; "),
    ],
)
def test_an_unknown_or_disabled_backend(name: str, says: str) -> None:
    with pytest.raises(NotFound) as caught:
        prompt({"backends": {"local": {"enabled": False}}}, backend=name)
    assert says in caught.value.message
    assert caught.value.param == "backend"


def test_what_a_backend_cannot_honour_is_named() -> None:
    approved = approve(backend="echo", max_turns=5, approval="default", sandbox="default")
    assert approved.ignored == ("max_turns",)
    assert approve(backend="claude", max_turns=5).ignored == ()


def test_sampling_that_a_backend_cannot_honour_is_named() -> None:
    sampling = Sampling(temperature=0.5, top_p=0.5, top_k=5, seed=1)
    ignored = approve(backend="codex", sampling=sampling, output=OutputSchema({})).ignored
    assert ignored == ("temperature", "top_p", "top_k", "seed")
    assert approve(backend="gemini", sampling=sampling).ignored == ()
    plain = {"driver": "acp", "command": ["plain-agent"]}
    # It is asked in words, and its answer is checked.
    approved = approve({"backends": {"plain": plain}}, backend="plain", output=OutputSchema({}))
    assert approved.ignored == ()


def test_a_plain_document_becomes_text_where_there_are_none() -> None:
    message = Message("user", (Document("text/plain", "inside", "Title"), Text("read")))
    (given,) = prompt(messages=(message,), backend="echo").messages
    assert given.text == "<document title='Title'>\ninside\n</document>\n\nread"
    (given,) = prompt(messages=(message,), backend="claude").messages
    assert given == message


def test_a_backend_that_cannot_read_documents_refuses_them() -> None:
    message = Message("user", (Document("application/pdf", "aGk="), Text("read")))
    with pytest.raises(InvalidRequest, match="backend 'echo' does not take PDF documents"):
        prompt(messages=(message,), backend="echo")
    assert prompt(messages=(message,), backend="claude").messages == (message,)


def test_a_default_of_the_configuration_is_not_named_as_ignored() -> None:
    assert approve({"unified_flags": {"max_turns": 5}}, backend="echo").ignored == ()


@pytest.mark.parametrize(
    ("section", "says"),
    [
        ({"model": "-rf"}, "backends.echo.model: model must be"),
        ({"system_prompt": "a\0"}, "backends.echo.system_prompt: system_prompt holds a NUL"),
    ],
)
def test_a_section_no_prompt_can_be_made_of_is_a_wrong_configuration(
    section: dict[str, str], says: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        intake(backends={"echo": section}).default_prompt("echo")
    assert says in str(caught.value)


def test_the_default_prompt_has_what_most_callers_get() -> None:
    given = intake(backends={"echo": {"model": "m"}}).default_prompt("echo")
    assert (given.backend, given.model, given.workdir) == ("echo", "m", None)
