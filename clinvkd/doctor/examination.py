"""All checks, one after the other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from ..config import Settings, config_path
from ..errors import ConfigError
from .daemon import check_address
from .files import check_disk, check_files, check_keys
from .finding import Finding, Patient, Service, Verdict
from .machine import check_limits, check_path, check_python
from .programs import check_backends, check_node
from .unit import check_unit

__all__ = ["Finding", "Verdict", "examine"]

_CHECKS = (
    check_python, check_path, check_limits, check_files, check_keys, check_disk, check_node,
    check_backends, check_address, check_unit,
)  # fmt: skip


def examine(
    path: Path | None, shell: Mapping[str, str], service: Service | None = None
) -> Iterator[Finding]:
    """Do all checks; each finding is given when it is made. Blocking, up to some seconds.

    Args:
        path: the configuration file, by default where the daemon looks for it.
        shell: its environment.
        service: that of the machine, if it is to be examined.
    """
    environ = shell if service is None else service.environ
    file, _ = config_path(path, environ)
    try:
        settings = Settings.load(path, environ=environ)
    except ConfigError as error:
        settings = Settings()
        remedy = "correct it; `clinvk config schema` helps editors"
        for line in str(error).splitlines():
            yield Finding("configuration", "fail", line, remedy)
    else:
        kind = "is right" if file.exists() else "is not there, so everything has its default"
        yield Finding("configuration", "ok", f"{file} {kind}")
    patient = Patient(settings, file, shell, service)
    for check in _CHECKS:
        try:
            yield from check(patient)
        except Exception as error:  # noqa: BLE001 - the other checks are not to suffer for it
            detail = f"the check itself failed: {type(error).__name__}: {error}"
            remedy = "the other findings stand; this is a defect of clinvk, or a broken machine"
            yield Finding(check.__name__.removeprefix("check_"), "fail", detail, remedy)
