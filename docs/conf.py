"""Builds the documentation as a site of plain files: ``make docs``, then ``build/site/index.html``.

The source directory is the root of the checkout, so that README, CONTRIBUTING and CHANGELOG are
pages of the site and every link means the same there as in the files. Nothing is loaded from
elsewhere, neither when the site is built nor when it is read.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import clinvkd

if TYPE_CHECKING:
    from sphinx.application import Sphinx

project = "clinvk"
author = "the clinvk authors"
project_copyright = author
version = release = clinvkd.__version__

extensions = ["myst_parser"]
root_doc = "docs/index"
include_patterns = ["*.md", "docs/**"]
exclude_patterns = ["**/.*", "build", "dist", "**/node_modules", "docs/templates", "docs/static"]
nitpicky = True

myst_heading_anchors = 4
myst_links_external_new_tab = False

html_theme = "furo"
html_title = f"clinvk {version}"
html_copy_source = False
html_show_sourcelink = False
html_additional_pages = {"index": "start.html"}
templates_path = ["templates"]
html_static_path = ["static"]
html_css_files = ["wide.css"]
html_theme_options = {
    "light_css_variables": {"color-brand-primary": "#0b6e4f", "color-brand-content": "#0b6e4f"},
    "dark_css_variables": {"color-brand-primary": "#4fd1a5", "color-brand-content": "#4fd1a5"},
}

_HEADING = re.compile(r"^## (.+)$", re.MULTILINE)
_ENTRY = re.compile(r"^- \[([^\]]+)\]\(([^)#]+)\.md\)", re.MULTILINE)


def _add_navigation(app: Sphinx, docname: str, source: list[str]) -> None:
    """Make the side bar of the index's own lists, so that the index is kept in one place."""
    if docname != root_doc:
        return
    text, *parts = _HEADING.split(source[0])
    for caption, part in zip(parts[::2], parts[1::2], strict=True):
        pages = "\n".join(f"{name} <{path}>" for name, path in _ENTRY.findall(part))
        tree = f"```{{toctree}}\n:hidden:\n:caption: {caption}\n\n{pages}\n```"
        text += f"## {caption}{part}\n{tree}\n\n"
    source[0] = text


def setup(app: Sphinx) -> dict[str, bool]:
    """Called by Sphinx."""
    app.connect("source-read", _add_navigation)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
