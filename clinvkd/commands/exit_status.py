"""The exit statuses of all commands; from 64 on they are those of sysexits.h."""

from __future__ import annotations

from collections.abc import Mapping

OK = 0
FAILED = 1
USAGE = 2
EX_DATAERR = 65
EX_UNAVAILABLE = 69
EX_SOFTWARE = 70
EX_IOERR = 74
EX_TEMPFAIL = 75
EX_NOPERM = 77
EX_CONFIG = 78
TIMED_OUT = 124
INTERRUPTED = 130
BROKEN_PIPE = 141

MEANINGS: Mapping[int, str] = {
    OK: "all went well; for `clinvk serve`: it was told to stop, and nothing is left behind",
    FAILED: "an agent failed at what it was asked, or one of several did; a job did not complete",
    USAGE: "the command line makes no sense, or a file that it names",
    EX_DATAERR: "the daemon refuses the request as it is, or there is no such session or job",
    EX_UNAVAILABLE: "no daemon answers; for `clinvk serve`: it cannot listen on its address",
    EX_SOFTWARE: "a defect of the daemon; its log tells more",
    EX_IOERR: "its output, or a file that it keeps, cannot be written, as on a full disk",
    EX_TEMPFAIL: (
        "not now, but maybe later: a backend is busy or not available, a limit is reached; for"
        " `clinvk serve`: it cannot read its API keys now, as from a locked store"
    ),
    EX_NOPERM: "the API key is missing, is wrong, or does not allow it",
    EX_CONFIG: "the configuration is wrong; every problem is on a line of its own",
    TIMED_OUT: "it took longer than `--timeout`",
    INTERRUPTED: "Ctrl-C; what it asked for was interrupted",
    BROKEN_PIPE: "nobody reads its output any more",
}

_BY_TYPE: Mapping[str, int] = {
    "invalid_request_error": EX_DATAERR,
    "not_found_error": EX_DATAERR,
    "authentication_error": EX_NOPERM,
    "permission_error": EX_NOPERM,
    "rate_limit_error": EX_TEMPFAIL,
    "unavailable_error": EX_TEMPFAIL,
    "unreachable": EX_UNAVAILABLE,
    "server_error": EX_SOFTWARE,
    "io_error": EX_IOERR,
    "usage": USAGE,
    "configuration": EX_CONFIG,
    "timed_out": TIMED_OUT,
    "interrupted": INTERRUPTED,
}


def exit_status_of(error_type: str) -> int:
    """The exit status for an error of the daemon's, or of a command's own; any other is an
    agent's failure.
    """
    return _BY_TYPE.get(error_type, FAILED)
