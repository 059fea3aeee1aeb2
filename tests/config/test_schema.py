"""The JSON Schema describes the file, where built-in backends need only what is changed."""

from __future__ import annotations

from clinvkd.config import Settings, json_schema
from clinvkd.config.sections import BackendSettings


def test_every_key_is_described() -> None:
    schema = json_schema()
    assert schema["properties"].keys() == Settings.model_fields.keys()
    backend = schema["$defs"]["BackendSettings"]
    assert backend["properties"].keys() == BackendSettings.model_fields.keys()
    for definition in (schema, *schema["$defs"].values()):
        assert definition["additionalProperties"] is False
        assert all(key.get("description") for key in definition["properties"].values())


def test_ranges_and_choices_are_told() -> None:
    definitions = json_schema()["$defs"]
    port = definitions["ServerSettings"]["properties"]["port"]
    assert (port["minimum"], port["maximum"]) == (0, 65535)
    assert definitions["LogSettings"]["properties"]["format"]["enum"] == ["auto", "json", "console"]


def test_only_new_backends_need_driver_and_command() -> None:
    backends = json_schema()["properties"]["backends"]
    assert backends["additionalProperties"]["required"] == ["driver", "command"]
    assert backends["properties"]["claude"] == {"$ref": "#/$defs/BackendSettings"}
    assert "required" not in json_schema()["$defs"]["BackendSettings"]
    assert backends["propertyNames"] == {"pattern": "^[a-z][a-z0-9_-]{0,31}$"}


def test_a_command_may_be_one_text() -> None:
    command = json_schema()["$defs"]["BackendSettings"]["properties"]["command"]
    assert [kind["type"] for kind in command["anyOf"]] == ["string", "array"]
