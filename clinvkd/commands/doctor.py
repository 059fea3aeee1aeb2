"""`clinvk doctor`: all checks, each with its remedy."""

from __future__ import annotations

import os
from dataclasses import asdict
from pathlib import Path

import click

from .. import log
from ..config import LogSettings
from ..doctor import Finding, examine, examine_service, is_meant, is_permitted
from .exit_status import EX_NOPERM, FAILED, OK
from .terminal import Terminal, printable

_COLOURS = {"ok": "green", "warn": "yellow", "fail": "red"}


@click.command()
@click.option(
    "--config", "path", type=click.Path(path_type=Path), metavar="FILE",
    help="Configuration file.  [default: $CLINVK_CONFIG, else ~/.clinvk/config.yaml]",
)  # fmt: skip
@click.option(
    "--system", is_flag=True,
    help="Examine the service of the machine (as root, or its user). Root means it anyway where it"
    " is installed and names neither a file nor CLINVK_CONFIG or CLINVK_HOME.",
)  # fmt: skip
@click.option(
    "--json", "as_json", is_flag=True,
    help="Print a list of objects with `check`, `verdict`, `detail` and `remedy`.",
)  # fmt: skip
@click.pass_context
def doctor(ctx: click.Context, *, path: Path | None, system: bool, as_json: bool) -> None:
    """Look for whatever could keep clinvk from working, and tell what to do about it.

    Nothing is changed, and no prompt is sent. Run it as the user that runs clinvk. The exit status
    is 1 if anything fails, and 0 if there are warnings only.
    """
    if system and path is not None:
        raise click.UsageError("--system is for the service, which has its own file: no --config")
    if system and not is_permitted():
        click.echo(
            "clinvk: --system looks at files of that service: run it as root (sudo)", err=True
        )
        ctx.exit(EX_NOPERM)
    log.set_up(LogSettings(level="warning"))  # to standard error, away from the findings
    if system or (path is None and is_meant(os.environ)):
        examination = examine_service(os.environ)
    else:
        examination = examine(path, os.environ)
    findings = []
    for finding in examination:
        findings.append(finding)
        if not as_json:
            _show(finding)
    if as_json:
        Terminal().document([asdict(finding) for finding in findings])
    else:
        counts = {verdict: sum(f.verdict == verdict for f in findings) for verdict in _COLOURS}
        click.echo(", ".join(f"{count} {verdict}" for verdict, count in counts.items()))
    ctx.exit(FAILED if any(finding.verdict == "fail" for finding in findings) else OK)


def _show(finding: Finding) -> None:
    verdict = click.style(f"{finding.verdict:<4}", fg=_COLOURS[finding.verdict])
    click.echo(f"{verdict}  {finding.check:<24} {printable(finding.detail)}")
    if finding.remedy:
        click.echo(f"{'':<31}-> {finding.remedy}")
