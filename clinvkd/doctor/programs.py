"""The programs of agents: found or not, which version, whether logged in, and their node."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..config import EMBEDDED, BackendSettings
from ..pool.environment import child_environment
from ..pool.locate import Found, NotFound, locate, locate_agent
from .finding import Finding, Patient

_PATIENCE = 20.0  # seconds a program may take to tell its version
_VERSION = re.compile(r"\d+(?:\.\d+)+")
_NODE_SHEBANG = re.compile(rb"#!\s*/usr/bin/env\s+(?:-S\s+)?node\b")
_OLDEST_NODE = (20,)


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of a program that many people have.

    Attributes:
        safe: versions below are dangerous, and why.
        tested: the oldest version that clinvk is tested with.
        login: what a person does to log in.
        logged_in: whether a login is found, by the program and its environment.
    """

    tested: tuple[int, ...]
    login: str
    logged_in: Callable[[Path, Mapping[str, str]], bool]
    safe: tuple[tuple[int, ...], str] | None = None


def check_node(patient: Patient) -> Iterator[Finding]:
    """Whether there is a node for the agents that are scripts of it."""
    scripts = [
        found.path.name
        for _, _, found in _programs(patient)
        if isinstance(found, Found) and _is_node_script(found.path)
    ]
    if not scripts:
        return
    found = locate("node", patient.environ)
    remedy = f"install Node.js {_OLDEST_NODE[0]} or newer; {', '.join(scripts)} is a script of it"
    if isinstance(found, NotFound):
        yield Finding("node", "fail", str(found), remedy)
        return
    version = _version_of(found, dict(patient.environ))
    if version is None:
        yield Finding("node", "fail", f"{found.path} does not tell its version", remedy)
    elif version < _OLDEST_NODE:
        yield Finding("node", "fail", f"{found.path} is {_dotted(version)}", remedy)
    else:
        yield Finding("node", "ok", f"{found.path} is {_dotted(version)}")


def check_backends(patient: Patient) -> Iterator[Finding]:
    """Every enabled backend."""
    asked = patient.settings.configured_backends()
    usable = []
    for name, backend, found in _programs(patient):
        check = f"backend.{name}"
        if isinstance(found, NotFound):
            wanted = name in asked
            remedy = found.remedy or f"install it, or set backends.{name}.command"
            yield Finding(check, "fail" if wanted else "warn", str(found), remedy)
            continue
        usable.append(name)
        known = _KNOWN.get(Path(backend.command[0]).name)
        if known is None:
            yield Finding(check, "ok", str(found.path))
            continue
        environment = _environment(patient, backend, found)
        yield _judged(check, found.path, _version_of(found, environment), known)
        if known.logged_in(found.path, environment):
            yield Finding(f"{check}.login", "ok", "logged in")
        else:
            remedy = f"{known.login}, as the user that runs clinvk"
            yield Finding(f"{check}.login", "warn", "no login was found", remedy)
    if all(name in EMBEDDED for name in usable):
        remedy = "install claude, codex or gemini, or configure another agent"
        yield Finding("backends", "warn", "only agents that come with clinvk can be used", remedy)


def _programs(patient: Patient) -> Iterator[tuple[str, BackendSettings, Found | NotFound]]:
    for name, backend in patient.settings.enabled_backends().items():
        yield name, backend, locate_agent(backend.command, patient.environ)


def _environment(patient: Patient, backend: BackendSettings, found: Found) -> dict[str, str]:
    """As the daemon gives it to the agent, its folder and that of node on the path."""
    set_ = {name: value.get_secret_value() for name, value in backend.environment.items()}
    environment = child_environment(patient.environ, backend.pass_environment, set_)
    node = locate("node", patient.environ)
    folders = [*found.folders, *(node.folders if isinstance(node, Found) else ())]
    environment["PATH"] = ":".join([*map(str, folders), environment.get("PATH", "")])
    return environment


def _judged(check: str, path: Path, version: tuple[int, ...] | None, known: Known) -> Finding:
    if version is None:
        return Finding(check, "fail", f"{path} does not tell its version", f"try {path} --version")
    detail = f"{path} is {_dotted(version)}"
    if known.safe is not None and version < known.safe[0]:
        return Finding(check, "fail", f"{detail}, which {known.safe[1]}", "update it")
    if version < known.tested:
        tested = _dotted(known.tested)
        return Finding(check, "warn", f"{detail}; tested from {tested} on", "update it")
    return Finding(check, "ok", detail)


def _version_of(program: Found, environment: Mapping[str, str]) -> tuple[int, ...] | None:
    done = _run([str(program.path), "--version"], environment)
    match = _VERSION.search(done.stdout) if done is not None else None
    return tuple(map(int, match[0].split("."))) if match else None


def _run(
    argv: Sequence[str], environment: Mapping[str, str]
) -> subprocess.CompletedProcess[str] | None:
    """What a program says; None if it cannot be run, or does not end."""
    try:
        return subprocess.run(
            argv, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True,
            errors="replace", timeout=_PATIENCE, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return None


def _says_yes(*arguments: str) -> Callable[[Path, Mapping[str, str]], bool]:
    """A question that the program answers by its exit status."""

    def asked(program: Path, environment: Mapping[str, str]) -> bool:
        done = _run([str(program), *arguments], environment)
        return done is not None and done.returncode == 0

    return asked


def _gemini_logged_in(_: Path, environment: Mapping[str, str]) -> bool:
    """Gemini has no question for it; these are the places where it looks."""
    if any(name in environment for name in ("GEMINI_API_KEY", "GOOGLE_API_KEY")):
        return True
    if environment.get("GOOGLE_GENAI_USE_VERTEXAI") == "true":
        return True
    home = environment.get("GEMINI_CLI_HOME") or environment.get("HOME", "")
    folder = Path(home, ".gemini")
    if (folder / "oauth_creds.json").is_file() or (folder / ".env").is_file():
        return True
    try:
        settings = json.loads((folder / "settings.json").read_bytes())
        return bool(settings["security"]["auth"]["selectedType"])
    except (OSError, ValueError, LookupError, TypeError):
        return False


def _is_node_script(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return _NODE_SHEBANG.match(file.read(80)) is not None
    except OSError:
        return False


def _dotted(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))


_KNOWN: Mapping[str, Known] = {
    "claude": Known(
        tested=(2, 1, 197),
        login="run `claude` and type /login, or set ANTHROPIC_API_KEY",
        logged_in=_says_yes("auth", "status"),
        # Until then it looked for --settings= in every argument, a prompt's words included.
        safe=((2, 1, 118), "takes settings, and so commands, out of prompts"),
    ),
    "codex": Known(
        tested=(0, 169, 0),
        login="codex login, unless your model provider needs none",
        logged_in=_says_yes("login", "status"),
    ),
    "gemini": Known(
        tested=(0, 61, 0),
        login="run `gemini` and log in, or set GEMINI_API_KEY",
        logged_in=_gemini_logged_in,
    ),
}
