"""The command line: puts the commands together; all but `serve` and `config` are in `commands`.

What its exit statuses mean is in `commands.exit_status`. A wrong configuration has one of its own
(78), which service managers know not to restart after, and so has one that may be right at
another start (75).
"""

from __future__ import annotations

import json
import os
from functools import partial
from pathlib import Path
from typing import Any

import click

from . import __version__
from .commands.exit_status import EX_CONFIG, EX_TEMPFAIL
from .commands.lazy import Lazy, LazyGroup
from .commands.terminal import open_missing_streams
from .errors import ConfigError, ConfigUnavailable

__all__ = ["EX_CONFIG", "EX_TEMPFAIL", "main"]


class WrongConfiguration(click.ClickException):
    """A `ConfigError` as the command line shows it: one indented line per problem, no trace."""

    exit_code = EX_CONFIG

    def show(self, file: Any = None) -> None:
        """Write the problems to standard error, or to `file`."""
        click.echo("clinvk: the configuration is wrong:", file=file, err=file is None)
        for line in self.message.splitlines():
            click.echo(f"  {line}", file=file, err=file is None)


class UnreadNow(WrongConfiguration):
    """The same for what may be right at another start."""

    exit_code = EX_TEMPFAIL


class Commands(LazyGroup):
    """The commands, each of which may end with a `ConfigError`."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command that was asked for."""
        try:
            return super().invoke(ctx)
        except ConfigError as error:
            kind = UnreadNow if isinstance(error, ConfigUnavailable) else WrongConfiguration
            raise kind(str(error)) from error


config_option = click.option(
    "--config",
    "path",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Configuration file.  [default: $CLINVK_CONFIG, else ~/.clinvk/config.yaml]",
)


COMMANDS = {
    "keys": Lazy(".keys:keys", "Make, list and revoke API keys."),
    "prompt": Lazy(".prompt:prompt", "Ask an agent, and print its answer as it comes."),
    "chat": Lazy(".chat:chat", "Talk with an agent; /help tells what else can be typed."),
    "resume": Lazy(".prompt:resume", "Go on with a session."),
    "sessions": Lazy(".sessions:sessions", "List, show and delete stored sessions."),
    "parallel": Lazy(".workflows:parallel", "Run several prompts at once."),
    "chain": Lazy(
        ".workflows:chain",
        "Run prompts one after the other, each with what those before it answered.",
    ),
    "compare": Lazy(
        ".workflows:compare", "Ask several backends the same, and show their answers side by side."
    ),
    "approve": Lazy(".approving:approve", "Let an agent do what it asks for, or refuse it."),
    "jobs": Lazy(".jobs:jobs", "List, follow, cancel and resume jobs."),
    "usage": Lazy(".usage:usage", "Show requests, tokens and cost."),
    "service": Lazy(".service:service", "Install and run clinvk as a service."),
    "doctor": Lazy(".doctor:doctor", "Look for whatever could keep clinvk from working."),
}
"""Commands with modules of their own, imported when they are used."""


@click.group(cls=Commands, lazy=COMMANDS, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, message="%(prog)s %(version)s")
def main() -> None:
    """Turn installed AI command-line agents into HTTP APIs.

    Settings come from flags, then CLINVK_* variables, then the configuration file.
    """
    open_missing_streams()


@main.command()
@config_option
@click.option("--host", help="Address to listen on.  [server.host]")
@click.option("-p", "--port", type=int, help="Port to listen on, 0 for any.  [server.port]")
@click.option("-b", "--backend", help="Backend of requests that name none.  [default_backend]")
@click.option(
    "--log-file",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write the log there; a new one is begun at 10 MiB, and five old ones are kept.",
)
@click.pass_context
def serve(
    ctx: click.Context,
    path: Path | None,
    host: str | None,
    port: int | None,
    backend: str | None,
    log_file: Path | None,
) -> None:
    """Start the daemon and serve until it is told to stop."""
    from .quick_start import quick_imports

    with quick_imports():
        from .config import Settings
        from .server import serve as run  # the other commands need no web server
        from .service.activation import under_launchd

    server = {key: value for key, value in (("host", host), ("port", port)) if value is not None}
    overrides: dict[str, Any] = {"server": server} if server else {}
    if backend is not None:
        overrides["default_backend"] = backend
    try:
        ctx.exit(run(partial(Settings.load, path, overrides), log_file))
    except ConfigUnavailable:
        raise
    except ConfigError as error:
        if not under_launchd(os.environ):
            raise
        # launchd starts again whatever fails; another start would not change a configuration.
        WrongConfiguration(str(error)).show()
        ctx.exit(0)


@main.group()
def config() -> None:
    """Look at the configuration."""


@config.command()
@config_option
def show(path: Path | None) -> None:
    """Print the effective settings, and where each that is not built in comes from."""
    from .config import Settings, render

    click.echo(render(*Settings.load_with_sources(path)), nl=False)


@config.command("path")
@config_option
def print_path(path: Path | None) -> None:
    """Print the path of the configuration file, whether or not it exists."""
    from .config import config_path

    click.echo(config_path(path, os.environ)[0])


@config.command()
def schema() -> None:
    """Print the JSON Schema of the configuration file."""
    from .config import json_schema

    click.echo(json.dumps(json_schema(), indent=2))


@main.command()
def version() -> None:
    """Print the version."""
    click.echo(f"clinvk {__version__}")
