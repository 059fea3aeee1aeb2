"""The JSON Schema of the configuration file, for editors and checkers."""

from __future__ import annotations

from typing import Any

from .settings import Settings
from .sources import built_in_backends


def json_schema() -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of what may stand in the file.

    The file changes built-in backends key by key, so only other backends need all their keys.
    """
    schema = Settings.model_json_schema()
    required = schema["$defs"]["BackendSettings"].pop("required")
    backends = schema["properties"]["backends"]
    ((pattern, backend),) = backends.pop("patternProperties").items()
    backends["properties"] = dict.fromkeys(built_in_backends(), backend)
    backends["propertyNames"] = {"pattern": pattern}
    backends["additionalProperties"] = {"allOf": [backend], "required": required}
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}
