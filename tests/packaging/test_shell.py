"""The manual page and the completions, with the programs and shells that read them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from clinvkd.cli import main

from .commands import ROOT, run

SHARE = ROOT / "packaging" / "share"
PAGE = SHARE / "man/man1/clinvk.1"
SHELLS = {
    "bash": """
        source {completion}
        COMP_WORDS=({words}); COMP_CWORD={last}
        _clinvk_completion clinvk
        printf '%s\\n' "${{COMPREPLY[@]}}"
    """,
    # What it hands to the line editor is printed instead, because there is none.
    "zsh": """
        autoload -U compinit; compinit -D -u
        source {completion}
        functions[_describe]='print -rl -- "${{(@)${{(@P)argv[-2]}}%%:*}}"'
        functions[compadd]='print -rl -- "${{(@P)argv[-1]}}"'
        words=({words}); CURRENT=$(({last} + 1))
        _clinvk_completion
    """,
    "fish": """
        source {completion}
        complete --do-complete '{line}'
    """,
}


def requires(program: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(shutil.which(program) is None, reason=f"{program} is not installed")


def test_they_are_fresh() -> None:
    run(sys.executable, ROOT / "packaging/shell_files.py", "--check", PYTHONPATH=str(ROOT))


@requires("mandoc")
def test_the_manual_page_is_sound() -> None:
    done = subprocess.run(
        ["mandoc", "-Tlint", "-Wwarning", PAGE], capture_output=True, text=True, check=False
    )
    # A date would be another each time that the page is made.
    assert [line for line in done.stdout.splitlines() if "missing date" not in line] == []


@requires("man")
def test_man_shows_it() -> None:
    done = subprocess.run(
        ["man", "--warnings", "--local-file", PAGE],
        env={"PATH": os.defpath, "LANG": "C.UTF-8", "MANWIDTH": "100", "MANPAGER": "cat"},
        stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    assert done.stderr == ""
    assert "clinvk - AI command-line agents as HTTP APIs" in done.stdout
    for name in main.commands:
        assert f"clinvk {name}" in done.stdout, name


@pytest.mark.parametrize(
    ("words", "wanted", "unwanted"),
    [
        (["clinvk", "se"], {"serve", "sessions", "service"}, {"doctor"}),
        (["clinvk", "keys", ""], {"generate", "list", "revoke"}, {"serve"}),
        (["clinvk", "serve", "--ba"], {"--backend"}, {"--port"}),
        (["clinvk", "service", "install", "--platform", ""], {"systemd", "launchd"}, set()),
    ],
    ids=["command", "subcommand", "option", "value"],
)
@pytest.mark.parametrize("shell", [pytest.param(name, marks=requires(name)) for name in SHELLS])
def test_shells_complete_real_commands(
    shell: str, words: list[str], wanted: set[str], unwanted: set[str], tmp_path: Path
) -> None:
    (completion,) = (path for path in SHARE.rglob("*clinvk*") if shell in str(path.parent))
    quoted = " ".join(f"'{word}'" for word in words)
    script = SHELLS[shell].format(
        completion=completion, words=quoted, last=len(words) - 1, line=" ".join(words)
    )
    done = subprocess.run(
        [shell, "-c", script],
        env={
            "PATH": f"{Path(sys.executable).parent}:{os.defpath}",
            "HOME": str(tmp_path), "LANG": "C.UTF-8",
        },
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    offered = {line.split("\t")[0] for line in done.stdout.splitlines()}
    assert offered >= wanted, done
    assert not offered & unwanted
