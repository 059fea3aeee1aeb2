"""`clinvk service`: installs clinvk for the service manager of this machine, and runs its verbs."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import click

from ..config import Settings
from ..pool.locate import Found
from ..service import health
from ..service import system as machine
from ..service.installation import Command, File, Installation, Manager, own_program, render
from ..service.launchd import Launchd
from ..service.systemd import Systemd
from .exit_status import EX_NOPERM, EX_UNAVAILABLE, FAILED

_READY_SECS = 60.0

system_option = click.option(
    "--system", is_flag=True, help="For the whole machine, as its user `clinvk` (systemd only)."
)
dry_run_option = click.option(
    "--dry-run", is_flag=True, help="Print all files and commands, and change nothing."
)
platform_option = click.option(
    "--platform", type=click.Choice(["systemd", "launchd"]),
    help="Service manager; another one than this machine's with --dry-run only.",
)  # fmt: skip


@click.group()
def service() -> None:
    """Install and run clinvk as a service.

    On Linux it becomes a unit of systemd, on macOS an agent of launchd: of your own session, unless
    `--system` asks for one of the machine.
    """


@service.command()
@system_option
@dry_run_option
@platform_option
@click.pass_context
def install(ctx: click.Context, *, system: bool, dry_run: bool, platform: str | None) -> None:
    """Write its files, enable it, start it, and wait until it is ready.

    The programs of the agents are looked up as in this shell, and its PATH is recorded, because a
    service manager has another one. Doing it again changes what has changed, and nothing else.
    """
    settings = machine.settings() if system else Settings.load()
    installation = _installation(settings, system=system)
    manager = _manager(installation, platform, dry_run=dry_run)
    folders, files = manager.folders(), manager.files()
    unwanted = [path for path in manager.unwanted() if path.exists()]
    if dry_run:
        removed = [Command(("rm", str(path))) for path in unwanted]
        click.echo(render(folders, files, [*removed, *manager.enable(changed=True)]), nl=False)
    if obstacle := installation.obstacle():
        raise click.UsageError(
            f"the service of the machine cannot look into homes, and of this clinvk {obstacle} is"
            " in one: install clinvk by a package, or below /opt or /usr/local"
        )
    if dry_run:
        return
    _need_root(ctx, system=system)
    _show_programs(installation)
    changed = _write(folders, files)
    changed = _remove(unwanted) or changed
    _run(ctx, manager.enable(changed=changed))
    _wait_until_ready(ctx, installation.settings)
    click.echo("It runs, and will after the next start of the machine.")
    if not system and isinstance(manager, Systemd):
        click.echo("To have it run while you are not logged in: loginctl enable-linger")


@service.command()
@system_option
@dry_run_option
@platform_option
@click.pass_context
def uninstall(ctx: click.Context, *, system: bool, dry_run: bool, platform: str | None) -> None:
    """Stop it and remove what `install` wrote.

    Configuration, keys, sessions and logs stay.
    """
    manager = _manager(_installation(system=system), platform, dry_run=dry_run)
    paths = manager.removable()
    if dry_run:
        removed = [Command(("rm", "-f", str(path))) for path in paths]
        for command in [*manager.disable(), *removed, *manager.removed()]:
            click.echo(command)
        return
    _need_root(ctx, system=system)
    _run(ctx, manager.disable())
    _remove(paths)
    _run(ctx, manager.removed())


def _verb(name: str, summary: str) -> Callable[..., Any]:
    """A command that is one verb of the service manager."""

    @click.pass_context
    def run(ctx: click.Context, *, system: bool) -> None:
        manager = _manager(_installation(system=system), None, dry_run=False)
        commands: Callable[[], Sequence[Command]] = getattr(manager, name)
        _run(ctx, commands())

    run.__doc__ = summary
    return service.command(name)(system_option(run))


start = _verb("start", "Start it.")
stop = _verb("stop", "Stop it until it is started again, or the machine is.")
restart = _verb("restart", "Restart it; who connects meanwhile waits.")
status = _verb("status", "Tell how it is, in the words of the service manager.")


@service.command()
@system_option
@click.option(
    "-n", "--lines", type=click.IntRange(min=0), default=100, show_default=True, metavar="NUMBER",
    help="Lines of the end.",
)  # fmt: skip
@click.option("-f", "--follow", is_flag=True, help="Go on with what comes.")
@click.pass_context
def logs(ctx: click.Context, *, system: bool, lines: int, follow: bool) -> None:
    """Show its log."""
    manager = _manager(_installation(system=system), None, dry_run=False)
    _run(ctx, manager.logs(lines=lines, follow=follow))


def _installation(settings: Settings | None = None, *, system: bool) -> Installation:
    """Only `install` needs to know the settings: a wrong one must not keep anybody from the rest,
    the log least of all.
    """
    return Installation(
        program=own_program(sys.argv[0]),
        home=machine.HOME if system else Path(os.environ.get("HOME") or Path.home()),
        user=os.getuid(),
        settings=settings or Settings(),
        environ=os.environ,
        system=system,
    )


def _manager(installation: Installation, platform: str | None, *, dry_run: bool) -> Manager:
    here = "launchd" if sys.platform == "darwin" else "systemd"
    wanted = platform or here
    if wanted != here and not dry_run:
        raise click.UsageError(f"this machine has {here}; print another one's files with --dry-run")
    if wanted == "launchd":
        if installation.system:
            raise click.UsageError("--system is for systemd; launchd runs agents of users only")
        return Launchd(installation)
    return Systemd(installation)


def _need_root(ctx: click.Context, *, system: bool) -> None:
    if system and os.geteuid() != 0:
        click.echo("clinvk: --system changes the machine: run it as root (sudo)", err=True)
        ctx.exit(EX_NOPERM)


def _show_programs(installation: Installation) -> None:
    """Which agents the service will find, and which only this shell does."""
    reached = installation.within_reach()
    missed = False
    for name, found in installation.programs().items():
        if name in reached:
            shown = str(reached[name].path)
        elif isinstance(found, Found):
            missed = True
            shown = f"{found.path}: found, but not for the service"
        else:
            shown = "not found"
        click.echo(f"{name:<10} {shown}")
    if missed and installation.system:
        click.echo("It cannot look into homes: install those agents below /usr/local, for example.")
    elif missed:
        click.echo("It uses no folder that everybody can change: chmod o-w, then install again.")


def _write(folders: Iterable[Path], files: Iterable[File]) -> bool:
    """Write what is not as it should be; whether anything was."""
    for folder in folders:
        folder.mkdir(parents=True, exist_ok=True)
    changed = False
    for file in files:
        exists = file.path.exists()
        if exists and (file.kept or file.path.read_text("utf-8") == file.text):
            continue
        file.path.parent.mkdir(parents=True, exist_ok=True)
        temporary = file.path.with_name(f".{file.path.name}.new")
        temporary.write_text(file.text, "utf-8")
        temporary.chmod(file.mode)
        temporary.replace(file.path)
        click.echo(f"{'changed' if exists else 'wrote'} {file.path}")
        changed = True
    return changed


def _remove(paths: Iterable[Path]) -> bool:
    """Remove what is there, and drop-ins' folders that are empty then; whether anything was."""
    removed = False
    for path in paths:
        if path.exists():
            path.unlink()
            click.echo(f"removed {path}")
            removed = True
        folder = path.parent
        if folder.suffix == ".d" and folder.name.startswith("clinvk.") and folder.is_dir():
            with suppress(OSError):  # somebody else has a drop-in there
                folder.rmdir()
    return removed


