"""The tool of the programs that have one, and what their cases report."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

DESCRIPTION = "Tells the weather of a city."
PARAMETERS: dict[str, Any] = {
    "type": "object",
    "properties": {"city": {"type": "string", "description": "Its English name."}},
    "required": ["city"],
    "additionalProperties": False,
}
"""For clients that are told the JSON Schema; others make theirs of a function."""


class NoSuchCity(Exception):
    """What the tool raises for Atlantis."""


@dataclass
class Told:
    """What a case saw."""

    called: list[str] = field(default_factory=list)
    """The cities the tool was called for."""
    said: list[str] = field(default_factory=list)
    """The texts of the answers, those before calls included."""
    identities: list[str] = field(default_factory=list)
    """The ids of the calls, from clients that show them."""

    def weather(self, city: str) -> str:
        """Run the tool; raises NoSuchCity."""
        self.called.append(city)
        if city == "Atlantis":
            raise NoSuchCity(f"no such city: {city}")
        return f"3 degrees in {city}"

    def weather_or_error(self, city: str) -> str:
        """The same for clients whose errors are texts like any other."""
        try:
            return self.weather(city)
        except NoSuchCity as error:
            return f"Error: {error}"

    def report(self) -> Any:
        """The result of the case."""
        return {**asdict(self), "said": [text for text in map(str.strip, self.said) if text]}
