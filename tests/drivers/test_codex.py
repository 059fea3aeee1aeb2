"""The process of the codex driver: start, routes, dry run."""

from __future__ import annotations

import pytest

from clinvkd import __version__
from clinvkd.drivers.base import Exchange, Json, Launch
from clinvkd.drivers.codex import CodexDriver
from clinvkd.drivers.codex.thread import CodexThread
from clinvkd.errors import (
    BackendUnavailable,
)

from .codex_talk import (
    HISTORY,
    LOGGED_IN,
    SCRATCH,
    Recording,
    Talk,
    agent,
    asked,
    backend,
    notice,
    started,
)
from .playing import Played, continue_play, play


class TestStart:
    def test_the_command_line_is_the_same_for_every_prompt(self) -> None:
        configured = backend(extra_flags=("-c", "model_verbosity=low"))
        launch = CodexDriver.launch(configured, asked(system="s", model="m"))
        assert launch == CodexDriver.launch(configured, asked(permissions=agent()))
        assert launch == Launch(
            argv=(
                "codex",
                "app-server",
                "-c",
                "check_for_update_on_startup=false",
                "-c",
                "analytics.enabled=false",
                "-c",
                "features.unbounded_connection_retries=false",
                "-c",
                "model_verbosity=low",
            )
        )

    def test_handshake(self) -> None:
        driver = CodexDriver(backend(), SCRATCH)
        recorded = Recording("two-turns")._lines[1]["msg"]
        played = play(
            driver.start(),
            [
                notice("configWarning", summary="no bubblewrap"),
                recorded,
                {"id": 2, "result": LOGGED_IN},
                {"id": 3, "result": {"config": {}}},
            ],
        )
        assert played.finished
        first, *rest = played.sent
        assert first["method"] == "initialize"
        assert first["params"]["clientInfo"]["version"] == __version__
        assert first["params"]["capabilities"]["experimentalApi"] is True
        assert "thread/started" in first["params"]["capabilities"]["optOutNotificationMethods"]
        assert rest == [
            {"method": "initialized"},
            {"id": 2, "method": "account/read", "params": {}},
            {"id": 3, "method": "config/read", "params": {}},
        ]
        assert driver.version == "0.169.0"

    def test_nobody_logged_in(self) -> None:
        with pytest.raises(BackendUnavailable, match="codex login"):
            started(account={"account": None, "requiresOpenaiAuth": True})

    def test_own_provider_needs_no_login(self) -> None:
        assert started(account={"account": None, "requiresOpenaiAuth": False}).version == "0.169.0"

    def test_refused_handshake(self) -> None:
        refusal = {"id": 1, "error": {"code": -32600, "message": "too old"}}
        driver = CodexDriver(backend(), SCRATCH)
        with pytest.raises(BackendUnavailable, match="too old"):
            play(driver.start(), [refusal])

    def test_agent_without_a_version(self) -> None:
        driver = CodexDriver(backend(), SCRATCH)
        results: list[Json] = [{}, LOGGED_IN, {}]
        play(driver.start(), [{"id": n, "result": result} for n, result in enumerate(results, 1)])
        assert driver.version is None


class TestRoutes:
    def test_threads_of_one_process_do_not_mix(self) -> None:
        driver = started()
        scripts: list[CodexThread] = []
        for name in ("a", "b"):
            talk = Talk(driver)
            talk.bind(asked(), {"thread": {"id": name}})
            scripts.append(talk.script)
        for name, script in zip(("a", "b"), scripts, strict=True):
            message = {"method": "turn/started", "params": {"threadId": name}}
            assert driver.route(message) is script
        assert driver.route({"method": "warning", "params": {}}) is None
        assert driver.route({"method": "warning"}) is None

    def test_the_trace_stands_beside_the_parameters_of_the_turn(self) -> None:
        driver = CodexDriver(backend(), SCRATCH)
        assert rehearse(driver, driver.start()).finished
        script = driver.open()
        prompt = asked("new", trace=(("traceparent", "00-a-b-01"),))
        exchanges = (script.bind(prompt), script.turn(prompt), script.turn(asked("more")))
        sent = [message for each in exchanges for message in rehearse(driver, each).sent]
        turns = [message for message in sent if message["method"] == "turn/start"]
        assert [turn.get("trace") for turn in turns] == [{"traceparent": "00-a-b-01"}, None]
        assert "00-a-b-01" not in str([turn["params"] for turn in turns])

    def test_dry_run(self) -> None:
        driver = CodexDriver(backend(), SCRATCH)
        assert rehearse(driver, driver.start()).finished
        script = driver.open()
        prompt = asked("new", *HISTORY)
        exchanges = (script.bind(prompt), script.seed(prompt.history), script.turn(prompt))
        played = [rehearse(driver, exchange) for exchange in exchanges]
        assert all(each.finished for each in played)
        assert [sent["method"] for each in played for sent in each.sent] == [
            "thread/start",
            "thread/inject_items",
            "thread/inject_items",
            "turn/start",
        ]
        assert driver.rehearse({"method": "initialized"}) is None


def rehearse(driver: CodexDriver, exchange: Exchange[None]) -> Played:
    played = Played()
    answers = (driver.rehearse(sent) for sent in played.sent)
    continue_play(exchange, played, None, (answer for answer in answers if answer))
    return played
