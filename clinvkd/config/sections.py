"""The sections of the configuration, one model each.

The string under a field is its documentation: meaning, unit and range.
The reference page and the JSON Schema are made from it, and a test refuses a field without one.
Values are strict: a number in quotes is not a number, and `yes` is not `true`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    Strict,
    StringConstraints,
)

from ..attribute_docs import described
from ..prompt import Approval, Sandbox

DriverName: TypeAlias = Literal["claude", "codex", "acp"]
OutputFormat: TypeAlias = Literal["default", "text", "json", "stream-json"]

MAX_SECONDS = 604_800

Seconds: TypeAlias = Annotated[float, Field(gt=0, le=MAX_SECONDS)]
Count: TypeAlias = Annotated[int, Field(ge=0)]
Word: TypeAlias = Annotated[str, StringConstraints(pattern=r"^[^\x00]+$")]
Words: TypeAlias = Annotated[tuple[Word, ...], Strict(False)]
OneLine: TypeAlias = Annotated[str, StringConstraints(pattern=r"^[^\x00\r\n]*$")]
BackendName: TypeAlias = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_-]{0,31}$")]
VariableName: TypeAlias = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
VariablePattern: TypeAlias = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*\*?$")
]

# A tool name with its rule is one name: "Bash(git log:*)" holds a blank inside the brackets.
_TOOL_NAME = re.compile(r"(?:[^\s,()]|\([^()]*\))+")


def _tool_names(value: object) -> object:
    if not isinstance(value, str):
        return value
    names = _TOOL_NAME.findall(value)
    if re.sub(r"[\s,]", "", "".join(names)) != re.sub(r"[\s,]", "", value):
        raise ValueError("tool names separated by commas or blanks, brackets in pairs")
    return tuple(names)


def _argument_vector(value: object) -> object:
    return (value,) if isinstance(value, str) else value


TextOrWords: TypeAlias = Word | Words
ToolNames: TypeAlias = Annotated[
    Words, BeforeValidator(_tool_names, json_schema_input_type=TextOrWords)
]
Command: TypeAlias = Annotated[
    Words,
    Field(min_length=1),
    BeforeValidator(_argument_vector, json_schema_input_type=TextOrWords),
]


class Section(BaseModel):
    """What all sections share: immutable, strict, and closed to unknown keys."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        strict=True,
        allow_inf_nan=False,
        hide_input_in_errors=True,
        json_schema_extra=described,
        defer_build=True,  # built as parts of `Settings`, and once more only where they are used
    )


class UnifiedFlags(Section):
    """Defaults of a request for every backend, below the backend's own section."""

    approval_mode: Approval = "default"
    """What happens when an agent wants to ask before it acts: `default` (its own rules),
    `auto` (edits are allowed), `none` (never asked, all is allowed), `always` (all is refused),
    `ask` (the caller of the native API decides; in the other APIs all is refused)."""

    sandbox_mode: Sandbox = "default"
    """Where an agent may write: `default` (as it is set up), `read-only`, `workspace` (the
    working directory), `full` (everywhere)."""

    verbose: bool = False
    """Ask agents for their verbose output."""

    dry_run: bool = False
    """Answer with what would be run instead of running it."""

    max_turns: Count = 0
    """Most rounds of the agent's own tool loop in one turn; 0 sets no limit."""

    max_tokens: Count = 0
    """Most tokens of one answer; 0 sets no limit."""

    command_timeout_secs: Annotated[float, Field(ge=0, le=MAX_SECONDS)] = 0
    """Seconds a prompt given on the command line may take; 0 sets no limit."""


