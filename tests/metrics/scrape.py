"""Metrics as a scraper reads them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from prometheus_client.parser import text_string_to_metric_families

from ..api.service import Service


@dataclass(frozen=True, slots=True)
class Scrape:
    """All series at one moment, by name and labels."""

    series: Mapping[tuple[str, frozenset[tuple[str, str]]], float]

    def __call__(self, name: str, **labels: str) -> float:
        """The sum of the series of that name that have these labels; 0 when there is none."""
        wanted = set(labels.items())
        return sum(
            value for (found, has), value in self.series.items() if found == name and wanted <= has
        )

    def names(self) -> set[str]:
        return {name for name, _ in self.series}

    def values(self, label: str) -> set[str]:
        """All values of a label."""
        return {value for _, labels in self.series for name, value in labels if name == label}


def read(text: str) -> Scrape:
    return Scrape(
        {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }
    )


async def scrape(service: Service) -> Scrape:
    async with service.client.get("/metrics") as response:
        assert response.status == 200
        return read(await response.text())
