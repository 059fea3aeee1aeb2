"""How ACP agents are started, what their quirks are, and what a rehearsal shows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from clinvkd.drivers.acp import AcpDriver
from clinvkd.drivers.acp.permissions import permission_outcome, verdict_of
from clinvkd.drivers.acp.quirks import Quirks, quirks_of, quirks_of_agent
from clinvkd.drivers.acp.tools import tool_name, tool_output
from clinvkd.errors import ConfigError
from clinvkd.prompt import Permissions

from .acp_talk import TOOLS, Talk, backend, gemini, plain, prompt


@pytest.mark.parametrize(
    ("command", "launcher"),
    [
        (("gemini", "--acp"), "gemini"),
        (("/opt/node", "/opt/gemini.js", "--acp"), "gemini"),
        (("npx", "-y", "@google/gemini-cli@0.61.0", "--acp"), "gemini"),
        (("opencode", "acp"), "opencode"),
        (("env", "qwen", "--acp"), "qwen"),
        (("goose", "acp"), "plain"),
        (("node",), "plain"),
    ],
)
def test_an_agent_is_known_by_its_command(command: tuple[str, ...], launcher: str) -> None:
    assert quirks_of(backend(*command)).launcher == launcher


def test_a_wrapped_agent_is_known_by_the_name_it_tells_but_was_started_plainly() -> None:
    wrapped = backend("my-agent")
    found = quirks_of_agent(wrapped, "gemini-cli")
    assert (found.parallel_opening, found.launcher, found.history) == (1, "plain", "flattened")
    assert quirks_of_agent(wrapped, "OpenCode").launcher == "plain"
    assert quirks_of_agent(wrapped, "somebody") == Quirks()
    assert quirks_of_agent(backend("gemini"), "OpenCode").launcher == "gemini"


def test_configuration_corrects_single_quirks() -> None:
    given = {
        "launcher": "plain", "history": "flattened", "parallel_opening": 2, "any_model": True,
        "modes": {"none": "yolo"}, "noise": ["#"], "guarded": "", "honours": ["stop"],
    }  # fmt: skip
    found = quirks_of(backend("gemini", quirks=given))
    assert found == Quirks(
        launcher="plain",
        parallel_opening=2,
        any_model=True,
        chat_mode="default",
        modes={"none": "yolo"},
        guarded="",
        noise=("#",),
        honours=("stop",),
        servers_need_trust=True,
        name_in_tool_id=True,
        announces_tools=True,
        parses_results=True,
        tool_choice=("none", "parallel"),
        login=found.login,
    )


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"any_modl": True}, r"quirks\.any_modl: unknown key.*did you mean any_model\?"),
        ({"zzz": 1}, r"quirks\.zzz: unknown key, known are launcher"),
        ({"launcher": "x"}, r"quirks\.launcher: 'x' is wrong, allowed is one of plain"),
        ({"history": 1}, r"quirks\.history: .*one of flattened"),
        ({"parallel_opening": 0}, r"quirks\.parallel_opening: 0 .* from 1 to 1024"),
        ({"parallel_opening": True}, r"quirks\.parallel_opening"),
        ({"images": "no"}, r"quirks\.images: 'no' is wrong, allowed is true or false"),
        ({"modes": {"sometimes": "x"}}, r"quirks\.modes"),
        ({"noise": "#"}, r"quirks\.noise: '#' is wrong, allowed is a list of texts"),
        ({"client_tools": "yes"}, r"quirks\.client_tools: 'yes' .* one of mcp, extension, none"),
        ({"tool_choice": ["all"]}, r"quirks\.tool_choice: .* any of none, required, named"),
        ({"honours": ["luck"]}, r"quirks\.honours: .* allowed is any of temperature, top_p"),
        ({"login": 1}, r"quirks\.login: 1 is wrong, allowed is a text"),
    ],
)
def test_a_wrong_quirk_is_an_error_that_names_its_key(given: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=r"backends\.it\." + message):
        quirks_of(backend("gemini", quirks=given))


def test_abilities_depend_on_the_agent() -> None:
    other = AcpDriver.abilities_of(backend("goose", "acp"))
    assert (other.history, other.conversations, other.agents) == ("flattened", 32, 2)
    assert other.ignores == {"max_tokens", "max_turns", "ephemeral"}
    assert other.client_tools
    assert other.tool_choice == {"none"}
    echo = AcpDriver.abilities_of(backend("python3", "-m", "clinvkd.agents.echo"))
    assert echo.conversations == 512
    narrow = backend("goose", "acp", quirks={"conversations": 4})
    assert AcpDriver.abilities_of(narrow).conversations == 4
    google = AcpDriver.abilities_of(backend("gemini", "--acp"))
    assert google.history == "native"
    assert {"temperature", "effort", "output"} <= google.honours
    assert google.ignores == {"max_tokens", "max_turns"}
    assert google.tool_choice == {"none", "required", "named", "parallel"}
    local = AcpDriver.abilities_of(backend("python", "-m", "clinvkd.agents.local"))
    assert (local.history, local.images, "output" in local.honours) == ("native", False, True)
    echo = AcpDriver.abilities_of(backend("python", "-m", "clinvkd.agents.echo"))
    assert echo.honours == {"stop", "output"}
    assert (echo.client_tools, local.client_tools) == (True, True)


def test_gemini_can_be_told_less_with_tools_and_nothing_in_a_workdir() -> None:
    it = backend("gemini", "--acp")
    chat = AcpDriver.abilities_for(it, prompt("x"))
    assert chat == AcpDriver.abilities_of(it)
    tools = AcpDriver.abilities_for(it, prompt("x", permissions=TOOLS))
    assert tools.honours == chat.honours - {"output"}
    working = AcpDriver.abilities_for(it, prompt("x", permissions=TOOLS, workdir=Path("/w")))
    assert (working.honours, working.history) == (frozenset(), "native")
    assert working.ignores == {"max_tokens", "max_turns"}


def test_an_unknown_agent_is_started_as_it_is_configured() -> None:
    launch = AcpDriver.launch(backend("goose", "acp", extra_flags=("-v",)), prompt("secret"))
    assert launch.argv == ("goose", "acp", "-v")
    assert not launch.environment
    assert not launch.files


def test_gemini_chats_differ_in_their_start_only_by_the_system_prompt() -> None:
    it = backend("gemini", "--acp")
    launch = AcpDriver.launch(it, prompt("a"))
    assert launch == AcpDriver.launch(it, prompt("b", model="m", max_tokens=3))
    assert launch != AcpDriver.launch(it, prompt("a", system="s"))
    files = dict(launch.files)
    assert files["system.md"] == ""
    settings = json.loads(files["work/.gemini/settings.json"])
    assert "run_shell_command" in settings["tools"]["exclude"]
    assert settings["general"]["maxAttempts"] == 1
    assert files["chat/.gemini/settings.json"] == files["work/.gemini/settings.json"]
    assert launch.argv[:2] == ("/bin/sh", "-c")
    assert launch.argv[3:7] == ("gemini", "{scratch}/home", "gemini", "--acp")
    assert "GEMINI_CLI_HOME" not in dict(launch.environment)


def test_gemini_with_tools_keeps_its_own_and_trusts_only_what_is_trusted() -> None:
    it = backend("gemini", "--acp")
    launch = AcpDriver.launch(it, prompt("a", permissions=TOOLS, workdir=Path("/user")))
    files = dict(launch.files)
    assert "exclude" not in files["work/.gemini/settings.json"]
    assert json.loads(files["trusted-folders.json"]) == {"{scratch}": "TRUST_FOLDER"}
    assert dict(launch.environment)["GEMINI_CLI_TRUST_WORKSPACE"] == ""
    assert "GEMINI_SYSTEM_MD" not in dict(launch.environment)
    trusted = Permissions(tools=True, trusted=True)
    environment = dict(AcpDriver.launch(it, prompt("a", permissions=trusted)).environment)
    assert environment["GEMINI_CLI_TRUST_WORKSPACE"] == "true"


def test_opencode_chats_have_no_tools_and_agents_ask_when_somebody_decides() -> None:
    it = backend("opencode", "acp")
    chat = dict(AcpDriver.launch(it, prompt("a", system="Be kind.")).environment)
    config = json.loads(chat["OPENCODE_CONFIG_CONTENT"])
    assert config["tools"] == {"*": False, "clinvk_*": True}
    assert config["agent"]["build"]["prompt"] == "Be kind."
    assert chat["OPENCODE_DISABLE_PROJECT_CONFIG"] == "1"
    own = dict(AcpDriver.launch(it, prompt("a", permissions=TOOLS)).environment)
    asks = json.loads(own["OPENCODE_CONFIG_CONTENT"])["permission"]
    assert next(iter(asks.items())) == ("*", "ask")
    assert set(asks) == {"*", "read", "glob", "grep", "list", "clinvk_*"}
    always = Permissions(tools=True, approval="always")
    everything = dict(AcpDriver.launch(it, prompt("a", permissions=always)).environment)
    assert json.loads(everything["OPENCODE_CONFIG_CONTENT"])["permission"] == {
        "*": "ask",
        "clinvk_*": "allow",
    }
    permissions = Permissions(tools=True, approval="auto", trusted=True)
    asked = prompt("a", permissions=permissions, system="Be kind.")
    environment = dict(AcpDriver.launch(it, asked).environment)
    config = json.loads(environment["OPENCODE_CONFIG_CONTENT"])
    assert config["permission"] == asks
    assert config["agent"] == {"build": {"prompt": "Be kind."}}
    assert "OPENCODE_DISABLE_PROJECT_CONFIG" not in environment


def test_qwen_chats_have_settings_of_their_own() -> None:
    it = backend("qwen", "--acp")
    chat = AcpDriver.launch(it, prompt("a"))
    assert "tools" in json.loads(dict(chat.files)["work/.qwen/settings.json"])
    own = AcpDriver.launch(it, prompt("a", permissions=TOOLS))
    assert "QWEN_SYSTEM_MD" not in dict(own.environment)
    assert "work/.qwen/settings.json" not in dict(own.files)


def test_qwen_keeps_its_own_node_options_beside_ours() -> None:
    mine = {"NODE_OPTIONS": "--use-openssl-ca"}
    for environment, rest in (({}, ""), (mine, " --use-openssl-ca")):
        launch = AcpDriver.launch(backend("qwen", "--acp", environment=environment), prompt("a"))
        ours = '--require "{scratch}/qwen-cuts.cjs"'
        assert dict(launch.environment)["NODE_OPTIONS"] == ours + rest
        assert "qwen-cuts.cjs" in dict(launch.files)


def test_qwen_leaves_the_configuration_of_an_untrusted_workdir_alone() -> None:
    it = backend("qwen", "--acp")
    files = dict(AcpDriver.launch(it, prompt("a", permissions=TOOLS)).files)
    assert json.loads(files["qwen-settings.json"])["security"]["folderTrust"]["enabled"]
    assert json.loads(files["trusted-folders.json"]) == {"{scratch}": "TRUST_FOLDER"}
    trusted = Permissions(tools=True, trusted=True)
    files = dict(AcpDriver.launch(it, prompt("a", permissions=trusted)).files)
    assert "security" not in json.loads(files["qwen-settings.json"])
    assert "trusted-folders.json" not in files


def test_opencodes_own_inline_configuration_is_kept_but_does_not_turn_tools_on() -> None:
    given = {"tools": {"bash": True}, "plugin": ["theirs"], "provider": {"p": {}}}
    mine = {"OPENCODE_CONFIG_CONTENT": json.dumps(given)}
    it = backend("opencode", "acp", environment=mine)
    environment = dict(AcpDriver.launch(it, prompt("a")).environment)
    config = json.loads(environment["OPENCODE_CONFIG_CONTENT"])
    assert config["tools"] == {"*": False, "clinvk_*": True}
    assert config["provider"] == {"p": {}}
    assert config["plugin"] == ["theirs", "file://{scratch}/opencode-retries.js"]
    for broken in ("{", "[]"):
        it = backend("opencode", "acp", environment={"OPENCODE_CONFIG_CONTENT": broken})
        with pytest.raises(ConfigError, match=r"backends\.it\.environment\.OPENCODE_CONFIG_CONT"):
            AcpDriver.launch(it, prompt("a"))


def test_an_agent_without_a_switch_for_untrusted_workdirs_is_warned_of() -> None:
    assert "trusted: false" in plain().driver.warnings[0]
    assert not gemini().driver.warnings


def test_a_rehearsal_shows_what_would_be_sent() -> None:
    driver = AcpDriver(backend("goose"), Path("/scratch"))
    talk = Talk(lambda message: filter(None, [driver.rehearse(message)])).start()
    talk.ask(talk.driver.open(), prompt("x", model="m"))
    assert talk.methods() == [
        "initialize", "session/new", "session/set_model", "session/prompt", "session/new",
    ]  # fmt: skip
    assert driver.rehearse({"method": "session/cancel"}) is None
    assert driver.rehearse({"id": 1, "result": {}}) is None


WORKDIR = Path("/project")
IN_WORKDIR = Permissions(tools=True, approval="none", sandbox="workspace")
IN_WORKDIR_AUTO = Permissions(tools=True, approval="auto", sandbox="workspace")


def call(kind: str, path: str | None = None) -> dict[str, Any]:
    return {"kind": kind, "locations": [{"path": path}] if path else [], "content": None}


@pytest.mark.parametrize(
    ("asked", "permissions", "granted"),
    [
        (call("read"), Permissions(approval="none"), False),
        (call("read"), Permissions(tools=True), False),
        (call("execute"), Permissions(tools=True, approval="none"), True),
        (call("execute"), Permissions(tools=True, approval="auto"), False),
        (call("edit", "a"), Permissions(tools=True, approval="auto"), True),
        (call("execute"), Permissions(tools=True, allowed_tools=("shell",)), True),
        (call("execute"), Permissions(tools=True, approval="none", sandbox="read-only"), False),
        (call("read"), Permissions(tools=True, approval="none", sandbox="read-only"), True),
        (call("edit", "/project/a"), IN_WORKDIR_AUTO, True),
        (call("edit", "/project/../a"), IN_WORKDIR_AUTO, False),
        (call("edit", "/etc/a"), IN_WORKDIR, False),
        (call("execute"), IN_WORKDIR, False),
        (call("execute"), Permissions(tools=True, approval="none", sandbox="full"), True),
    ],
)  # fmt: skip
def test_permissions_decide(asked: Any, permissions: Permissions, granted: bool) -> None:
    verdict = verdict_of(asked, permissions, "shell", WORKDIR)
    assert verdict == ("allow" if granted else "deny")


def test_a_question_without_a_fitting_option_is_cancelled() -> None:
    options = [{"optionId": "x", "kind": "allow_always"}]
    assert permission_outcome({"options": options}, True)["outcome"]["optionId"] == "x"
    assert permission_outcome({"options": options}, False) == {"outcome": {"outcome": "cancelled"}}


def test_tools_are_named_and_their_results_read() -> None:
    assert tool_name({"kind": "fetch", "title": ""}, name_in_id=True) == "fetch"
    assert tool_name({}, name_in_id=False) == "tool"
    assert tool_output({"rawOutput": {"error": "no"}}) == "no"
    assert tool_output({"content": [{"type": "terminal"}], "rawOutput": 3}) == ""
