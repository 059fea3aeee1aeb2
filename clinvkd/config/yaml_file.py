"""Reads a YAML file into plain values and remembers on which line each stands.

The scalars are those of YAML 1.2's core schema, so `on`, `no`, `12:30` and `2025-01-01` are
text and `010` is ten; PyYAML's own 1.1 rules would guess. Keys are text and stand once.
"""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import yaml

from ..errors import ConfigError

KeyPath: TypeAlias = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Document:
    """The content of a file: plain values, and the line (from 1) of every key and item."""

    values: dict[str, Any]
    lines: dict[KeyPath, int]


def read(path: Path) -> Document:
    """Read a configuration file.

    Raises:
        FileNotFoundError: there is no such file.
        ConfigError: it cannot be read, is not UTF-8 or not YAML, repeats a key, has a key that
            is not text, or is not a mapping. The message names file and line, never the text
            that stands there.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: is not UTF-8 (byte {error.start})") from error
    try:
        root = yaml.compose(text, Loader=_CoreSchemaLoader)
    except yaml.MarkedYAMLError as error:
        line = f":{error.problem_mark.line + 1}" if error.problem_mark else ""
        raise ConfigError(f"{path}{line}: not valid YAML: {error.problem}") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: not valid YAML: contains a control character") from error
    if root is None or _plain_null(root):
        return Document({}, {})
    if not isinstance(root, yaml.MappingNode):
        raise ConfigError(f"{path}: must be a mapping of keys to values")
    reader = _Reader(path)
    return Document(reader.mapping(root, ()), reader.lines)


class _CoreSchemaLoader(yaml.SafeLoader):
    """Reads scalars by the core schema."""


class _CoreSchemaDumper(yaml.SafeDumper):
    """Quotes every text that either schema would read as something else."""


_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.inf|\.nan")
_SCALARS = {
    "null": (r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    "bool": (r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    "int": (r"[-+]?[0-9]+", list("-+0123456789")),
    "float": (_FLOAT.pattern, list("-+.0123456789")),
}
_CoreSchemaLoader.yaml_implicit_resolvers = {}
for _kind, (_pattern, _first) in _SCALARS.items():
    for _class in (_CoreSchemaLoader, _CoreSchemaDumper):
        _class.add_implicit_resolver(
            f"tag:yaml.org,2002:{_kind}", re.compile(f"^(?:{_pattern})$"), _first
        )


def scalar(value: str | float | bool | None) -> str:
    """A single value as `read` understands it, on one line."""
    escaped = isinstance(value, str) and not value.isprintable()
    dumped: str = yaml.dump(
        value,
        Dumper=_CoreSchemaDumper,
        default_style='"' if escaped else None,
        width=sys.maxsize,
        allow_unicode=True,
    )
    return dumped.removesuffix("\n").removesuffix("\n...")


def _plain_null(node: yaml.Node) -> bool:
    return isinstance(node, yaml.ScalarNode) and node.tag == "tag:yaml.org,2002:null"


class _Reader:
    """Turns one file's nodes into values, noting lines as it goes."""

    def __init__(self, path: Path) -> None:
        self.lines: dict[KeyPath, int] = {}
        self._path = path
        self._open: set[int] = set()

    def mapping(self, node: yaml.MappingNode, place: KeyPath) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if key_node.tag != "tag:yaml.org,2002:str":
                raise self._error(key_node, "a key must be text; put it in quotes")
            key = key_node.value
            if key in values:
                first = self.lines[*place, key]
                raise self._error(key_node, f"the key {key!r} was given before, on line {first}")
            self.lines[*place, key] = key_node.start_mark.line + 1
            values[key] = self._value(value_node, (*place, key))
        return values

    def _value(self, node: yaml.Node, place: KeyPath) -> Any:
        if id(node) in self._open:
            raise self._error(node, "an alias must not stand inside what it repeats")
        self._open.add(id(node))
        try:
            match node:
                case yaml.MappingNode():
                    return self.mapping(node, place)
                case yaml.SequenceNode():
                    return [self._item(item, (*place, i)) for i, item in enumerate(node.value)]
                case _:
                    return self._scalar(node)
        finally:
            self._open.discard(id(node))

    def _item(self, node: yaml.Node, place: KeyPath) -> Any:
        self.lines[place] = node.start_mark.line + 1
        return self._value(node, place)

    def _scalar(self, node: yaml.Node) -> Any:
        text: str = node.value
        match node.tag.removeprefix("tag:yaml.org,2002:"):
            case "str":
                return text
            case "null":
                return None
            case "bool" if text.lower() in ("true", "false"):
                return text.lower() == "true"
            case "int" if re.fullmatch(r"[-+]?[0-9]{1,20}", text):
                return int(text)
            case "float" if _FLOAT.fullmatch(text):
                return float(text.replace(".inf", "inf").replace(".nan", "nan"))
            case _:
                raise self._error(node, "a value of this kind is not supported")

    def _error(self, node: yaml.Node, reason: str) -> ConfigError:
        return ConfigError(f"{self._path}:{node.start_mark.line + 1}: {reason}")