class PoolSettings(Section):
    """How many agent processes are kept warm, for how long, and what a turn may cost."""

    agents: Annotated[int, Field(ge=1, le=256)] | None = None
    """Most processes of one backend, 1 to 256; `null` leaves it to the driver."""

    spares: Annotated[int, Field(ge=0, le=32)] = 1
    """Started agents, free for a new conversation, to keep ready per backend, 0 to 32."""

    warm_keys: Annotated[int, Field(ge=0, le=16)] = 1
    """How many recently used start conditions (such as a working directory) keep a spare of
    their own beside the default ones, 0 to 16."""

    conversations: Annotated[int, Field(ge=1, le=1024)] | None = None
    """Most conversations in one agent that can hold many, 1 to 1024; `null` leaves it to the
    driver."""

    parked: Annotated[int, Field(ge=0, le=1024)] = 16
    """Most idle conversations per backend kept so that they can be continued, 0 to 1024; the
    longest unused is let go first."""

    idle_secs: Seconds = 900
    """Seconds after which an unused parked conversation or a surplus agent is let go."""

    max_age_secs: Seconds = 14_400
    """Seconds after which an agent is replaced as soon as it is idle."""

    max_turns: Annotated[int, Field(ge=1, le=1_000_000)] = 500
    """Turns after which an agent is replaced as soon as it is idle, 1 to 1000000."""

    memory_limit_mb: Annotated[int, Field(ge=0, le=1_048_576)] = 2048
    """Mebibytes an agent and its children may hold before it is replaced; 0 sets no limit. The
    kernel enforces it where agents have control groups."""

    tasks_limit: Annotated[int, Field(ge=0, le=1_048_576)] = 1024
    """Most processes and threads an agent and its children may be together, enforced where agents
    have control groups; 0 sets no limit."""

    queue_length: Annotated[int, Field(ge=0, le=65_536)] = 64
    """Most requests that wait for an agent of one backend, 0 to 65536; further ones get 503."""

    queue_wait_secs: Seconds = 30
    """Seconds a request waits for an agent before it gets 503."""

    start_timeout_secs: Seconds = 60
    """Seconds an agent may take from its start until it is ready."""

    first_byte_timeout_secs: Seconds = 120
    """Seconds a turn may take until the agent's first sign of life."""

    idle_timeout_secs: Seconds = 180
    """Seconds without any sign of life of the agent in a running turn."""

    approval_timeout_secs: Seconds = 300
    """Seconds an agent's question waits for a decision (`approval_mode: ask`) before it is denied;
    no other limit of the turn runs meanwhile."""

    stop_grace_secs: Annotated[float, Field(gt=0, le=300)] = 5
    """Seconds each step of stopping an agent (input closed, SIGTERM, SIGKILL) may take, at most
    300."""

    crash_budget: Annotated[int, Field(ge=1, le=1000)] = 5
    """Crashes within `crash_window_secs` after which a backend counts as down, 1 to 1000."""

    crash_window_secs: Seconds = 60
    """Seconds in which the crashes of `crash_budget` are counted."""


class BackendSettings(Section):
    """One backend: a name callers use, the command behind it, and how it is spoken to."""

    enabled: bool = True
    """Whether the backend can be used at all."""

    driver: DriverName
    """The protocol the command speaks: `claude` (stream-json), `codex` (app-server) or `acp`
    (Agent Client Protocol)."""

    command: Command
    """Program and leading arguments, as a list; a single string is one word, never a shell
    line. A program without `/` is looked up on `PATH`."""

    model: OneLine = ""
    """Model used when a request names none; empty leaves it to the agent."""

    models: Words = ()
    """Models offered to callers in addition to `model`."""

    allowed_tools: ToolNames = ()
    """Tools of the agent that it may use without asking: a list, or one string with commas or
    blanks between the names."""

    approval_mode: Approval | None = None
    """As `unified_flags.approval_mode`, for this backend; `null` uses that one."""

    sandbox_mode: Sandbox | None = None
    """As `unified_flags.sandbox_mode`, for this backend; `null` uses that one."""

    system_prompt: str = ""
    """System prompt used when a request brings none; empty leaves it to the agent."""

    extra_flags: Words = ()
    """Arguments added at the end of the command, unchecked."""

    tools: Literal["auto", "on", "off"] = "auto"
    """Whether the agent's own tools (shell, files, web) are on: `auto` turns them on for a
    request that names a working directory, an approval mode or a sandbox mode."""

    environment: Mapping[VariableName, SecretStr] = Field(default_factory=dict)
    """Environment variables set for the agent; the values are never shown."""

    pass_environment: Annotated[tuple[VariablePattern, ...], Strict(False)] = ()
    """Names of the daemon's environment variables that the agent gets too; `NAME_*` stands for
    all that begin with `NAME_`."""

    trusted: bool = False
    """Whether files in a working directory may configure the agent (hooks, tool servers,
    settings), where `server.workdir_trust` does not say."""

    quirks: Mapping[str, Any] = Field(default_factory=dict)
    """Deviations of an `acp` agent from the protocol, by name; the driver checks them."""

    pool: PoolSettings = Field(default_factory=PoolSettings)
    """Keys of the `pool` section that differ for this backend; the others keep their value
    from there."""


