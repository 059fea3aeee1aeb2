#!/usr/bin/env python3
"""Writes what packages bring for a shell: the manual page and the completions of `clinvk`.

    python packaging/shell_files.py            write them below packaging/share
    python packaging/shell_files.py --check    exit with 1 when one is stale, and write nothing

They are made from the commands themselves and are part of the sources, so that a package can be
built without installing what clinvk needs.
"""

from __future__ import annotations

import argparse
import inspect
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import click
from click.shell_completion import get_completion_class

from clinvkd.cli import main
from clinvkd.commands.exit_status import MEANINGS
from clinvkd.commands.invocation import CONNECTION_OPTIONS, DaemonCommand

SHARE = Path(__file__).parent / "share"
COMPLETIONS = {
    "bash": "bash-completion/completions/clinvk",
    "fish": "fish/vendor_completions.d/clinvk.fish",
    "zsh": "zsh/site-functions/_clinvk",
}
"""Where each shell looks below a `share` folder."""

_ENVIRONMENT = {
    "CLINVK_CONFIG": "The configuration file.",
    "CLINVK_HOME": "The folder of configuration, keys and state, instead of ~/.clinvk.",
    "CLINVK_URL": "Where the daemon is: http://HOST:PORT or unix:/PATH.",
    "CLINVK_API_KEY": "The API key that commands show to the daemon.",
    "CLINVK_SECTION__KEY": "Any configuration key, in capitals, such as CLINVK_SERVER__PORT.",
    "NO_COLOR": "If it is set, there are no colours.",
}
_FILES = {
    "~/.clinvk/config.yaml": "The configuration of a user's daemon and commands.",
    "~/.clinvk/api-keys": "Digests of the API keys that are accepted.",
    "/etc/clinvk/config.yaml": "The configuration of the service of the machine.",
    "/etc/clinvk/api-keys": "Digests of the API keys that it accepts; root alone may read it.",
    "/etc/default/clinvk": "Variables of the services that are started with the machine.",
    "/var/lib/clinvk": "State of the service of the machine, and the home of its user.",
}


def manual_page() -> str:
    """clinvk(1), in the macros of man(7)."""
    lines = [
        r".\" Made by packaging/shell_files.py; do not edit.",
        '.TH CLINVK 1 "" clinvk "User Commands"',
        ".SH NAME",
        r"clinvk \- AI command-line agents as HTTP APIs",
        ".SH SYNOPSIS",
        r"\fBclinvk\fR [\fIOPTION\fR]... \fICOMMAND\fR [\fIARGUMENT\fR]...",
        ".SH DESCRIPTION",
        *_paragraphs(main),
        *_options(main),
        ".SH COMMANDS",
        *(line for name, inner in main.commands.items() for line in _command(inner, name)),
        ".SH COMMON OPTIONS",
        "Every command that asks the daemon has these, too:",
        *(line for option in CONNECTION_OPTIONS for line in _option(option)),
        ".SH ENVIRONMENT",
        *_definitions(_ENVIRONMENT),
        ".SH FILES",
        *_definitions(_FILES),
        ".SH EXIT STATUS",
        *_definitions({str(status): meaning for status, meaning in MEANINGS.items()}),
        ".SH SEE ALSO",
        r"\fBsystemctl\fR(1), \fBjournalctl\fR(1)",
    ]
    return "\n".join(lines) + "\n"


def completion(shell: str) -> str:
    """The script by which a shell asks clinvk itself for what fits."""
    found = get_completion_class(shell)
    assert found is not None, shell
    complete = found(main, {}, "clinvk", "_CLINVK_COMPLETE")
    # Not source(), which for bash also runs the one of this machine to see how old it is.
    return (complete.source_template % complete.source_vars()).strip() + "\n"


def _command(command: click.Command, name: str) -> Iterator[str]:
    if isinstance(command, click.Group):
        yield f".SS {_quoted('clinvk ' + name)}"
        yield from _paragraphs(command)
        for part, inner in command.commands.items():
            yield from _command(inner, f"{name} {part}")
        return
    words = [str(p.metavar or p.name).upper() for p in command.params if not _is_option(p)]
    yield f".SS {_quoted(' '.join(['clinvk', name, *words]))}"
    yield from _paragraphs(command)
    yield from _options(command)


def _is_option(parameter: click.Parameter) -> bool:
    return isinstance(parameter, click.Option)


def _paragraphs(command: click.Command) -> Iterator[str]:
    text = inspect.cleandoc(command.help or "").replace("\b\n", "")
    for index, paragraph in enumerate(text.split("\n\n")):
        if index:
            yield ".PP"
        yield _escaped(" ".join(paragraph.split()))


def _options(command: click.Command) -> Iterator[str]:
    options = [each for each in command.params if isinstance(each, click.Option) and each.help]
    for option in options:
        if not (isinstance(command, DaemonCommand) and option in CONNECTION_OPTIONS):
            yield from _option(option)


def _option(option: click.Option) -> Iterator[str]:
    names = ", ".join(rf"\fB{_escaped(name)}\fR" for name in option.opts)
    choices = option.type.choices if isinstance(option.type, click.Choice) else ()
    argument = "" if option.is_flag else str(option.metavar or option.name).upper()
    yield ".TP"
    yield rf"{names} \fI{_escaped(argument)}\fR" if argument else names
    text = option.help or ""
    if choices:
        text += f" One of {', '.join(map(str, choices))}."
    if option.show_default:
        text += f" [default: {option.default}]"
    yield _escaped(" ".join(text.split()))


def _definitions(entries: Mapping[str, str]) -> Iterator[str]:
    for name, text in entries.items():
        yield ".TP"
        yield rf"\fB{_escaped(name)}\fR"
        yield _escaped(text)


def _escaped(text: str) -> str:
    """Text that means itself to roff; what Markdown marks as code is set in bold."""
    text = text.replace("\\", r"\e").replace("-", r"\-").replace("~", r"\(ti")
    text = re.sub(r"`([^`]+)`", r"\\fB\1\\fR", text).replace("^", r"\(ha")
    return rf"\&{text}" if text[:1] in (".", "'") else text


def _quoted(text: str) -> str:
    return f'"{_escaped(text)}"'


def run() -> int:
    """Write or check the files; the exit status."""
    parser = argparse.ArgumentParser(description="Write the manual page and the completions.")
    parser.add_argument("--check", action="store_true", help="only tell which are stale")
    check = parser.parse_args().check
    files = {SHARE / place: completion(shell) for shell, place in COMPLETIONS.items()}
    files[SHARE / "man/man1/clinvk.1"] = manual_page()
    stale = [p for p, text in files.items() if not p.is_file() or p.read_text("utf-8") != text]
    for path in stale:
        if check:
            sys.stderr.write(f"{path} is stale: run python packaging/shell_files.py\n")
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(files[path], "utf-8")
            sys.stdout.write(f"wrote {path}\n")
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(run())
