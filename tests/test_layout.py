"""The shape of the source tree: what a reviewer would otherwise have to watch for."""

from __future__ import annotations

import tomllib
from pathlib import Path

import grimp
import pytest

import clinvkd
from clinvkd.drivers import DRIVERS

PACKAGE = Path(clinvkd.__file__).parent
SOURCES = sorted(PACKAGE.rglob("*.py"))
MOST_LINES = 400


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_source_file_is_short_and_well_named(path: Path) -> None:
    assert len(path.read_text().splitlines()) < MOST_LINES
    assert path.stem not in {"utils", "helpers", "common", "misc", "const", "types"}


def test_every_module_has_its_layer() -> None:
    project = tomllib.loads((PACKAGE.parent / "pyproject.toml").read_text())
    layers = project["tool"]["importlinter"]["contracts"][0]["layers"]
    layered = {name.strip(" ()") for layer in layers for name in layer.split("|")}
    modules = {f"clinvkd.{path.stem}" for path in PACKAGE.glob("*.py") if path.stem[0] != "_"}
    packages = {f"clinvkd.{path.parent.name}" for path in PACKAGE.glob("*/__init__.py")}
    assert layered == modules | packages


def test_a_drivers_modules_import_no_other_drivers() -> None:
    graph = grimp.build_graph("clinvkd")

    def driver(module: str) -> str | None:
        name = module.rpartition(".")[2].partition("_")[0]
        return name if name in DRIVERS else None

    crossing = [
        (module, imported)
        for module in graph.find_descendants("clinvkd.drivers")
        for imported in graph.find_modules_directly_imported_by(module)
        if imported.startswith("clinvkd.drivers.")
        if driver(module) and driver(imported) and driver(module) != driver(imported)
    ]
    assert not crossing
