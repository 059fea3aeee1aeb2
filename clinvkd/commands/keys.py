"""`clinvk keys`: makes, lists and revokes the API keys of the key file."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import get_args

import click

from ..config import home_directory
from ..keys import Key, Scopes, digest_of, new_key
from ..keys.file import CLIENT_KEY_FILE, KEY_FILE, change, read, write_private
from ..keys.key import check_name
from ..prompt import Approval, Sandbox

_LIMIT = click.IntRange(min=1)


@click.group()
def keys() -> None:
    """Make, list and revoke API keys.

    They are kept as digests in `~/.clinvk/api-keys`; a running daemon takes changes when it reads
    its configuration again (SIGHUP).
    """


def _name(ctx: click.Context, parameter: click.Parameter, value: str) -> str:
    try:
        return check_name(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


def _words(ctx: click.Context, parameter: click.Parameter, value: str | None) -> list[str]:
    name = str(parameter.name)
    return [] if value is None else [f"{name}={value}"]


def _directories(
    ctx: click.Context, parameter: click.Parameter, values: Sequence[Path]
) -> list[str]:
    if any("," in str(value) for value in values):
        raise click.BadParameter("a directory with a comma in its name cannot be a scope")
    return [f"workdirs={','.join(map(str, values))}"] if values else []


@keys.command()
@click.option(
    "--name", default="default", show_default=True, callback=_name,
    help="Who gets the key. What a client keeps belongs to its name.",
)  # fmt: skip
@click.option(
    "--save", is_flag=True,
    help="Also keep the key itself in ~/.clinvk/client-key, where programs of this user find it.",
)  # fmt: skip
@click.option("--backends", callback=_words, help="Only these backends, with commas between them.")
@click.option(
    "--models", callback=_words,
    help="Only models of these names or patterns (claude-*); each request has to name one.",
)  # fmt: skip
@click.option(
    "--approval-modes", callback=_words, metavar="MODES",
    help=f"Only these of {', '.join(get_args(Approval))}.",
)  # fmt: skip
@click.option(
    "--sandbox-modes", callback=_words, metavar="MODES",
    help=f"Only these of {', '.join(get_args(Sandbox))}.",
)  # fmt: skip
@click.option(
    "--workdir", "workdirs", multiple=True, callback=_directories, metavar="DIRECTORY",
    type=click.Path(path_type=Path, exists=True, file_okay=False, resolve_path=True),
    help="Only workdirs in this directory; may be given several times.",
)  # fmt: skip
@click.option(
    "--no-dangerous", is_flag=True, help="Neither approval_mode none nor sandbox_mode full."
)
@click.option("--every-session", is_flag=True, help="Also what other clients keep.")
@click.option(
    "--rpm", type=_LIMIT, callback=_words, metavar="NUMBER", help="Most requests per minute."
)
@click.option("--turns", type=_LIMIT, callback=_words, metavar="NUMBER", help="Most turns at once.")
@click.option(
    "--tokens-per-day", type=_LIMIT, callback=_words, metavar="NUMBER",
    help="Most tokens per day (UTC), input and output together.",
)  # fmt: skip
def generate(
    name: str, *, save: bool, no_dangerous: bool, every_session: bool, **words: list[str]
) -> None:
    """Make a key, print it, and keep its digest.

    It is printed this once: nobody can read it from the digest.
    """
    scopes = [word for option in words.values() for word in option]
    scopes += ["dangerous=no"] if no_dangerous else []
    scopes += ["every_session=yes"] if every_session else []
    try:
        limits = Scopes.parse(scopes)
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    text = new_key()
    key = Key(name, Key.of(text).digest, limits)

    def add(before: list[Key]) -> list[Key]:
        if any(other.name == name for other in before):
            raise click.ClickException(
                f"there is a key {name!r}: give another --name, or revoke it first"
            )
        return [*before, key]

    change(_path(KEY_FILE), add)
    if save:
        write_private(_path(CLIENT_KEY_FILE), f"{text}\n")
    click.echo(text)
    click.echo(
        f"Kept as {name!r} in {_path(KEY_FILE)}; a running clinvk takes it at SIGHUP.", err=True
    )


@keys.command("list")
def list_keys() -> None:
    """List the keys of the key file: names, beginnings of the digests, scopes."""
    try:
        found = read(_path(KEY_FILE))
    except FileNotFoundError:
        found = []
    for key in found:
        scopes = " ".join(key.scopes.words()) or "no limits"
        click.echo(f"{key.name}  sha256:{key.digest.hex()[:8]}  {scopes}")
    if not found:
        click.echo(f"There are no keys in {_path(KEY_FILE)}.", err=True)


@keys.command()
@click.argument("name")
def revoke(name: str) -> None:
    """Forget the key of that name.

    A running daemon refuses it from the next SIGHUP on. The last key leaves a file without keys,
    with which nobody comes in; remove the file to do without keys.
    """
    revoked: list[Key] = []

    def remove(before: list[Key]) -> list[Key]:
        revoked.extend(key for key in before if key.name == name)
        if not revoked:
            known = ", ".join(key.name for key in before) or "none"
            raise click.ClickException(f"there is no key {name!r}; there are: {known}")
        return [key for key in before if key.name != name]

    change(_path(KEY_FILE), remove)
    client = _path(CLIENT_KEY_FILE)
    with suppress(OSError):  # there mostly is none
        if digest_of(client.read_bytes().strip()) in {key.digest for key in revoked}:
            client.unlink()
    click.echo(f"Revoked {name!r}; a running clinvk refuses it from SIGHUP on.", err=True)


def _path(name: str) -> Path:
    return home_directory(os.environ) / name
