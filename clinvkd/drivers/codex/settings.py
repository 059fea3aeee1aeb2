"""What threads and turns of codex are started with: a chat, or an agent in a directory.

The switches were measured one by one with codex 0.169; none of them needs another process.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

from ...prompt import Approval, Prompt, Sandbox
from ..base import Json
from ..untrusted import GIT_ENVIRONMENT
from .tools import dynamic_tools, offered

_CHAT_CONFIG: Mapping[str, Any] = {
    "include_environment_context": False,
    "include_permissions_instructions": False,
    "include_collaboration_mode_instructions": False,
    "include_apps_instructions": False,
    "skills.include_instructions": False,
    "web_search": "disabled",
    "notify": [],
    "features.apps": False,
    "features.goals": False,
    "features.hooks": False,
    "features.image_generation": False,
    "features.memories": False,
    "features.multi_agent": False,
    "features.plugins": False,
    "features.shell_tool": False,
    "features.sleep_tool": False,
    "features.view_image": False,
    "agents.enabled": False,
    "tools.experimental_request_user_input.enabled": False,
    "project_doc_max_bytes": 0,
}

CATALOG = "model_catalog_json"
"""The setting that gives a thread a model catalog of its own."""

_TURN_OPTIONS = ("effort", "summary")

_APPROVALS: Mapping[Approval, str | None] = {
    "default": None,
    "auto": "on-request",
    "none": "never",
    "always": "untrusted",
    "ask": "untrusted",
}
_SANDBOXES: Mapping[Sandbox, str | None] = {
    "default": None,
    "read-only": "read-only",
    "workspace": "workspace-write",
    "full": "danger-full-access",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class HostSettings:
    """What the user's own configuration of codex says, from `config/read`.

    Attributes:
        provider: id of the model provider if it is one of the user's, else None; the built-in
            one cannot be tuned.
        request_retries: how often that provider's requests are repeated, or None if unset.
        mcp_servers: names of the MCP servers that every thread would start.
        approval: `approval_policy`, a word or an object, or None if unset.
        sandbox: `sandbox_mode`, or None if unset.
        projects: directories whose trust was decided.
        catalog: a file with the model catalog for chats, or None for codex's own; this one is
            ours, not the user's.
    """

    provider: str | None = None
    request_retries: int | None = None
    mcp_servers: tuple[str, ...] = ()
    approval: Any = None
    sandbox: str | None = None
    projects: tuple[str, ...] = ()
    catalog: Path | None = None

    @classmethod
    def of(cls, config: Json, catalog: Path | None) -> HostSettings:
        """Read what matters here; whatever is missing counts as unset."""
        provider = config.get("model_provider")
        tuned = (config.get("model_providers") or {}).get(provider)
        return cls(
            provider=provider if tuned is not None else None,
            request_retries=(tuned or {}).get("request_max_retries"),
            mcp_servers=tuple(config.get("mcp_servers") or ()),
            approval=config.get("approval_policy"),
            sandbox=config.get("sandbox_mode"),
            projects=tuple(config.get("projects") or ()),
            catalog=catalog,
        )


def thread_parameters(prompt: Prompt, host: HostSettings, private: Path) -> Json:
    """The parameters of `thread/start` for `prompt`.

    Args:
        private: an empty directory of this conversation, where an agent works that was given none.
    """
    parameters = _agent(prompt, host, private) if prompt.permissions.tools else _chat(prompt, host)
    parameters["config"] |= {"thread_unload_delay_secs": 0, **_retries(host)}
    if prompt.model is not None:
        parameters["model"] = prompt.model
    if offered(prompt):
        parameters["dynamicTools"] = dynamic_tools(prompt)
        # Nothing else tells that the model has made all its calls.
        parameters["experimentalRawEvents"] = True
    return parameters


def turn_parameters(prompt: Prompt) -> Json:
    """What `turn/start` takes for `prompt`. The option ``--effort`` goes before the neutral field.

    codex keeps effort and summary for the turns after it, and nothing resets them; a conversation
    only goes on with the same ones, so they are simply said every time. The schema holds for one
    turn, and codex passes it on unchanged, as strict.
    """
    parameters: Json = {name: value for name, value in prompt.options if name in _TURN_OPTIONS}
    if prompt.sampling.effort:
        parameters.setdefault("effort", prompt.sampling.effort)
    if prompt.output is not None:
        parameters["outputSchema"] = prompt.output.schema
    return parameters


def _chat(prompt: Prompt, host: HostSettings) -> Json:
    catalog = {} if host.catalog is None else {CATALOG: str(host.catalog)}
    # No environment is also the hard stop: whatever tool a model still finds cannot run.
    return {
        "baseInstructions": prompt.system or "",
        "developerInstructions": "",
        "environments": [],
        "ephemeral": True,
        "approvalPolicy": "never",
        "sandbox": "read-only",
        "config": {
            **_CHAT_CONFIG,
            "mcp_servers": {name: {"enabled": False} for name in host.mcp_servers},
            **catalog,
        },
    }


def _agent(prompt: Prompt, host: HostSettings, private: Path) -> Json:
    permissions = prompt.permissions
    directory = prompt.workdir or private
    approval: Any = _APPROVALS[permissions.approval]
    sandbox = _SANDBOXES[permissions.sandbox]
    if permissions.approval == "auto" and sandbox is None:
        sandbox = "workspace-write"  # codex's own meaning of automatic
    if permissions.approval == "ask" and sandbox is None:
        # What is allowed runs in the sandbox first. In a narrower one it would fail, or be run
        # again outside, just as codex notices the reason in time or not.
        sandbox = host.sandbox or "workspace-write"
    config: Json = {
        # Without it the commands of the model see codex's environment, keys included.
        "shell_environment_policy.inherit": "core",
        "projects": _trust(directory, host, permissions.trusted),
    }
    if not permissions.trusted:
        config["project_doc_max_bytes"] = 0
        # codex's own calls of git are safe, those of the model are not.
        for name, value in GIT_ENVIRONMENT.items():
            config[f"shell_environment_policy.set.{name}"] = value
        # Distrust changes what codex takes when these are left open.
        approval = approval or host.approval or "on-request"
        sandbox = sandbox or host.sandbox or "read-only"
    # The store holds the one copy of a conversation: what is deleted there is gone.
    parameters: Json = {"cwd": str(directory), "ephemeral": True, "config": config}
    if prompt.system is not None:
        parameters["developerInstructions"] = prompt.system
    if approval is not None:
        parameters["approvalPolicy"] = approval
    if sandbox is not None:
        parameters["sandbox"] = sandbox
    return parameters


def _trust(directory: Path, host: HostSettings, trusted: bool) -> Json:
    """Trust of this thread alone.

    Left open, codex writes a writable directory into the user's configuration as trusted. A
    directory inherits the trust of those above it, so distrust has to name these too.
    """
    if trusted:
        return {str(directory): {"trust_level": "trusted"}}
    above = [project for project in host.projects if directory.is_relative_to(PurePath(project))]
    return {project: {"trust_level": "untrusted"} for project in [*above, str(directory)]}


def _retries(host: HostSettings) -> Json:
    """A broken stream must fail: codex would repeat it, and with it text already given."""
    if host.provider is None:
        return {}
    retries = {"stream_max_retries": 0}
    if host.request_retries is None:
        retries["request_max_retries"] = 1
    return {"model_providers": {host.provider: retries}}
