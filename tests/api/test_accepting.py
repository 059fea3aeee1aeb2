"""What a caller accepts: the weights of `Accept`, on one line or on several."""

from __future__ import annotations

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request
from multidict import CIMultiDict

from clinvkd.api.accepting import accepted
from clinvkd.api.endpoint import JSON
from clinvkd.api.stream import EVENT_STREAM, NDJSON


def asking(*lines: str) -> web.Request:
    headers = CIMultiDict(("Accept", line) for line in lines)
    return make_mocked_request("POST", "/", headers=headers)


@pytest.mark.parametrize(
    ("lines", "given"),
    [
        ([], JSON),
        ([""], JSON),
        (["*/*"], JSON),
        (["text/*"], JSON),
        (["text/html"], JSON),
        (["text/event-stream-not"], JSON),
        (["text/event-stream"], EVENT_STREAM),
        (["Text/Event-Stream; charset=utf-8"], EVENT_STREAM),
        (["application/x-ndjson"], NDJSON),
        (["application/json", "text/event-stream"], EVENT_STREAM),
        (["text/event-stream", "application/json"], EVENT_STREAM),
        (["text/event-stream, */*"], EVENT_STREAM),
        (["application/x-ndjson, text/event-stream"], EVENT_STREAM),
        (["application/x-ndjson, text/event-stream;q=0.5"], NDJSON),
        (["application/x-ndjson;q=0.4, text/event-stream ; Q=0.5"], EVENT_STREAM),
        (["application/json, text/event-stream;q=0"], JSON),
        (["text/event-stream;q=0.000"], JSON),
        (["application/json, text/event-stream;q=0.9"], JSON),
        (["application/*;q=0.8, text/event-stream;q=0.7, */*;q=0.1"], JSON),
        (["application/json;q=0.5, text/event-stream;q=0.7, */*"], EVENT_STREAM),
        (["text/event-stream;q=soon, application/json;q=0.9"], EVENT_STREAM),
    ],
)
def test_a_stream_goes_to_who_likes_it_best(lines: list[str], given: str) -> None:
    assert accepted(asking(*lines), (EVENT_STREAM, NDJSON), JSON) == given


@pytest.mark.parametrize(
    ("accept", "given"),
    [
        ("*/*", EVENT_STREAM),
        ("application/json", EVENT_STREAM),
        ("application/x-ndjson, */*;q=0.1", NDJSON),
        ("application/x-ndjson;q=0.5, text/event-stream", EVENT_STREAM),
        ("application/x-ndjson;q=0", EVENT_STREAM),
    ],
)
def test_the_default_may_be_a_stream(accept: str, given: str) -> None:
    assert accepted(asking(accept), (NDJSON,), EVENT_STREAM) == given
