"""`python -m packager`: makes what it is asked for into `dist/`."""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path

from . import ROOT, recipes
from .deb import MACHINES, build_deb
from .tree import Unfit, write_tree
from .wheels import PYTHONS, locked_wheels, own_sdist, own_wheel


def version() -> str:
    """That of clinvk, without importing it."""
    text = (ROOT / "clinvkd" / "__init__.py").read_text("utf-8")
    (found,) = re.findall(r'^__version__ = "([^"]+)"$', text, re.MULTILINE)
    return str(found)


def epoch() -> int:
    """What files are dated: `SOURCE_DATE_EPOCH`, else the last commit, else the unpacked sdist."""
    if given := os.environ.get("SOURCE_DATE_EPOCH"):
        return int(given)
    if (ROOT / ".git").exists() and shutil.which("git"):
        command = ["git", "log", "-1", "--format=%ct"]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        if done.returncode == 0:
            return int(done.stdout)
    return int((ROOT / "clinvkd" / "__init__.py").stat().st_mtime)


def architecture() -> str:
    """This machine's, as Debian calls it; raises Unfit when there is no package for it."""
    machine = os.uname().machine
    for name, kernel in MACHINES.items():
        if kernel == machine:
            return name
    raise Unfit(f"there is no package for {machine}: only for {', '.join(MACHINES.values())}")


def makers(
    destination: Path, deb_architecture: str | None, address: str | None
) -> Mapping[str, Callable[[], Path]]:
    """What can be made, by name; each may raise Unfit and CalledProcessError."""

    @cache
    def sdist() -> Path:
        return own_sdist(destination, epoch())

    return {
        "wheel": lambda: own_wheel(destination, epoch()),
        "sdist": sdist,
        "deb": lambda: build_deb(
            destination, version(), deb_architecture or architecture(), epoch()
        ),
        "rpm": lambda: recipes.build_rpm(destination, version(), sdist(), epoch()),
        "formula": lambda: recipes.write_formula(destination, version(), sdist(), address),
        "pkgbuild": lambda: recipes.write_pkgbuild(destination, version(), sdist()),
        "image": lambda: recipes.build_image(version()),
    }


def make_tree(destination: Path, python: str | None) -> None:
    """Write the files of a package for this machine below a folder, for rpmbuild and makepkg."""
    pythons = (python,) if python else PYTHONS
    machine = os.uname().machine
    with tempfile.TemporaryDirectory() as scratch:
        wheels = [own_wheel(Path(scratch), epoch()), *locked_wheels(machine, pythons)]
        write_tree(destination, wheels, pythons, strip="strip")


def main() -> int:
    """Make the packages; the exit status."""
    parser = argparse.ArgumentParser(prog="packager", description="Make the packages of clinvk.")
    kinds = (*makers(ROOT, None, None), "tree", "all")
    parser.add_argument("what", nargs="+", choices=kinds, metavar="WHAT", help=", ".join(kinds))
    parser.add_argument(
        "--destination", type=Path, default=ROOT / "dist", metavar="DIR", help="[dist]"
    )
    parser.add_argument("--architecture", choices=MACHINES, help="of the deb  [this machine's]")
    parser.add_argument("--python", metavar="VERSION", help="of the tree  [all supported]")
    parser.add_argument("--url", help="where the formula finds the sdist  [where it is now]")
    arguments = parser.parse_args()
    destination = arguments.destination.absolute()
    destination.mkdir(parents=True, exist_ok=True)
    known = makers(destination, arguments.architecture, arguments.url)
    everything = "all" in arguments.what
    for name in known if everything else arguments.what:
        try:
            if name == "tree":
                make_tree(destination, arguments.python)
            else:
                print(known[name](), flush=True)
        except Unfit as reason:
            print(f"no {name}: {reason}", file=sys.stderr)
            if not everything:
                return 1
        except subprocess.CalledProcessError as failure:
            print(f"no {name}: {Path(failure.cmd[0]).name} failed", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
