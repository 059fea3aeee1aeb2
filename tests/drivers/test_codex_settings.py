"""What threads of codex are started with."""

from __future__ import annotations

from pathlib import Path

import pytest

from clinvkd.drivers.base import Json, WriteFile
from clinvkd.errors import (
    BackendError,
    BackendUnavailable,
)

from .codex_talk import (
    SCRATCH,
    Talk,
    agent,
    asked,
    notice,
    started,
)


class TestBind:
    def test_chat(self) -> None:
        talk = Talk(started({"mcp_servers": {"files": {"command": "x"}}}))
        played = talk.bind(asked(system="Be brief.", model="gpt-5.5"))
        (start,) = played.sent
        assert start["method"] == "thread/start"
        config = start["params"].pop("config")
        assert start["params"] == {
            "model": "gpt-5.5",
            "baseInstructions": "Be brief.",
            "developerInstructions": "",
            "environments": [],
            "ephemeral": True,
            "approvalPolicy": "never",
            "sandbox": "read-only",
        }
        assert config["mcp_servers"] == {"files": {"enabled": False}}
        assert config["thread_unload_delay_secs"] == 0
        assert config["features.shell_tool"] is False
        assert config["features.hooks"] is False
        assert config["notify"] == []
        assert "model_providers" not in config

    def test_chat_without_a_system_prompt_has_not_codex_own(self) -> None:
        (start,) = Talk().bind(asked()).sent
        assert start["params"]["baseInstructions"] == ""
        assert "model" not in start["params"]

    @pytest.mark.parametrize(
        ("permissions", "config", "approval", "sandbox"),
        [
            ({}, {}, "on-request", "read-only"),
            ({}, {"approval_policy": "never"}, "never", "read-only"),
            ({}, {"sandbox_mode": "workspace-write"}, "on-request", "workspace-write"),
            ({"approval": "auto"}, {}, "on-request", "workspace-write"),
            ({"approval": "auto", "sandbox": "read-only"}, {}, "on-request", "read-only"),
            ({"approval": "none"}, {}, "never", "read-only"),
            ({"approval": "always"}, {"approval_policy": "never"}, "untrusted", "read-only"),
            ({"approval": "ask"}, {"approval_policy": "never"}, "untrusted", "workspace-write"),
            ({"approval": "ask"}, {"sandbox_mode": "read-only"}, "untrusted", "read-only"),
            ({"approval": "ask", "sandbox": "full"}, {}, "untrusted", "danger-full-access"),
            ({"sandbox": "workspace"}, {}, "on-request", "workspace-write"),
            ({"sandbox": "full"}, {}, "on-request", "danger-full-access"),
            ({"trusted": True}, {"sandbox_mode": "workspace-write"}, None, None),
            ({"trusted": True, "approval": "none", "sandbox": "full"}, {}, "never",
             "danger-full-access"),
        ],
    )  # fmt: skip
    def test_permissions(
        self, permissions: Json, config: Json, approval: str | None, sandbox: str | None
    ) -> None:
        prompt = asked(permissions=agent(**permissions), workdir=Path("/project"))
        (start,) = Talk(started(config)).bind(prompt).sent
        assert start["params"].get("approvalPolicy") == approval
        assert start["params"].get("sandbox") == sandbox
        trust = "trusted" if prompt.permissions.trusted else "untrusted"
        assert start["params"]["config"]["projects"] == {"/project": {"trust_level": trust}}

    def test_agent(self) -> None:
        prompt = asked(system="Be careful.", permissions=agent(), workdir=Path("/project"))
        (start,) = Talk().bind(prompt).sent
        assert start["params"] == {
            "cwd": "/project",
            "ephemeral": True,
            "developerInstructions": "Be careful.",
            "approvalPolicy": "on-request",
            "sandbox": "read-only",
            "config": {
                "shell_environment_policy.inherit": "core",
                "shell_environment_policy.set.GIT_CONFIG_COUNT": "2",
                "shell_environment_policy.set.GIT_CONFIG_KEY_0": "core.fsmonitor",
                "shell_environment_policy.set.GIT_CONFIG_VALUE_0": "false",
                "shell_environment_policy.set.GIT_CONFIG_KEY_1": "safe.bareRepository",
                "shell_environment_policy.set.GIT_CONFIG_VALUE_1": "explicit",
                "projects": {"/project": {"trust_level": "untrusted"}},
                "project_doc_max_bytes": 0,
                "thread_unload_delay_secs": 0,
            },
        }

    def test_distrust_covers_the_trusted_directories_above(self) -> None:
        driver = started({"projects": {"/a": {"trust_level": "trusted"}, "/b": {}}})
        prompt = asked(permissions=agent(), workdir=Path("/a/deep"))
        (start,) = Talk(driver).bind(prompt).sent
        assert start["params"]["config"]["projects"] == {
            "/a": {"trust_level": "untrusted"},
            "/a/deep": {"trust_level": "untrusted"},
        }

    def test_agent_without_a_workdir_gets_an_empty_one_of_its_own(self) -> None:
        driver = started()
        for number in ("1", "2"):
            private = SCRATCH / "threads" / number
            played = Talk(driver).bind(asked(permissions=agent()))
            assert played.sent[0]["params"]["cwd"] == str(private)
            assert played.files == [
                WriteFile(private / "empty", b""),
                WriteFile(private / "empty", None),
            ]

    @pytest.mark.parametrize(
        ("own", "retries"),
        [
            ({}, {"stream_max_retries": 0, "request_max_retries": 1}),
            ({"request_max_retries": 3}, {"stream_max_retries": 0}),
        ],
    )
    def test_own_provider_must_not_repeat_a_stream(self, own: Json, retries: Json) -> None:
        config = {"model_provider": "mine", "model_providers": {"mine": own}}
        (start,) = Talk(started(config)).bind(asked()).sent
        assert start["params"]["config"]["model_providers"] == {"mine": retries}

    def test_built_in_provider_cannot_be_tuned(self) -> None:
        config = {"model_provider": "openai", "model_providers": {"mine": {}}}
        (start,) = Talk(started(config)).bind(asked()).sent
        assert "model_providers" not in start["params"]["config"]

    def test_messages_before_the_thread_has_started_are_ignored(self) -> None:
        talk = Talk()
        bind = talk.script.bind(asked())
        talk.play(bind, [])
        assert not talk.resume(bind, notice("warning", message="slow")).finished

    def test_refused_thread(self) -> None:
        talk = Talk()
        refusal = {"error": {"code": -32600, "message": "Model provider `x` not found"}}
        with pytest.raises(BackendUnavailable, match="provider `x` not found"):
            talk.play(talk.script.bind(asked()), [refusal])

    def test_thread_without_an_id(self) -> None:
        talk = Talk()
        with pytest.raises(BackendError, match="without an id"):
            talk.play(talk.script.bind(asked()), [{"result": {}}])
