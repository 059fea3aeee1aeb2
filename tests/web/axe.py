"""Looks at a page with axe-core, which knows the rules of WCAG."""

from __future__ import annotations

import json

import pytest

from ..gate.browser import Browser
from ..install_agents import AgentsUnsupported, npm_command
from ..install_clients import page_modules

_RULES = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice")


def require_axe() -> None:
    """Skip the test where packages of npm cannot be had; fail it where they are missing."""
    try:
        npm_command()
    except AgentsUnsupported as reason:
        pytest.skip(f"NOT TESTED for accessibility: {reason}")
    if not page_modules().is_dir():
        pytest.fail("axe-core is not installed: run `python -m tests.install_clients`")


async def violations(browser: Browser) -> list[str]:
    """What is wrong with what the tab shows: rule, element and explanation."""
    source = (page_modules() / "axe-core" / "axe.min.js").read_text()
    await browser.run(f"if (!window.axe) {{ {source} }}")
    found = await browser.run(
        f"""
        const options = {{ runOnly: {json.dumps(_RULES)}, resultTypes: ["violations"] }};
        const result = await axe.run(document, options);
        return result.violations.flatMap((rule) => rule.nodes.map((node) =>
          `${{rule.id}}: ${{node.target}}: ${{node.failureSummary}}`));
        """
    )
    assert isinstance(found, list)
    return found
