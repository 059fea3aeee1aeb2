"""What came of a prompt, as the native API tells it."""

from __future__ import annotations

from ...errors import Canceled, ClinvkError
from ...events import Completed
from ...prompt import Message, Prompt, ToolUse
from ...workflows import Lane
from .models import PromptAnswer, usage_content


def answer_of(
    prompt: Prompt,
    reply: Message,
    completed: Completed | None,
    *,
    seconds: float,
    model: str | None,
    session_id: str | None,
    agent_session_id: str | None,
    failure: ClinvkError | None = None,
) -> PromptAnswer:
    """The answer to a prompt that completed or failed."""
    calls = [
        {"id": block.id, "name": block.name, "input": block.input}
        for block in reply.content
        if isinstance(block, ToolUse)
    ]
    return PromptAnswer(
        session_id=session_id,
        backend=prompt.backend,
        model=model,
        exit_code=exit_code_of(failure),
        duration_ms=round(seconds * 1000),
        output=reply.text,
        error=failure.message if failure else None,
        error_code=failure.code if failure else None,
        stop_reason=completed.stop_reason if completed else None,
        tool_calls=calls or None,
        token_usage=usage_content(completed.usage) if completed else None,
        cost_usd=completed.cost_usd if completed else None,
        agent_session_id=agent_session_id,
    )


def answer_of_lane(lane: Lane) -> PromptAnswer:
    """The same of one prompt of several; one that never ran has no duration."""
    return answer_of(
        lane.prompt,
        lane.reply,
        lane.completed,
        seconds=lane.seconds,
        model=lane.model,
        session_id=lane.session_id if lane.completed else None,
        agent_session_id=lane.agent_session_id,
        failure=lane.failure,
    )


def exit_code_of(failure: ClinvkError | None) -> int:
    """0 when it completed, -1 when it was stopped before its end, 1 when it failed."""
    match failure:
        case None:
            return 0
        case Canceled():
            return -1
        case _:
            return 1
