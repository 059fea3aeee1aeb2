"""How ACP agents are started: what only their environment and files can tell them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from pydantic_core import from_json, to_json

from ...config import Backend
from ...errors import ConfigError
from ...prompt import Prompt
from ..base import Json, Launch
from ..untrusted import GIT_ENVIRONMENT
from . import gemini as gemini
from .client_tools import CALL_TIMEOUT_MSEC, SERVER
from .quirks import Quirks

RETRY_NOTICE: Final = "_clinvk/retry"
"""Notification by which our plugin in opencode tells that the provider failed."""

_PLAIN_SYSTEM: Final = "You are a helpful assistant."
"""System prompt of chats without one, for agents that would otherwise bring their own, long one."""

_OPENCODE_PLUGIN: Final = """\
export const ClinvkRetries = async () => ({
  event: async ({ event }) => {
    const status = event.type === "session.status" && event.properties.status
    if (status && status.type === "retry") {
      const params = { sessionId: event.properties.sessionID, message: status.message }
      const notice = { jsonrpc: "2.0", method: "_clinvk/retry", params }
      process.stdout.write(JSON.stringify(notice) + "\\n")
    }
  },
})
"""

_QWEN_REQUIRE: Final = '--require "{scratch}/qwen-cuts.cjs"'
_QWEN_CUTS: Final = """\
if (process.argv.some((word) => word.includes("acp"))) {
  const { subscribe } = require("node:diagnostics_channel")
  const answering = new WeakSet()
  // qwen starts itself anew before it asks its model, and commands only after.
  subscribe("undici:request:create", () => {
    const options = process.env.NODE_OPTIONS ?? ""
    process.env.NODE_OPTIONS = options.replace(/--require "[^"]*qwen-cuts.cjs" ?/, "")
  })
  subscribe("undici:request:headers", ({ request }) => answering.add(request))
  subscribe("undici:request:error", ({ request, error }) => {
    if (answering.has(request)) error.code = "CLINVK_STREAM_CUT"
  })
}
"""
"""Renames the errors of answers that break off, so that they are not among those it retries."""

_OPENCODE_CONFIG: Final = "OPENCODE_CONFIG_CONTENT"
_OPENCODE_CALLERS: Final = f"{SERVER}_*"
"""What opencode calls the tools of our MCP server, as a pattern."""

_OPENCODE_READS: Final[Json] = {
    "read": {"*": "allow", "*.env": "ask", "*.env.*": "ask"},
    "glob": "allow",
    "grep": "allow",
    "list": "allow",
}
"""What it does unasked by its own rules too; for places outside the workdir it asks apart."""

_QWEN_TOOLS: Final = (
    "agent", "artifact", "ask_user_question", "create_sub_session", "cron_create", "cron_delete",
    "cron_list", "enter_plan_mode", "enter_worktree", "exec", "exit_plan_mode", "exit_worktree",
    "get_goal", "image_gen", "list_agents", "loop_wakeup", "lsp", "monitor", "notebook_edit",
    "read_mcp_resource", "record_artifact", "record_source", "report_findings", "save_memory",
    "send_message", "skill", "structured_output", "task_create", "task_list", "task_stop",
    "task_update", "team_create", "team_delete", "todo_write", "tool_call", "tool_search",
    "update_goal", "web_fetch", "web_search", "workflow", "zoom_image",
)  # fmt: skip

_QWEN_CHAT: Final[Json] = {
    # The first names no tool that there is; newer ones it does not reach, but the second does.
    "tools": {"core": ["clinvk-no-tool"], "disabled": list(_QWEN_TOOLS)},
    "memory": {"enableManagedAutoMemory": False, "enableManagedAutoDream": False},
    "ui": {"enableFollowupSuggestions": False},
    "model": {"generationConfig": {"maxRetries": 0}},
    "privacy": {"usageStatisticsEnabled": False},
}


def launch_of(backend: Backend, quirks: Quirks, prompt: Prompt) -> Launch:
    """How an agent of `backend` that can serve `prompt` is started."""
    match quirks.launcher:
        case "gemini":
            return gemini.launch(backend, prompt)
        case "opencode":
            return _opencode(backend, prompt)
        case "qwen":
            return _qwen(backend, prompt)
        case "plain":
            return Launch(argv=(*backend.command, *backend.extra_flags))


def _git(prompt: Prompt) -> Mapping[str, str]:
    """Variables for the git of an agent that works in a directory nobody trusts."""
    untrusted = prompt.permissions.tools and not prompt.permissions.trusted
    return GIT_ENVIRONMENT if untrusted else {}


def _opencode(backend: Backend, prompt: Prompt) -> Launch:
    """Its configuration comes inline, over the files'; its conversations go to a private file.

    It retries a broken stream from the start, on and on, and says so only to plugins: so it gets
    one that tells us, before any text is repeated.
    """
    permissions = prompt.permissions
    config = _configured(backend)
    config["autoupdate"] = False
    config["share"] = "disabled"
    config["plugin"] = [*config.get("plugin", ()), "file://{scratch}/opencode-retries.js"]
    # What is configured under the name of our server holds for it, though the session brings it;
    # without it a call fails after a minute.
    ours = {"type": "remote", "url": "http://127.0.0.1", "enabled": False}
    config["mcp"] = {**config.get("mcp", {}), SERVER: {**ours, "timeout": CALL_TIMEOUT_MSEC}}
    environment = {"OPENCODE_DB": "{scratch}/opencode.db"}
    if not permissions.tools:
        config["tools"] = {"*": False, _OPENCODE_CALLERS: True}
        config["agent"] = {
            "build": {"prompt": prompt.system or _PLAIN_SYSTEM},
            "title": {"disable": True},
        }
        environment["OPENCODE_DISABLE_CLAUDE_CODE"] = "1"
        # Before it loads a plugin it installs packages into the user's folder, and waits for that.
        environment["npm_config_offline"] = "true"
    else:
        # It runs everything unasked otherwise; what it asks is answered from the permissions.
        reads = {} if permissions.approval == "always" else _OPENCODE_READS
        config["permission"] = {"*": "ask", **reads, _OPENCODE_CALLERS: "allow"}
        if prompt.system is not None:
            agents = dict(config.get("agent", {}))
            config["agent"] = {
                **agents,
                "build": {**agents.get("build", {}), "prompt": prompt.system},
            }
    environment |= _git(prompt)
    if not permissions.trusted:
        environment["OPENCODE_DISABLE_PROJECT_CONFIG"] = "1"
    environment[_OPENCODE_CONFIG] = to_json(config).decode()
    return Launch(
        argv=(*backend.command, *backend.extra_flags),
        environment=tuple(sorted(environment.items())),
        files=(("opencode-retries.js", _OPENCODE_PLUGIN),),
    )


def _configured(backend: Backend) -> Json:
    """What the backend's own environment says in the variable that carries our configuration.

    Raises:
        ConfigError: it is no JSON object.
    """
    text = backend.environment.get(_OPENCODE_CONFIG, "{}")
    try:
        config = from_json(text)
    except ValueError:
        config = None
    if not isinstance(config, dict):
        where = f"backends.{backend.name}.environment.{_OPENCODE_CONFIG}"
        raise ConfigError(f"{where}: not a JSON object")
    return config


def _qwen(backend: Backend, prompt: Prompt) -> Launch:
    """Chats run in a folder with settings of ours; conversations go to a private folder.

    Untrusted workdirs need the user's settings to be overruled: those have folder trust off.

    When a stream breaks off it asks the model anew, and says so to nobody: the text comes twice.
    It has no switch against that, but knows what to retry by the codes of Node's errors.
    """
    permissions = prompt.permissions
    configured = backend.environment.get("NODE_OPTIONS", "")
    environment = {
        "NODE_OPTIONS": f"{_QWEN_REQUIRE} {configured}".strip(),
        "QWEN_CODE_NO_RELAUNCH": "true",
        # Else a session opens before its MCP servers are connected: a prompt without tools.
        "QWEN_CODE_LEGACY_MCP_BLOCKING": "1",
        "QWEN_RUNTIME_DIR": "{scratch}/qwen",
        "QWEN_CODE_SYSTEM_SETTINGS_PATH": "{scratch}/qwen-settings.json",
        **_git(prompt),
    }
    settings: Json = {"tools": {"toolSearch": {"enabled": False}}}
    files = {"qwen-cuts.cjs": _QWEN_CUTS}
    if not permissions.tools:
        files["work/.qwen/settings.json"] = to_json(_QWEN_CHAT).decode()
    elif not permissions.trusted:
        settings["security"] = {"folderTrust": {"enabled": True}}
        environment["QWEN_CODE_TRUSTED_FOLDERS_PATH"] = "{scratch}/trusted-folders.json"
        files["trusted-folders.json"] = to_json({"{scratch}": "TRUST_FOLDER"}).decode()
    files["qwen-settings.json"] = to_json(settings).decode()
    if not permissions.tools or prompt.system is not None:
        environment["QWEN_SYSTEM_MD"] = "{scratch}/system.md"
        files["system.md"] = prompt.system or _PLAIN_SYSTEM
    return Launch(
        argv=(*backend.command, *backend.extra_flags),
        environment=tuple(sorted(environment.items())),
        files=tuple(sorted(files.items())),
    )
