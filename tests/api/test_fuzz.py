"""Whatever JSON a caller sends, it gets an answer or is told what is wrong with it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from clinvkd.api.native.models import PromptRequest

from .service import SSE, Service, check_events, sse_events

pytestmark = pytest.mark.asyncio(loop_scope="session")

NAMES = sorted(PromptRequest.model_fields)

# Echo obeys what stands in double brackets; a machine that is told to fail may.
text = st.text(max_size=40).filter(lambda value: "[[" not in value)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | text,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(text, inner, max_size=4),
    max_leaves=8,
)
parts = st.lists(
    st.fixed_dictionaries({"type": st.just("text"), "text": text})
    | st.fixed_dictionaries(
        {"type": st.just("image"), "media_type": st.just("image/png"), "data": text}
    ),
    max_size=3,
)
content = text | parts
sensible: dict[str, st.SearchStrategy[Any]] = {
    "prompt": content,
    "backend": st.sampled_from(["echo", "echo", "claude", "ehco", None]),
    "messages": st.lists(
        st.fixed_dictionaries({"role": st.sampled_from(["user", "assistant"]), "content": content}),
        max_size=3,
    ),
    "model": st.sampled_from(["", "echo", "-x", "\0"]),
    "workdir": st.sampled_from(["", "/", "/tmp", "/etc", "tmp", "\0"]),
    "max_tokens": st.integers(-1, 3),
    "extra": st.lists(text, max_size=1),
    "metadata": st.dictionaries(text, text, max_size=2),
    "system_prompt": text,
    "dry_run": st.booleans(),
    "ephemeral": st.booleans(),
}
bodies = st.fixed_dictionaries(
    {"prompt": st.one_of(content, content, values)},
    optional={
        name: st.one_of(sensible.get(name, values), values) for name in NAMES if name != "prompt"
    }
    | {"unknown": values},
)


@settings(
    max_examples=200,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(body=bodies, stream=st.booleans())
async def test_no_body_is_a_defect_of_ours(
    service: Service, body: dict[str, Any], stream: bool
) -> None:
    with capture_logs() as log:
        answer = await service.post(body, headers=SSE if stream else None)
    assert answer.status < 500 or answer.status == 503, answer.text
    if answer.status != 200:
        assert answer.error["message"]
    elif answer.headers["Content-Type"] == "text/event-stream":
        check_events(sse_events(answer.text))
    assert not [line for line in log if line["log_level"] == "error"]
