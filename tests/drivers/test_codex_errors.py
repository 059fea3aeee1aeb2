"""Failures of codex and its provider."""

from __future__ import annotations

from typing import Any

import pytest

from clinvkd.drivers.base import Json
from clinvkd.errors import (
    BackendError,
    BackendRefused,
    BackendUnavailable,
    ClinvkError,
    RateLimited,
)
from clinvkd.events import (
    Completed,
    Progress,
    TextDelta,
)

from .codex_talk import (
    Recording,
    Talk,
    agent,
    ask,
    asked,
    delta,
    done,
    failed,
    item,
    notice,
    running,
    text,
)

INCOMPLETE = "Incomplete response returned, reason:"


class TestErrors:
    @pytest.mark.parametrize(
        ("number", "error", "says"),
        [
            (0, BackendUnavailable, "codex login"),
            (1, RateLimited, "429"),
            (2, BackendError, "high demand"),
            (5, BackendError, "stream ended early"),
            (6, BackendRefused, "context window"),
            (7, BackendUnavailable, "cannot reach"),
            (8, BackendError, "stream ended early"),
        ],
    )
    def test_recorded(self, number: int, error: type[ClinvkError], says: str) -> None:
        talk = Talk()
        with pytest.raises(error, match=says) as raised:
            ask("errors", number, None, talk)
        assert type(raised.value) is error
        assert "127.0.0.1" not in raised.value.message
        assert not talk.script.reusable

    def test_retry_before_any_text_is_progress(self) -> None:
        events = ask("errors", 3).events
        assert events[1:3] == [Progress("retrying", "Reconnecting... 1/2"), TextDelta("tok0 ")]
        assert isinstance(events[-1], Completed)

    def test_text_is_never_given_twice(self) -> None:
        recording = Recording("errors")
        talk = Talk()
        talk.bind(asked(), recording.thread(4))
        turn = recording.turn(4)
        retry = next(n for n, message in enumerate(turn) if message["method"] == "error")
        exchange = talk.script.turn(asked())
        played = talk.play(exchange, turn[:retry])
        assert text(played.events) == "tok0 tok1 "
        with pytest.raises(BackendError, match="stream ended early"):
            talk.resume(exchange, turn[retry])
        assert [send.message["method"] for send in talk.script.close()] == [
            "turn/interrupt",
            "thread/unsubscribe",
        ]

    def test_a_retry_after_a_complete_response_repeats_nothing(self) -> None:
        def usage(output: int) -> Json:
            return notice(
                "thread/tokenUsage/updated", tokenUsage={"total": {"outputTokens": output}}
            )

        retry = notice("error", error={"message": "Reconnecting"}, willRetry=True)
        events = running(Talk(), asked(), delta("a", "x"), usage(5), retry, done()).events
        assert Progress("retrying", "Reconnecting") in events
        with pytest.raises(BackendError):  # the same figures again: that response is not complete
            running(Talk(), asked(), usage(5), delta("a", "x"), usage(5), retry)

    def test_a_chat_is_never_summarised(self) -> None:
        talk = Talk()
        with pytest.raises(BackendRefused, match="context window") as raised:
            running(talk, asked(), item("started", "contextCompaction", "x"))
        assert raised.value.param == "prompt"
        assert not talk.script.reusable

    @pytest.mark.parametrize(
        ("text", "reason"),
        [
            (f"{INCOMPLETE} max_output_tokens", "max_tokens"),
            (f"stream disconnected before completion: {INCOMPLETE} content_filter", "refusal"),
        ],
    )
    def test_answer_cut_short_by_the_provider(self, text: str, reason: Any) -> None:
        talk = Talk()
        events = running(talk, asked(), delta("a", "x"), failed("other", text)).events
        assert events[1:] == [TextDelta("x"), Completed(stop_reason=reason)]
        assert not talk.script.reusable

    @pytest.mark.parametrize(
        ("info", "text", "error", "says", "param", "retry_after"),
        [
            ("modelNotFound", "no such model", BackendRefused, "no such model", "model", None),
            ("contextWindowExceeded", "", BackendRefused, "context window", "prompt", None),
            ("rateLimitExceeded", "Please try again in 2.5s", RateLimited, "2.5s", None, 3),
            ("rateLimitExceeded", "Please try again in 40ms", RateLimited, "40ms", None, 1),
            ("usageLimitExceeded", "Try again in 2m3s", RateLimited, "2m3s", None, 123),
            ("usageLimitExceeded", "Try again in 2m", RateLimited, "2m", None, 120),
            ("usageLimitExceeded", "Try again later", RateLimited, "later", None, 5),
            ("usageLimitExceeded", "Try again in May", RateLimited, "May", None, 5),
            ("serverOverloaded", "at capacity", BackendUnavailable, "at capacity", None, None),
            ("unauthorized", "no", BackendUnavailable, "codex login", None, None),
            ("badRequest", "no", BackendRefused, "no", None, None),
            ("cyberPolicy", "no", BackendRefused, "no", None, None),
            ("internalServerError", "oh", BackendError, "oh", None, None),
            ("newKind", "oh", BackendError, "oh", None, None),
            (None, "", BackendError, "without a reason", None, None),
            ("other", '{"error": {"message": "bad"}}', BackendRefused, "^codex: bad$", None, None),
            ("other", '{"detail": "bad"}', BackendRefused, "^codex: bad$", None, None),
            ("other", '{"else": 1}', BackendRefused, "else", None, None),
            ("other", "{not JSON", BackendError, "not JSON", None, None),
            (
                "other",
                '{"error": {"message": "long", "code": "context_length_exceeded"}}',
                BackendRefused,
                "long",
                "prompt",
                None,
            ),
            ("other", "Missing environment variable: `K`.", BackendUnavailable, "`K`", None, None),
            ({"novelty": 1}, "x", BackendError, "x", None, None),
            ({}, "x", BackendError, "x", None, None),
        ],
    )
    def test_kinds(
        self,
        info: Any,
        text: str,
        error: type[ClinvkError],
        says: str,
        param: str | None,
        retry_after: int | None,
    ) -> None:
        with pytest.raises(error, match=says) as raised:
            running(Talk(), asked(), failed(info, text))
        assert type(raised.value) is error
        assert (raised.value.param, raised.value.retry_after) == (param, retry_after)

    @pytest.mark.parametrize(
        ("status", "error", "param"),
        [
            (401, BackendUnavailable, None),
            (403, BackendUnavailable, None),
            (404, BackendRefused, "model"),
            (413, BackendRefused, "prompt"),
            (422, BackendRefused, None),
            (429, RateLimited, None),
            (502, BackendError, None),
            (503, BackendUnavailable, None),
            (529, BackendUnavailable, None),
        ],
    )
    def test_statuses(self, status: int, error: type[ClinvkError], param: str | None) -> None:
        with pytest.raises(error, match="refused") as raised:
            running(
                Talk(),
                asked(),
                failed({"responseTooManyFailedAttempts": {"httpStatusCode": status}}, "refused"),
            )
        assert type(raised.value) is error
        assert raised.value.param == param

    def test_failure_without_an_error(self) -> None:
        with pytest.raises(BackendError, match="without a reason"):
            running(Talk(), asked(), done("failed"))

    @pytest.mark.parametrize(
        ("refusal", "error", "param"),
        [
            (
                {
                    "code": -32602,
                    "message": "long",
                    "data": {"input_error_code": "input_too_large"},
                },
                BackendRefused,
                "prompt",
            ),
            ({"code": -32001, "message": "Server overloaded"}, BackendUnavailable, None),
            (
                {"code": -32600, "message": "no", "data": {"reason": "serverShuttingDown"}},
                BackendUnavailable,
                None,
            ),
            ({"code": -32600, "message": "thread not found"}, BackendError, None),
            ("nonsense", BackendError, None),
        ],
    )
    def test_refused_turn(self, refusal: Any, error: type[ClinvkError], param: str | None) -> None:
        talk = Talk()
        prompt = asked(permissions=agent())
        talk.bind(prompt)
        with pytest.raises(error) as raised:
            talk.play(talk.script.turn(prompt), [{"error": refusal}])
        assert type(raised.value) is error
        assert raised.value.param == param
        assert not talk.script.reusable

    def test_secrets_and_addresses_are_not_told(self) -> None:
        text = "Incorrect key sk-abc123 (Bearer xyz) " + "x" * 600 + ", url: http://u:p@host/v1"
        with pytest.raises(BackendError) as raised:
            running(Talk(), asked(), failed("other", text))
        message = raised.value.message
        assert "abc123" not in message
        assert "xyz" not in message
        assert "host" not in message
        assert len(message) < 520
