"""The OpenAPI document: valid, complete, and true of what is really answered."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import yaml
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator
from referencing import Registry
from referencing.jsonschema import DRAFT202012

from clinvkd.api import DIALECTS
from clinvkd.api.dialect import Dialect
from clinvkd.api.endpoint import Endpoint

from .service import Answer, Service, eventually, ndjson, serving, sse_events

pytestmark = pytest.mark.asyncio(loop_scope="session")

SSE = "text/event-stream"
NDJSON = "application/x-ndjson"
DECLARED = [
    pytest.param(dialect, endpoint, id=f"{endpoint.method} {dialect.prefix}{endpoint.path}")
    for dialect in DIALECTS
    for endpoint in dialect.endpoints
]


@dataclass(frozen=True, slots=True)
class Document:
    """The document, and its operations by their ids."""

    whole: dict[str, Any]

    @property
    def operations(self) -> dict[str, tuple[str, str, dict[str, Any]]]:
        """Method, path and description of each."""
        return {
            operation["operationId"]: (method.upper(), path, operation)
            for path, item in self.whole["paths"].items()
            for method, operation in item.items()
        }

    def check(self, value: Any, schema: Any) -> None:
        """Whether a value is as a schema of the document says."""
        root = DRAFT202012.create_resource({**self.whole, "$id": "urn:openapi"})
        registry: Registry[Any] = Registry().with_resource("urn:openapi", root)
        schema = json.loads(json.dumps(schema).replace('"#/', '"urn:openapi#/'))
        Draft202012Validator(schema, registry=registry).validate(value)

    def check_answer(self, operation: str, answer: Answer) -> None:
        """Whether an answer is one of those that the document tells of."""
        described = self.operations[operation][2]["responses"][str(answer.status)]
        media_type = answer.headers["Content-Type"].partition(";")[0]
        content = described["content"][media_type]
        match media_type:
            case "application/json":
                self.check(answer.json, content["schema"])
            case _:
                events = [*events_of(media_type, answer.text)]
                assert events
                for event in events:
                    self.check(event, content["x-itemSchema"])


def events_of(media_type: str, text: str) -> Iterator[Any]:
    """What the events of a stream hold; OpenAI's last one is no JSON."""
    if media_type == NDJSON:
        yield from ndjson(text)
    else:
        assert media_type == SSE
        yield from sse_events(text.replace("data: [DONE]\n\n", ""))


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def document(service: Service) -> Document:
    async with service.client.get("/openapi.json") as response:
        assert (response.status, response.content_type) == (200, "application/json")
        return Document(await response.json())


async def test_a_start_costs_nothing_of_it() -> None:
    script = "import sys, clinvkd.server; print('clinvkd.api.openapi' in sys.modules)"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", script, stdout=asyncio.subprocess.PIPE
    )
    assert (await process.communicate())[0] == b"False\n"


async def test_the_document_is_valid(document: Document) -> None:
    OpenAPIV31SpecValidator(document.whole).validate()


async def test_the_yaml_says_the_same(service: Service, document: Document) -> None:
    async with service.client.get("/openapi.yaml") as response:
        assert (response.status, response.content_type) == (200, "application/yaml")
        assert yaml.safe_load(await response.text()) == document.whole


@pytest.mark.parametrize(("dialect", "endpoint"), DECLARED)
async def test_every_route_is_described(
    document: Document, dialect: type[Dialect], endpoint: Endpoint
) -> None:
    method, path, described = document.operations[endpoint.operation]
    assert method == endpoint.method
    assert path.startswith(dialect.prefix)
    assert described["summary"]
    assert described["description"]
    wanted = {str(returns.status) for returns in endpoint.returns}
    assert wanted, "it does not say what it returns"
    assert wanted <= set(described["responses"])
    if endpoint.body is not None:
        assert described["requestBody"]["content"]["application/json"]["examples"]


async def test_no_other_route_is_described(document: Document) -> None:
    declared = {endpoint.operation for d in DIALECTS for endpoint in d.endpoints}
    assert set(document.operations) == declared


