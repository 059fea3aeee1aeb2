"""Who holds the rights to what is in a package, from the metadata of what was unpacked."""

from __future__ import annotations

import re
from collections.abc import Iterator
from email.message import Message
from email.parser import HeaderParser
from pathlib import Path

_HEAD = """\
Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Upstream-Name: clinvk

Files: *
Copyright: 2026 The clinvk authors
License: Expat
"""
_BUNDLED = """\

Comment:
 The following are distributed with clinvk below /{folder},
 each under the licence that is named here. The text of that licence, and who
 holds the copyright, stand in the folder NAME-VERSION.dist-info of each.
 .
"""


def copyright_file(own: str, site_packages: Path, shown: str) -> str:
    """The `copyright` file of a Debian package.

    Args:
        own: the licence of clinvk, its title and copyright line first.
        site_packages: holds the unpacked distributions.
        shown: that folder as it is once the package is installed.
    """
    text = own.split("\n\n", 2)[2].strip()
    body = "\n".join(f" {line}" if line else " ." for line in text.splitlines())
    listed = "".join(f" {line}\n" for line in _distributions(site_packages))
    return f"{_HEAD}{body}\n{_BUNDLED.format(folder=shown)}{listed}"


def _distributions(site_packages: Path) -> Iterator[str]:
    for metadata in sorted(site_packages.glob("*.dist-info/METADATA"), key=lambda path: str(path)):
        message = HeaderParser().parsestr(metadata.read_text("utf-8"))
        if message["Name"] != "clinvkd":
            yield f"{message['Name']} {message['Version']}: {_licence(message)}"


def _licence(message: Message) -> str:
    """The licence in one line; old metadata has it as a classifier, or as its whole text."""
    if expression := message["License-Expression"]:
        return str(expression)
    classifiers = [str(value) for value in message.get_all("Classifier", [])]
    named = [value.split(" :: ")[-1] for value in classifiers if value.startswith("License ::")]
    if named:
        return ", ".join(named)
    return re.split(r"[\r\n]", str(message["License"] or "see there"))[0]
