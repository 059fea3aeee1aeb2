"""Dashboard and alerts: what they ask for exists, and Prometheus understands how they ask."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from clinvkd.metrics import DEFINITIONS, Definition

FOLDER = Path(__file__).parents[2] / "docs" / "monitoring"
ALERTS = FOLDER / "alerts.yml"
DASHBOARD = FOLDER / "grafana-dashboard.json"
MADE_BY_PROMETHEUS = {"up", "instance", "job", "le"}
PROCESS = {"cpu_seconds_total", "resident_memory_bytes", "open_fds", "max_fds"}

needs_promtool = pytest.mark.skipif(
    shutil.which("promtool") is None, reason="promtool is not installed (Debian: prometheus)"
)


def panels() -> list[Any]:
    return [panel for panel in json.loads(DASHBOARD.read_text())["panels"] if "targets" in panel]


def rules() -> list[Any]:
    return [
        rule for group in yaml.safe_load(ALERTS.read_text())["groups"] for rule in group["rules"]
    ]


def expressions() -> Iterator[str]:
    yield from (rule["expr"] for rule in rules())
    for panel in panels():
        yield from (target["expr"] for target in panel["targets"])


def known() -> dict[str, Definition | None]:
    """The names of all series, and what they are defined by."""
    names: dict[str, Definition | None] = {f"clinvk_process_{name}": None for name in PROCESS}
    for definition in DEFINITIONS:
        if definition.kind == "histogram":
            names |= {
                f"{definition.name}_{part}": definition for part in ("bucket", "sum", "count")
            }
        else:
            names[definition.name] = definition
    return names


def selectors(expression: str) -> Iterator[tuple[str, set[str]]]:
    """The metrics of an expression, each with the labels that are asked for in braces."""
    for name, braces in re.findall(r"\b(clinvk_\w+)(\{[^}]*\})?", expression):
        yield name, set(re.findall(r"(\w+)\s*[=!]", braces))


@pytest.mark.parametrize("expression", [*expressions()])
def test_every_metric_and_label_exists(expression: str) -> None:
    names = known()
    asked = list(selectors(expression))
    assert asked or "up{" in expression
    for name, labels in asked:
        definition = names[name]
        assert labels <= MADE_BY_PROMETHEUS | set(definition.labels if definition else ())
    # A word in `by (...)` is a label of every metric in the expression.
    for word in re.findall(r"\w+", " ".join(re.findall(r"\b(?:by|on) \(([^)]*)\)", expression))):
        for name, _ in asked:
            definition = names[name]
            assert word in MADE_BY_PROMETHEUS | set(definition.labels if definition else ()), name


def test_every_metric_is_on_the_dashboard() -> None:
    shown = {name for each in panels() for t in each["targets"] for name, _ in selectors(t["expr"])}
    hidden = {
        "clinvk_backend_executions_total",  # the same turns as `clinvk_turns_total`
        "clinvk_sessions_created_total",
        "clinvk_store_available",  # an alert
        "clinvk_build_info",  # a variable
    }
    bases = {re.sub(r"_(bucket|sum|count)$", "", name) for name in shown}
    assert {definition.name for definition in DEFINITIONS} - bases == hidden
    queries = str(json.loads(DASHBOARD.read_text())["templating"])
    assert set(re.findall(r"clinvk_\w+", queries)) <= set(known())


def test_the_dashboard_can_be_drawn() -> None:
    board = json.loads(DASHBOARD.read_text())
    ids = [panel["id"] for panel in board["panels"]]
    assert len(set(ids)) == len(ids)
    taken: set[tuple[int, int]] = set()
    for panel in board["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        assert max(x for x, _ in cells) < 24
        taken |= cells


def test_the_data_source_is_a_variable_of_the_dashboard() -> None:
    board = json.loads(DASHBOARD.read_text())
    variables = {each["name"]: each for each in board["templating"]["list"]}
    assert variables["datasource"]["type"] == "datasource"
    assert variables["datasource"]["query"] == "prometheus"
    chosen = {"type": "prometheus", "uid": "${datasource}"}
    for asking in [*panels(), *(each for each in variables.values() if each["type"] == "query")]:
        assert asking["datasource"] == chosen
    for panel in panels():
        assert all(target.get("datasource", chosen) == chosen for target in panel["targets"])
    used = set(re.findall(r"\$\{?(\w+)", " ".join(expressions())))
    assert used <= variables.keys() | {"__rate_interval", "value"}


def promtool(*arguments: str) -> str:
    command = ["promtool", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@needs_promtool
def test_prometheus_takes_the_rules_and_understands_the_dashboard(tmp_path: Path) -> None:
    promtool("check", "rules", str(ALERTS))
    asked = [
        expression.replace("$__rate_interval", "5m")
        .replace("$instance", ".*")
        .replace("$backend", ".*")
        for expression in expressions()
    ]
    file = tmp_path / "rules.yml"
    records = [{"record": f"r:{n}", "expr": expression} for n, expression in enumerate(asked)]
    file.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": records}]}))
    assert f"{len(asked)} rules found" in promtool("check", "rules", str(file))


LATE = 'clinvk_event_loop_lag_seconds_bucket{instance="a",le='
SLOW = 'clinvk_time_to_first_text_seconds_bucket{instance="a",backend="b",le='
FIRES: dict[str, dict[str, str]] = {
    "ClinvkDown": {'up{job="clinvk",instance="a"}': "0x30"},
    "ClinvkBackendDown": {
        'clinvk_backend_available{instance="a",backend="b"}': "0x30",
        'clinvk_turns_total{instance="a",backend="b",way="seed",outcome="completed"}': "7x30",
    },
    "ClinvkTurnsFail": {
        'clinvk_turns_total{instance="a",backend="b",outcome="completed"}': "0+8x30",
        'clinvk_turns_total{instance="a",backend="b",outcome="backend_error"}': "0+2x30",
    },
    "ClinvkFirstTextSlow": {f'{SLOW}"25.6"}}': "0x30", f'{SLOW}"102.4"}}': "0+9x30"}
    | {f'{SLOW}"+Inf"}}': "0+9x30"},
    "ClinvkTurnsQueue": {'clinvk_queued_turns{instance="a",backend="b"}': "2x30"},
    "ClinvkAgentsRestart": {'clinvk_agent_restarts_total{instance="a",backend="b"}': "0+1x30"},
    "ClinvkEventLoopLate": {f'{LATE}"0.25"}}': "0x30", f'{LATE}"0.5"}}': "0+9x30"}
    | {f'{LATE}"+Inf"}}': "0+9x30"},
    "ClinvkStoreDown": {'clinvk_store_available{instance="a"}': "0x30"},
    "ClinvkFilesRunOut": {
        'clinvk_process_open_fds{instance="a"}': "90x30",
        'clinvk_process_max_fds{instance="a"}': "100x30",
    },
}
"""What each alert is about, as series of a value per minute."""

HEALTHY = {
    'up{job="clinvk",instance="a"}': "1x30",
    'clinvk_backend_available{instance="a",backend="b"}': "1x30",
    'clinvk_backend_available{instance="a",backend="not-installed"}': "0x30",
    'clinvk_turns_total{instance="a",backend="b",outcome="completed"}': "0+9x30",
    'clinvk_turns_total{instance="a",backend="b",outcome="interrupted"}': "0+9x30",
    f'{SLOW}"25.6"}}': "0+9x30",
    f'{SLOW}"+Inf"}}': "0+9x30",
    'clinvk_queued_turns{instance="a",backend="b"}': "0 0 3 0 0 0 4 0x23",
    'clinvk_agent_restarts_total{instance="a",backend="b"}': "0x20 1x9",
    f'{LATE}"0.25"}}': "0+9x30",
    f'{LATE}"+Inf"}}': "0+9x30",
    'clinvk_store_available{instance="a"}': "1x30",
    'clinvk_process_open_fds{instance="a"}': "20x30",
    'clinvk_process_max_fds{instance="a"}': "100x30",
}


@needs_promtool
def test_alerts_fire_when_they_should_and_only_then(tmp_path: Path) -> None:
    assert set(FIRES) == {rule["alert"] for rule in rules()}
    tests = []
    for alert in FIRES:
        for series, fires in ((FIRES[alert], True), (HEALTHY, False)):
            query = f'count(ALERTS{{alertname="{alert}",alertstate="firing"}})'
            samples = [{"labels": "{}", "value": 1}] if fires else []
            tests.append(
                {
                    "name": f"{alert} {'fires' if fires else 'is silent'}",
                    "interval": "1m",
                    "input_series": [{"series": s, "values": v} for s, v in series.items()],
                    "promql_expr_test": [
                        {"expr": query, "eval_time": "25m", "exp_samples": samples}
                    ],
                }
            )
    file = tmp_path / "tests.yml"
    file.write_text(
        yaml.safe_dump({"rule_files": [str(ALERTS)], "evaluation_interval": "1m", "tests": tests})
    )
    promtool("test", "rules", str(file))
