#!/usr/bin/env python3
"""Writes the reference pages that are made from the code: configuration and command line.

    python docs/generate.py            write them
    python docs/generate.py --check    exit with 1 when one of them is stale, and write nothing

What a key or a command means is written once, beside its definition; these pages repeat it.
"""

from __future__ import annotations

import argparse
import inspect
import json
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import click
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from clinvkd.cli import EX_CONFIG, main
from clinvkd.config import BackendSettings, Settings, fields
from clinvkd.config.sources import FLAGS, PREFIX, SHORT_NAMES, built_in_backends
from clinvkd.server import EX_UNAVAILABLE

REFERENCE = Path(__file__).parent / "reference"

WITHOUT_EFFECT = (
    "unified_flags.verbose",
    "unified_flags.command_timeout_secs",
    "session.auto_resume",
    "session.store_token_usage",
    "session.default_tags",
    "output.show_tokens",
    "output.show_timing",
    "output.color",
    "parallel.",
    "server.rate_limit_rps",
    "server.rate_limit_burst",
    "server.rate_limit_cleanup_secs",
    "server.cors_max_age",
)
"""Keys, and beginnings of keys, that are checked but that nothing in this version reads."""

_GENERATED = "<!-- Made by `python docs/generate.py`; do not edit. -->"

_CONFIGURATION = f"""\
# Configuration

{_GENERATED}

The file is `~/.clinvk/config.yaml`.
`CLINVK_HOME` names another directory for it, `CLINVK_CONFIG` or `--config` another file.
A file named in one of these two ways must exist.
Otherwise no file is needed: every key has a default.

A value is taken from the first of these that has it:

1. a flag of `clinvk serve`;
2. a variable;
3. the file;
4. the default.

Sections are merged key by key; a list replaces a list.
A wrong value or an unknown key stops the start, with its path and with what is allowed.

## Variables

A variable is called `{PREFIX}` and the key in capitals, with `__` between the levels.
So `server.port` is `CLINVK_SERVER__PORT`.
A list is a JSON array, or words with commas between them.
A section or a table is a JSON object; `null` stands for itself where it is allowed.
An empty variable counts as not set.
A `{PREFIX}*` variable that is no key stops the start, too.

## The file

It is YAML with the scalars of version 1.2.
So only `true` and `false` are truth values, and a number in quotes is a text.
A key may stand once.

`clinvk config show` prints what is in force and where each value comes from.
`clinvk config schema` prints a JSON Schema for editors.
"""

_CLI = f"""\
# Command line

{_GENERATED}

`python -m clinvkd` is the same program.

## Exit statuses

| status | meaning |
| --- | --- |
| 0 | all went well; for `clinvk serve`: it was told to stop, and nothing is left behind |
| 2 | the command line makes no sense |
| {EX_UNAVAILABLE} | `clinvk serve` cannot listen on its address |
| {EX_CONFIG} | the configuration is wrong; every problem is on a line of its own |
"""


def configuration() -> str:
    """The page of all configuration keys."""
    parts = [_CONFIGURATION, "## Top level\n"]
    sections: list[str] = []
    for name, field in Settings.model_fields.items():
        place = fields.find(Settings, (name,))
        if place is not None and place.kind == "section" and place.model is not None:
            sections += _section(name, place.model)
        elif name == "backends":
            sections = [*_backends(field), *sections]
        else:
            parts.append(_key((name,), field, fields.root(Settings)))
    return "\n".join(parts + sections)


def command_line() -> str:
    """The page of all commands."""
    return "\n".join([_CLI, *_commands(main, "clinvk")])


PAGES: Mapping[str, Callable[[], str]] = {
    "configuration.md": configuration,
    "cli.md": command_line,
}


def _section(name: str, model: type[BaseModel]) -> list[str]:
    place = fields.root(model)
    keys = [_key((name, key), field, place) for key, field in model.model_fields.items()]
    return [f"## {name}\n\n{_described(Settings.model_fields[name])}\n", *keys]