class SessionSettings(Section):
    """Stored conversations."""

    auto_resume: bool = True
    """Continue the last session when a prompt is given on the command line without one."""

    retention_days: Count = 30
    """Days a session or a job is kept after its last use; 0 keeps it for ever."""

    store_content: bool = True
    """Store what was said; otherwise only that it was: backend, times, tokens, tags. What is said
    in sessions and jobs is then in memory alone and gone after a restart, and no responses and
    threads are kept."""

    store_token_usage: bool = True
    """Store the token counts of every turn."""

    default_tags: Words = ()
    """Tags given to every new session."""


class OutputSettings(Section):
    """What answers look like when a request does not say."""

    format: OutputFormat = "json"
    """Format of answers: `text`, `json`, `stream-json`, or `default` (`json`)."""

    show_tokens: bool = False
    """Print token counts after an answer on the command line."""

    show_timing: bool = False
    """Print the duration after an answer on the command line."""

    color: bool = True
    """Use colours on a terminal."""


class ParallelSettings(Section):
    """Running several prompts at once."""

    max_workers: Annotated[int, Field(ge=1, le=256)] = 3
    """Most prompts of one request that run at the same time, 1 to 256."""

    max_jobs: Annotated[int, Field(ge=1, le=1024)] = 8
    """Most background jobs that run at the same time, 1 to 1024; further ones are queued."""

    fail_fast: bool = False
    """Stop the remaining prompts after the first that fails."""

    aggregate_output: bool = True
    """Print the answers together at the end on the command line."""


class ModelsSettings(Section):
    """Model names of the OpenAI and Anthropic dialects."""

    aliases: Mapping[str, Annotated[str, StringConstraints(min_length=1)]] = Field(
        default_factory=dict
    )
    """Names of models and what they mean: a backend, or `backend/model`. They win over every
    other rule and are listed among the models."""

    strict_models: bool = False
    """Refuse a model name that means nothing here; otherwise the default backend takes it."""


class MediaSettings(Section):
    """Images that a request of the OpenAI dialect names by an http(s) URL."""

    fetch_urls: bool = False
    """Whether they are fetched; otherwise a request with such a URL is refused."""

    max_bytes: Annotated[int, Field(ge=1, le=104_857_600)] = 5_242_880
    """Most bytes of one fetched image, 1 to 104857600."""

    timeout_secs: Annotated[float, Field(gt=0, le=300)] = 20
    """Seconds the fetching of one image may take, redirects included, at most 300."""

    allow_private_networks: bool = False
    """Whether URLs may lead to addresses that are not public: this machine, the local network."""


class LogSettings(Section):
    """The daemon's own log, written to standard error."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    """Least severe level that is written; `CLINVK_DEBUG=1` means `debug`."""

    format: Literal["auto", "json", "console"] = "auto"
    """`console` is for people, `json` is one object a line, `auto` is `console` on a terminal
    and `json` otherwise."""


class InspectorSettings(Section):
    """The last requests, as the dashboard and `/api/v1/requests` show them."""

    requests: Annotated[int, Field(ge=0, le=10_000)] = 100
    """How many of the last requests are kept in memory, with their headers and the beginning of
    their bodies, 0 to 10000; 0 keeps none. Bodies are not kept where `session.store_content` is
    off."""
