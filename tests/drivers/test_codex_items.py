"""Histories as codex takes them."""

from __future__ import annotations

import pytest

from clinvkd.errors import (
    BackendError,
)

from .codex_talk import (
    HISTORY,
    Talk,
    asked,
)


class TestSeed:
    def test_history_keeps_roles_order_images_and_calls(self) -> None:
        talk = Talk()
        talk.bind(asked())
        (inject,) = talk.play(talk.script.seed(HISTORY), []).sent
        assert inject["method"] == "thread/inject_items"
        assert inject["params"] == {
            "threadId": "t",
            "items": [
                {
                    "type": "message",
                    "role": "user",
                    "content": [
                        {"type": "input_text", "text": "What is this?"},
                        {"type": "input_image", "image_url": "data:image/png;base64,AAAA"},
                    ],
                },
                {
                    "type": "message",
                    "role": "assistant",
                    "content": [{"type": "output_text", "text": "Let me look."}],
                },
                {
                    "type": "function_call",
                    "call_id": "c1",
                    "name": "look",
                    "arguments": '{"at":"ä"}',
                },
                {"type": "function_call_output", "call_id": "c1", "output": "a cat"},
                {
                    "type": "function_call_output",
                    "call_id": "c2",
                    "output": [
                        {"type": "input_text", "text": "and"},
                        {"type": "input_image", "image_url": "data:image/gif;base64,BBBB"},
                    ],
                },
                {
                    "type": "message",
                    "role": "user",
                    "content": [{"type": "input_text", "text": "Well?"}],
                },
                {
                    "type": "message",
                    "role": "assistant",
                    "content": [{"type": "output_text", "text": "A cat."}],
                },
            ],
        }

    def test_refused_history_fails_the_turn(self) -> None:
        talk = Talk()
        talk.bind(asked())
        talk.play(talk.script.seed(HISTORY), [])
        refusal = {"error": {"code": -32600, "message": "items[0] is not valid"}}
        with pytest.raises(BackendError, match=r"items\[0\] is not valid"):
            talk.play(talk.script.turn(asked()), [refusal])
        assert not talk.script.reusable