async def test_operations_of_different_handlers_have_different_ids() -> None:
    handlers: dict[str, set[Any]] = {}
    for dialect in DIALECTS:
        for endpoint in dialect.endpoints:
            handlers.setdefault(endpoint.operation, set()).add(endpoint.handler)
    assert {name for name, found in handlers.items() if len(found) > 1} == set()


async def test_schemas_have_plain_names(document: Document) -> None:
    """A type whose name is not unique in its dialect would be named after its module."""
    assert [name for name in document.whole["components"]["schemas"] if not name.isalnum()] == []


async def test_the_examples_are_as_described(document: Document) -> None:
    for operation, (_, _, described) in document.operations.items():
        for content in described.get("requestBody", {}).get("content", {}).values():
            for example in content["examples"].values():
                document.check(example["value"], content["schema"])
        for response in described["responses"].values():
            for media_type, content in response.get("content", {}).items():
                if media_type == "application/json":
                    assert "example" in content or operation == "getOpenAPI", operation
                if "example" not in content:
                    continue
                if "x-itemSchema" not in content:
                    document.check(content["example"], content["schema"])
                    continue
                for event in events_of(media_type, content["example"]):
                    document.check(event, content["x-itemSchema"])


async def test_error_examples_are_as_described(document: Document) -> None:
    for response in document.whole["components"]["responses"].values():
        content = response["content"]["application/json"]
        for example in content["examples"].values():
            document.check(example["value"], content["schema"])


async def test_every_request_example_is_answered_as_described(
    service: Service, document: Document
) -> None:
    asked = 0
    for operation, (method, path, described) in document.operations.items():
        content = described.get("requestBody", {}).get("content", {}).get("application/json")
        if content is None or "{" in path:
            continue
        for name, example in content["examples"].items():
            for accept in described["responses"]["200"]["content"]:
                answer = await ask(service, method, path, example["value"], accept)
                assert answer.status < 300, (operation, name, answer.text)
                document.check_answer(operation, answer)
                asked += 1
    assert asked > 20


async def test_what_can_be_looked_up_is_as_described(service: Service, document: Document) -> None:
    """Everything that is left behind by requests, from its listing to its end."""

    async def get(operation: str, path: str, method: str = "GET", body: Any = None) -> Any:
        answer = await ask(service, method, path, body)
        document.check_answer(operation, answer)
        return answer

    prompt = {"backend": "echo", "prompt": "hi"}
    session = (await get("sendPrompt", "/api/v1/prompt", "POST", prompt)).json["session_id"]
    place = f"/api/v1/sessions/{session}"
    await get("updateSession", place, "PATCH", {"title": "Hi", "tags": ["a"]})
    await get("listSessions", "/api/v1/sessions")
    await get("getSession", f"{place}?include=messages")
    copy = (await get("forkSession", f"{place}/fork", "POST")).json["id"]
    await get("deleteSession", f"/api/v1/sessions/{copy}", "DELETE")

    chain = {"steps": [prompt], "background": True}
    job = (await get("runChain", "/api/v1/chain", "POST", chain)).json["id"]
    await get("followJob", f"/api/v1/jobs/{job}/events")

    async def ended() -> bool:
        return "ended_at" in (await get("getJob", f"/api/v1/jobs/{job}")).json

    await eventually(ended)
    await get("listJobs", "/api/v1/jobs")
    await get("resumeJob", f"/api/v1/jobs/{job}/resume", "POST")
    await get("cancelJob", f"/api/v1/jobs/{job}", "DELETE")

    for operation, path in {
        "listBackends": "/api/v1/backends",
        "getUsage": "/api/v1/usage",
        "watchLive": "/api/v1/live?once=true",
        "listRequests": "/api/v1/requests",
        "getHealth": "/health",
        "listModels": "/openai/v1/models",
        "retrieveModel": "/openai/v1/models/echo",
        "listMessageModels": "/anthropic/v1/models",
        "retrieveMessageModel": "/anthropic/v1/models/echo",
    }.items():
        await get(operation, path)

    body = {"model": "echo", "input": "hi", "background": True}
    response = (await get("createResponse", "/openai/v1/responses", "POST", body)).json["id"]
    place = f"/openai/v1/responses/{response}"
    await get("getResponse", place)
    await get("listInputItems", f"{place}/input_items")
    await get("cancelResponse", f"{place}/cancel", "POST")
    await get("deleteResponse", place, "DELETE")


