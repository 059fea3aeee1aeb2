"""The daemon itself: whether it answers, or who else has its port."""

from __future__ import annotations

import socket
from collections.abc import Iterator

from ..service import health
from .finding import Finding, Patient

_PATIENCE = 5.0  # seconds for an answer


def check_address(patient: Patient) -> Iterator[Finding]:
    """Who answers where the daemon should listen."""
    host, port = health.address(patient.settings.server)
    where = f"{host}:{port}"
    if port == 0:
        yield Finding("port", "warn", "server.port is 0: no client can know it", "set server.port")
        return
    try:
        socket.create_connection((host, port), _PATIENCE).close()
    except ConnectionRefusedError:
        remedy = "clinvk service install, or clinvk serve"
        if patient.service is not None:
            remedy = "sudo clinvk service start --system"
        yield Finding("port", "warn", f"nobody listens on {where}", remedy)
        return
    except OSError as error:
        yield Finding("port", "fail", f"{where}: {error}", "correct server.host")
        return
    who = f"who it is: ss -ltnp 'sport = :{port}'"
    try:
        answer = health.ask(host, port, _PATIENCE)
    except OSError as error:
        detail = f"somebody listens on {where} and does not answer: {error}"
        yield Finding("port", "fail", detail, f"if it is clinvk, look at its log; {who}")
        return
    if answer is None:
        remedy = f"stop it, or set server.port; {who}"
        yield Finding("port", "fail", f"another program listens on {where}", remedy)
        return
    status = str(answer["status"])
    detail = f"clinvk answers on {where}: {status}"
    if status == "ok":
        yield Finding("port", "ok", detail)
    else:
        yield Finding("port", "warn", detail, f"curl http://{where}/health, and its log")
