"""Every failure clinvk reports, as one hierarchy.

    ClinvkError                      status  code
      InvalidRequest                 400     invalid_request
        BackendRefused               400     backend_refused
        LoopDetected                 400     loop_detected
      Unauthorized                   401     unauthorized
      Forbidden                      403     forbidden
      NotFound                       404     not_found
      MethodNotAllowed               405     method_not_allowed
      Conflict                       409     conflict
        AnswerGone                   409     answer_gone
      RequestTimeout                 408     request_timeout
      PayloadTooLarge                413     payload_too_large
      UnsupportedMediaType           415     unsupported_media_type
      RateLimited                    429     rate_limited
      Canceled                       499     canceled
      InternalError                  500     internal_error
        BackendError                 500     backend_error
      BackendUnavailable             503     backend_unavailable
        AgentExited                  503     agent_exited
        ShuttingDown                 503     shutting_down
      StoreUnavailable               503     store_unavailable
      TurnTimeout                    504     turn_timeout
    ConfigError                      start-up only; the command line prints it
      ConfigUnavailable              the same, and worth another start

An error carries its HTTP status and its stable code as class attributes, and per instance the
message for the caller, the request field it is about, and when to try again.
Dialects turn them into their own envelope; nothing here knows HTTP beyond the number.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class ClinvkError(Exception):
    """A failure with a message that may be shown to the caller.

    Attributes:
        message: what went wrong and what to do about it; never contains secrets or traces.
        param: path of the request field at fault (``workdir``, ``messages[2].role``), or None.
        retry_after: whole seconds after which the same request may succeed, or None.
        details: machine-readable members that a dialect adds to its error, or None.
        may_retry: whether clients are told to try again or not to; None leaves it to the status.
    """

    status = 500
    code = "internal_error"
    type = "server_error"
    default_retry_after: int | None = None
    may_retry: bool | None = None

    def __init__(
        self,
        message: str,
        *,
        param: str | None = None,
        retry_after: int | None = None,
        details: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.retry_after = self.default_retry_after if retry_after is None else retry_after
        self.details = details


class InvalidRequest(ClinvkError):
    """The request cannot be served as it was written."""

    status = 400
    code = "invalid_request"
    type = "invalid_request_error"


class BackendRefused(InvalidRequest):
    """The agent, or the provider behind it, refused this request: sending it again is useless."""

    code = "backend_refused"


class LoopDetected(InvalidRequest):
    """The client repeats itself and gets nowhere."""

    code = "loop_detected"
    may_retry = False


class Unauthorized(ClinvkError):
    """No valid credential came with the request."""

    status = 401
    code = "unauthorized"
    type = "authentication_error"


class Forbidden(ClinvkError):
    """Policy refuses it: a workdir, a Host or an Origin that is not allowed."""

    status = 403
    code = "forbidden"
    type = "permission_error"


class NotFound(ClinvkError):
    """No such route, backend or session."""

    status = 404
    code = "not_found"
    type = "not_found_error"


class MethodNotAllowed(ClinvkError):
    """The route exists, the method does not."""

    status = 405
    code = "method_not_allowed"
    type = "invalid_request_error"


class Conflict(ClinvkError):
    """It meets something that is under way, or was asked differently before."""

    status = 409
    code = "conflict"
    type = "invalid_request_error"


class AnswerGone(Conflict):
    """The request was carried out before, and its answer is not there any more."""

    code = "answer_gone"


class RequestTimeout(ClinvkError):
    """The body did not arrive within ``server.read_timeout_secs``."""

    status = 408
    code = "request_timeout"
    type = "timeout_error"


class PayloadTooLarge(ClinvkError):
    """The body is over ``server.max_request_body_bytes``."""

    status = 413
    code = "payload_too_large"
    type = "invalid_request_error"


class UnsupportedMediaType(ClinvkError):
    """The body is not declared as JSON."""

    status = 415
    code = "unsupported_media_type"
    type = "invalid_request_error"


class RateLimited(ClinvkError):
    """Too many requests, by our limit or by the provider's.

    Clients wait for `retry_after` before they try again, so there always is one; agents rarely
    pass on how long the provider wants.
    """

    default_retry_after = 5

    status = 429
    code = "rate_limited"
    type = "rate_limit_error"


class Canceled(ClinvkError):
    """It was stopped before its end, as somebody asked; seen in results and streams only."""

    status = 499
    code = "canceled"
    type = "canceled"


class InternalError(ClinvkError):
    """A defect of clinvk; the trace is in the log under the request id."""


class BackendError(InternalError):
    """The agent reported a failure of its own or of its provider."""

    code = "backend_error"
    type = "backend_error"


class BackendUnavailable(ClinvkError):
    """The backend cannot take the request now: not installed, not logged in, full, or down."""

    status = 503
    code = "backend_unavailable"
    type = "unavailable_error"


class AgentExited(BackendUnavailable):
    """The agent's process ended in the middle of the turn."""

    code = "agent_exited"


class ShuttingDown(BackendUnavailable):
    """The daemon is stopping and takes no new work."""

    code = "shutting_down"


class StoreUnavailable(ClinvkError):
    """What is kept on disk cannot be read or written now: read-only, full, locked or damaged."""

    status = 503
    code = "store_unavailable"
    type = "unavailable_error"


class TurnTimeout(ClinvkError):
    """A turn went over its first-byte, idle or total budget."""

    status = 504
    code = "turn_timeout"
    type = "timeout_error"


class ConfigError(Exception):
    """The configuration is wrong; the text names each key, what was given and what is allowed."""


class ConfigUnavailable(ConfigError):
    """What the configuration names cannot be read now, but may be later: starting again helps."""