@pytest.mark.parametrize(
    ("operation", "method", "path", "body"),
    [
        ("sendPrompt", "POST", "/api/v1/prompt", {"backend": "nobody", "prompt": "hi"}),
        ("getSession", "GET", "/api/v1/sessions/ffffffff", None),
        ("createChatCompletion", "POST", "/openai/v1/chat/completions", {"model": "echo"}),
        ("getResponse", "GET", "/openai/v1/responses/resp_none", None),
        ("createMessage", "POST", "/anthropic/v1/messages", {"model": "echo"}),
        ("getDashboardAsset", "GET", "/dashboard/none", None),
        ("getDocsAsset", "GET", "/docs/none", None),
    ],
)
async def test_errors_are_as_described(
    service: Service, document: Document, operation: str, method: str, path: str, body: Any
) -> None:
    answer = await ask(service, method, path, body)
    assert answer.status >= 400
    described = document.operations[operation][2]["responses"][str(answer.status)]
    component = document.whole["components"]["responses"][described["$ref"].rpartition("/")[2]]
    document.check(answer.json, component["content"]["application/json"]["schema"])
    assert all(name in answer.headers for name in component["headers"] if name != "Retry-After")


async def test_a_wrong_key_is_described_everywhere(document: Document) -> None:
    """Where none is needed, too; that it is refused there is a test of the gate."""
    silent = [
        name for name, (*_, told) in document.operations.items() if "401" not in told["responses"]
    ]
    assert silent == []


@pytest.mark.parametrize(
    ("operation", "path"),
    [
        ("getDashboard", "/"),
        ("getDashboardAsset", "/dashboard/main.js"),
        ("getDocs", "/docs"),
        ("getDocsAsset", "/docs/reference.js"),
    ],
)
@pytest.mark.parametrize(
    ("name", "value", "status"),
    [
        ("If-None-Match", "*", 304),
        ("Range", "bytes=0-10", 206),
        ("Range", "bytes=9999999-", 416),
        ("If-Match", '"x"', 412),
        ("If-Unmodified-Since", "Thu, 01 Jan 1970 00:00:00 GMT", 412),
    ],
)
async def test_conditions_and_ranges_are_as_described(
    service: Service,
    document: Document,
    operation: str,
    path: str,
    name: str,
    value: str,
    status: int,
) -> None:
    async with service.client.get(path, headers={name: value}) as response:
        assert response.status == status
        described = document.operations[operation][2]["responses"][str(status)]
        assert (await response.read() != b"") == ("content" in described)
        assert response.content_type in described.get("content", [response.content_type])


async def test_both_forms_of_the_metrics_are_described(document: Document, tmp_path: Path) -> None:
    described = document.operations["getMetrics"][2]["responses"]["200"]["content"]
    async with serving(tmp_path, server={"metrics_enabled": True}) as service:
        for asked in ("text/plain", "application/openmetrics-text; version=1.0.0"):
            async with service.client.get("/metrics", headers={"Accept": asked}) as response:
                assert response.content_type == asked.partition(";")[0]
                assert response.content_type in described


async def test_a_header_that_is_read_is_described(service: Service, document: Document) -> None:
    parameters = document.operations["followJob"][2]["parameters"]
    (header,) = [one["name"] for one in parameters if one.get("in") == "header"]
    chain = {"steps": [{"backend": "echo", "prompt": "hi"}], "background": True}
    job = (await ask(service, "POST", "/api/v1/chain", chain)).json["id"]
    place = f"/api/v1/jobs/{job}/events"
    whole = await ask(service, "GET", place, None, SSE)
    async with service.client.get(place, headers={"Accept": SSE, header: "1"}) as response:
        rest = await response.text()
    assert whole.text.endswith(rest)
    assert len(rest) < len(whole.text)


async def ask(
    service: Service, method: str, path: str, body: Any, accept: str = "application/json"
) -> Answer:
    """Send a request and read its answer."""
    headers: Mapping[str, str] = {"Accept": accept}
    async with service.client.request(method, path, json=body, headers=headers) as response:
        return await Answer.of(response)