def _run(ctx: click.Context, commands: Iterable[Command]) -> None:
    """Run commands in view; the first that fails ends ours with its status."""
    for command in commands:
        try:
            done = subprocess.run(
                command.argv, check=False, stderr=subprocess.DEVNULL if command.may_fail else None
            )
        except FileNotFoundError:
            click.echo(f"clinvk: there is no {command.argv[0]} on this machine", err=True)
            ctx.exit(EX_UNAVAILABLE)
        except KeyboardInterrupt:
            ctx.exit(0)  # the end of `logs --follow`
        if done.returncode and not command.may_fail:
            if command.argv[0] in ("systemctl", "launchctl") and "status" not in command.argv:
                click.echo(f"clinvk: `{command}` failed", err=True)
                _show_help(ctx)
            ctx.exit(done.returncode if done.returncode > 0 else FAILED)


def _wait_until_ready(ctx: click.Context, settings: Settings) -> None:
    """Wait for the first answer: the service manager's socket holds the question until then."""
    host, port = health.address(settings.server)
    try:
        answer = health.ask(host, port, _READY_SECS)
    except OSError as error:
        wrong = f"no answer on {host}:{port}: {error}"
    else:
        if answer is not None:
            return
        wrong = f"another program answers on {host}:{port}"
    click.echo(f"clinvk: {wrong}", err=True)
    _show_help(ctx)
    ctx.exit(EX_UNAVAILABLE)


def _show_help(ctx: click.Context) -> None:
    option = " --system" if ctx.params.get("system") else ""
    click.echo(f"Its log: clinvk service logs{option}; all checks: clinvk doctor{option}", err=True)
