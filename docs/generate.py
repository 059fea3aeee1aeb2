#!/usr/bin/env python3
"""Writes the reference pages made from the code: keys, commands, endpoints, errors, metrics.

    python docs/generate.py            write them
    python docs/generate.py --check    exit with 1 when one of them is stale, and write nothing

What a key or a command means is written once, beside its definition; these pages repeat it.
"""

from __future__ import annotations

import argparse
import inspect
import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import click
from api_pages import GENERATED, REFERENCE, endpoints, errors
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from clinvkd.attribute_docs import descriptions
from clinvkd.cli import main
from clinvkd.commands.exit_status import MEANINGS
from clinvkd.commands.invocation import CONNECTION_OPTIONS, DaemonCommand
from clinvkd.config import BackendSettings, Settings, fields
from clinvkd.config.sources import FLAGS, PREFIX, SHORT_NAMES, built_in_backends
from clinvkd.metrics import DEFINITIONS

WITHOUT_EFFECT = (
    "unified_flags.verbose",
    "session.auto_resume",
    "server.rate_limit_cleanup_secs",
)
"""Keys, and beginnings of keys, that are checked but that nothing in this version reads."""

_CONFIGURATION = f"""\
# Configuration

{GENERATED}

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
`CLINVK_URL` is for the commands that [ask the daemon](cli.md#where-the-daemon-is).

## The file

It is YAML with the scalars of version 1.2.
So only `true` and `false` are truth values, and a number in quotes is a text.
A key may stand once.

`clinvk config show` prints what is in force and where each value comes from.
`clinvk config schema` prints a JSON Schema for editors.
"""

_CLI = """\
# Command line

{GENERATED}

`python -m clinvkd` is the same program.

## Where the daemon is

A command that asks the daemon finds its address in the first of these:

1. `--url`;
2. `CLINVK_URL`;
3. the daemon's own configuration: `server.unix_socket` if it is there, else host and port.

It shows the key in the first of these, if there is one:

1. `--api-key`;
2. `CLINVK_API_KEY`;
3. the file that `clinvk keys generate --save` writes, and that only to a daemon of this machine.

Nothing is started unless `--spawn` asks for it.

## Options of every command that asks the daemon

{CONNECTION}

## Exit statuses

{STATUSES}

With `--json` an error is one JSON object on standard output, as the API tells errors.
Only a command line that cannot be read is told in words, on standard error.
"""


_METRICS = """\
# Metrics

{GENERATED}

[Monitoring](../guides/monitoring.md) says how to scrape them, and has a dashboard and alerts.

## `GET /metrics`

All metrics in the text format of Prometheus, or as OpenMetrics where `Accept` asks for that.
404 unless `server.metrics_enabled` is set.
It needs a key like everything else.
With `server.metrics_port` it moves to a listener of its own, which needs none.

## All metrics

Labels hold names of backends and keys, routes, and words of closed sets, never what a caller wrote.
`key` is the name of the API key, empty for callers without one.
A histogram is exposed as `_bucket`, `_sum` and `_count`.

{TABLE}

Those of the process itself begin with `clinvk_process_`: processor time, memory, files, start.
They exist on Linux only.
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
            sections = [*_backends(), *sections]
        else:
            parts.append(_key((name,), field, fields.root(Settings)))
    return "\n".join(parts + sections)


def command_line() -> str:
    """The page of all commands."""
    statuses = (f"| {status} | {meaning} |" for status, meaning in MEANINGS.items())
    page = _CLI.format(
        GENERATED=GENERATED,
        CONNECTION="\n".join(_options(CONNECTION_OPTIONS)),
        STATUSES="\n".join(["| status | meaning |", "| --- | --- |", *statuses]),
    )
    return "\n".join([page, *_commands(main, "clinvk")])


def metrics() -> str:
    """The page of all metrics."""
    rows = (
        f"| `{each.name}` | {each.kind} | {', '.join(f'`{name}`' for name in each.labels)}"
        f" | {each.help} |"
        for each in DEFINITIONS
    )
    table = "\n".join(["| metric | type | labels | meaning |", "| --- | --- | --- | --- |", *rows])
    return _METRICS.format(GENERATED=GENERATED, TABLE=table)


PAGES: Mapping[str, Callable[[], str]] = {
    "configuration.md": configuration,
    "cli.md": command_line,
    "endpoints.md": endpoints,
    "errors.md": errors,
    "metrics.md": metrics,
}


def _section(name: str, model: type[BaseModel]) -> list[str]:
    place = fields.root(model)
    keys = [_key((name, key), field, place) for key, field in model.model_fields.items()]
    return [f"## {name}\n\n{_described(Settings, name)}\n", *keys]


def _backends() -> list[str]:
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
        f"## backends\n\n{_described(Settings, 'backends')}\n",
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
    return f"### `{dotted}`\n\n{line}.\n\n{_described(section.model, path[-1])}{_status(dotted)}\n"


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


def _described(model: type[BaseModel] | None, key: str) -> str:
    assert model is not None
    return " ".join(descriptions(model)[key].split())


def _status(dotted: str) -> str:
    if dotted.startswith(WITHOUT_EFFECT):
        return "\n\nChecked, but without effect in this version."
    return ""


def _commands(command: click.Command, name: str) -> Iterator[str]:
    options = [o for o in command.params if isinstance(o, click.Option) and o.help]
    if isinstance(command, DaemonCommand):
        options = [option for option in options if option not in CONNECTION_OPTIONS]
    table = ["", *_options(options)] if options else []
    words = [str(p.metavar or p.name) for p in command.params if isinstance(p, click.Argument)]
    shown = ["", f"`{' '.join([name, *words])}`"] if words else []
    text = "\n".join([f"## {name}", *shown, "", inspect.cleandoc(command.help or ""), *table])
    yield text.rstrip() + "\n"
    if isinstance(command, click.Group):
        for sub_name, sub_command in command.commands.items():
            yield from _commands(sub_command, f"{name} {sub_name}")


def _options(options: Sequence[click.Option]) -> list[str]:
    rows = [
        f"| `{' '.join([', '.join(option.opts), _argument(option)]).strip()}` | {_help(option)} |"
        for option in options
    ]
    return ["| option | meaning |", "| --- | --- |", *rows]


def _argument(option: click.Option) -> str:
    if option.is_flag:
        return ""
    choice = isinstance(option.type, click.Choice)
    return option.metavar or (str(option.name) if choice else option.type.name).upper()


def _help(option: click.Option) -> str:
    choices = option.type.choices if isinstance(option.type, click.Choice) else ()
    named = f" One of {', '.join(f'`{choice}`' for choice in choices)}." if choices else ""
    default = f"  [default: {option.default}]" if option.show_default else ""
    return f"{option.help}{named}{default}"


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
