"""The command line: `clinvk serve`, `clinvk config ...`, `clinvk version`.

Exit statuses: 0 when all went well, 2 for a command line that makes no sense, 78 (`EX_CONFIG` of
sysexits.h, which service managers know not to restart after) for a wrong configuration.
"""

from __future__ import annotations

import json
import os
from functools import partial
from pathlib import Path
from typing import Any

import click

from . import __version__
from .config import Settings, config_path, json_schema, render
from .errors import ConfigError

EX_CONFIG = 78


class WrongConfiguration(click.ClickException):
    """A `ConfigError` as the command line shows it: one indented line per problem, no trace."""

    exit_code = EX_CONFIG

    def show(self, file: Any = None) -> None:
        """Write the problems to standard error, or to `file`."""
        click.echo("clinvk: the configuration is wrong:", file=file, err=file is None)
        for line in self.message.splitlines():
            click.echo(f"  {line}", file=file, err=file is None)


class Commands(click.Group):
    """The commands, each of which may end with a `ConfigError`."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command that was asked for."""
        try:
            return super().invoke(ctx)
        except ConfigError as error:
            raise WrongConfiguration(str(error)) from error


config_option = click.option(
    "--config",
    "path",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Configuration file.  [default: $CLINVK_CONFIG, else ~/.clinvk/config.yaml]",
)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, message="%(prog)s %(version)s")
def main() -> None:
    """Turn installed AI command-line agents into HTTP APIs.

    Settings come from flags, then CLINVK_* variables, then the configuration file.
    """


@main.command()
@config_option
@click.option("--host", help="Address to listen on.  [server.host]")
@click.option("-p", "--port", type=int, help="Port to listen on, 0 for any.  [server.port]")
@click.option("-b", "--backend", help="Backend of requests that name none.  [default_backend]")
@click.pass_context
def serve(
    ctx: click.Context, path: Path | None, host: str | None, port: int | None, backend: str | None
) -> None:
    """Start the daemon and serve until it is told to stop."""
    from .server import serve as run  # the other commands need no web server

    server = {key: value for key, value in (("host", host), ("port", port)) if value is not None}
    overrides: dict[str, Any] = {"server": server} if server else {}
    if backend is not None:
        overrides["default_backend"] = backend
    ctx.exit(run(partial(Settings.load, path, overrides)))


@main.group()
def config() -> None:
    """Look at the configuration."""


@config.command()
@config_option
def show(path: Path | None) -> None:
    """Print the effective settings, and where each that is not built in comes from."""
    click.echo(render(*Settings.load_with_sources(path)), nl=False)


@config.command("path")
@config_option
def print_path(path: Path | None) -> None:
    """Print the path of the configuration file, whether or not it exists."""
    click.echo(config_path(path, os.environ)[0])


@config.command()
def schema() -> None:
    """Print the JSON Schema of the configuration file."""
    click.echo(json.dumps(json_schema(), indent=2))


@main.command()
def version() -> None:
    """Print the version."""
    click.echo(f"clinvk {__version__}")