def _backends(field: FieldInfo) -> list[str]:
    place = fields.root(BackendSettings)
    rows = [
        "| backend | driver | command | environment passed on |",
        "| --- | --- | --- | --- |",
    ]
    for name, section in built_in_backends().items():
        words = ["python" if word == sys.executable else word for word in section["command"]]
        passed = " ".join(f"`{pattern}`" for pattern in section.get("pass_environment", []))
        rows.append(f"| `{name}` | `{section['driver']}` | `{' '.join(words)}` | {passed} |")
    return [
        f"## backends\n\n{_described(field)}\n",
        "\n".join(rows) + "\n\n`python` stands for the interpreter that runs clinvk.\n",
        *(
            _key(("backends", "<name>", key), entry, place)
            for key, entry in BackendSettings.model_fields.items()
        ),
    ]


def _key(path: tuple[str, ...], field: FieldInfo, section: fields.Place) -> str:
    place = fields.child(section, path[-1])
    assert place is not None
    dotted = ".".join(path)
    allowed = "keys of [`pool`](#pool)" if dotted.endswith(">.pool") else place.allowed
    facts = [
        allowed,
        "must be given for a new backend" if field.is_required() else _default(field),
        " or ".join(_variables(path)),
    ]
    if path in FLAGS:
        facts.append(f"`clinvk serve {FLAGS[path]}`")
    line = "; ".join(facts)
    line = line[:1].upper() + line[1:]
    return f"### `{dotted}`\n\n{line}.\n\n{_described(field)}{_status(dotted)}\n"


def _default(field: FieldInfo) -> str:
    value = field.get_default(call_default_factory=True)
    if isinstance(value, BaseModel):
        return "default: nothing"
    plain = dict(value) if isinstance(value, Mapping) else value
    if isinstance(plain, float) and plain.is_integer():
        plain = int(plain)
    return f"default `{json.dumps(plain)}`"


def _variables(path: tuple[str, ...]) -> Iterator[str]:
    yield f"`{PREFIX}{'__'.join(path).upper()}`"
    for name, target in SHORT_NAMES.items():
        same_table = path[:1] == ("backends",) == target[:1] and path[2:] == target[2:]
        if target == path or same_table:
            yield f"`{name}`"


def _described(field: FieldInfo) -> str:
    return " ".join((field.description or "").split())


def _status(dotted: str) -> str:
    if dotted in _refused():
        return "\n\nThis version does not enforce it and refuses to start when it is set."
    if dotted.startswith(WITHOUT_EFFECT):
        return "\n\nChecked, but without effect in this version."
    return ""


def _refused() -> frozenset[str]:
    """The keys with which the daemon does not start, found by asking the settings."""
    found: set[str] = set()
    for key in fields.keys(fields.child(fields.root(Settings), "server") or fields.root(Settings)):
        values: tuple[Any, ...] = (True, ["10.0.0.1"], "x")
        for value in values:
            try:
                found.update(Settings.model_validate({"server": {key: value}}).not_enforced())
            except ValidationError:
                continue
    return frozenset(found)


def _commands(command: click.Command, name: str) -> Iterator[str]:
    rows = [
        f"| `{' '.join([', '.join(option.opts), _argument(option)]).strip()}` | {option.help} |"
        for option in command.params
        if isinstance(option, click.Option) and option.help
    ]
    table = ["", "| option | meaning |", "| --- | --- |", *rows] if rows else []
    text = "\n".join([f"## {name}", "", inspect.cleandoc(command.help or ""), *table])
    yield text.rstrip() + "\n"
    if isinstance(command, click.Group):
        for sub_name, sub_command in command.commands.items():
            yield from _commands(sub_command, f"{name} {sub_name}")


def _argument(option: click.Option) -> str:
    return "" if option.is_flag else option.metavar or option.type.name.upper()


def _stale() -> list[Path]:
    return [
        REFERENCE / name
        for name, page in PAGES.items()
        if not (REFERENCE / name).is_file() or (REFERENCE / name).read_text("utf-8") != page()
    ]


def run() -> int:
    """Write or check the pages; the exit status."""
    parser = argparse.ArgumentParser(description="Write the generated reference pages.")
    parser.add_argument("--check", action="store_true", help="only tell which are stale")
    check = parser.parse_args().check
    stale = _stale()
    for path in stale:
        if check:
            sys.stderr.write(f"{path} is stale: run python docs/generate.py\n")
        else:
            path.write_text(PAGES[path.name](), encoding="utf-8")
            sys.stdout.write(f"wrote {path}\n")
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(run())
