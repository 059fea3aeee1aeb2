"""Several prompts of one request with the real CLIs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.providers import RecordedRequest, Reply
from tests.providers.script import ToolCall
from tests.real.test_through_http import CLIS, serving

pytestmark = [pytest.mark.real, pytest.mark.timeout(240)]


def judging(request: RecordedRequest) -> Reply:
    """Answers a question, and judges answers in the form that was asked for."""
    if "<answer name=" not in request.last_user_text:
        return Reply(text="forty-two")
    verdict = {
        "winner": "B",
        "reasoning": "both say the same",
        "scores": [
            {"answer": "A", "score": 6, "comment": "short"},
            {"answer": "B", "score": 7.5, "comment": "no worse"},
        ],
    }
    offered = "StructuredOutput" in json.dumps(request.body.get("tools", []))
    if offered and not request.conversation.tool_rounds:
        return Reply(tools=(ToolCall("StructuredOutput", verdict),))
    return Reply(text=json.dumps(verdict))


@pytest.mark.parametrize("name", CLIS)
async def test_a_judge_gives_its_verdict_by_schema(name: str, tmp_path: Path) -> None:
    async with serving(name, tmp_path, judging) as served:
        body = {"backends": [name, name], "prompt": "What is it?", "judge": name}
        url = f"{served.daemon.url}/api/v1/compare"
        async with served.client.post(url, json=body) as response:
            answer: dict[str, Any] = await response.json()
        assert [r["output"] for r in answer["results"]] == ["forty-two"] * 2, answer
        verdict = answer["verdict"]
        assert verdict.pop("duration_ms") > 0
        assert verdict.pop("token_usage")["output_tokens"] > 0
        verdict.pop("cost_usd", None)
        assert verdict == {
            "backend": name,
            "winner": name,
            "winner_index": 1,
            "reasoning": "both say the same",
            "scores": [
                {"index": 0, "backend": name, "score": 6.0, "comment": "short"},
                {"index": 1, "backend": name, "score": 7.5, "comment": "no worse"},
            ],
        }


@pytest.mark.parametrize("name", CLIS)
async def test_fail_fast_interrupts_what_runs(name: str, tmp_path: Path) -> None:
    async with serving(name, tmp_path) as served:
        slow = {"backend": name, "prompt": f"%%{json.dumps({'words': 2000, 'delay': 0.2})}%%"}
        bad = {"backend": name, "prompt": '%%{"error": {"status": 400}}%%'}
        body = {"tasks": [slow, bad, slow], "max_parallel": 2, "fail_fast": True}
        url = f"{served.daemon.url}/api/v1/parallel"
        async with served.client.post(url, json=body) as response:
            answer = await response.json()
        running, failed, waiting = answer["results"]
        assert failed["exit_code"] == 1, answer
        assert (running["exit_code"], running["error"]) == (-1, "canceled")
        assert (waiting["exit_code"], waiting["duration_ms"]) == (-1, 0)
        await served.until(busy=0, queued=0)
