"""``_meta``: the trace for any agent, and what the embedded ones take and tell beyond the protocol
in ``_meta.clinvk``."""

from __future__ import annotations

from ...prompt import Message, Prompt
from ..base import Json
from .client_tools import Call
from .content import content_blocks


def session_members(system: str | None, history: tuple[Message, ...], tools: bool) -> Json:
    """What a session is opened with.

    Args:
        tools: the agent knows calls and results of tools; else they are given as text.
    """
    members: Json = {
        "history": [
            {"role": message.role, "content": content_blocks(message.content, tools)}
            for message in history
        ]
    }
    if system is not None:
        members["system"] = system
    return members


def prompt_meta(prompt: Prompt, *, extended: bool) -> Json:
    """``_meta`` of one prompt; may be empty.

    The trace stands in it as agentclientprotocol.com/rfds/meta-propagation has it.

    Args:
        extended: the agent knows our extension.
    """
    meta: Json = dict(prompt.trace)
    if extended:
        meta["clinvk"] = _prompt_members(prompt)
    return meta


def _prompt_members(prompt: Prompt) -> Json:
    sampling = prompt.sampling
    options: Json = {
        "max_tokens": prompt.max_tokens,
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "top_k": sampling.top_k,
        "seed": sampling.seed,
        "stop": list(sampling.stop) or None,
        "schema": None if prompt.output is None else prompt.output.schema,
    }
    members: Json = {
        "options": {name: value for name, value in options.items() if value is not None}
    }
    choice = prompt.tool_choice
    if prompt.tools and choice.mode != "none":
        members["tools"] = [
            {"name": tool.name, "description": tool.description, "inputSchema": tool.schema}
            for tool in prompt.tools
        ]
        members["toolChoice"] = {"mode": choice.mode, "parallel": choice.parallel}
        if choice.mode == "named":
            members["toolChoice"]["name"] = choice.name
    return members


def calls_of(result: Json) -> list[Call]:
    """The calls of the caller's tools with which the agent ended its answer."""
    match result:
        case {"_meta": {"clinvk": {"toolCalls": [*calls]}}}:
            return [Call(call["id"], call["name"], call["input"]) for call in calls]
        case _:
            return []
