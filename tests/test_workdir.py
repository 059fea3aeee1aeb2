"""Which directories are approved, on a real file system."""

from __future__ import annotations

from pathlib import Path

import pytest

from clinvkd.config.server import BLOCKED_WORKDIR_PREFIXES
from clinvkd.errors import Forbidden, InvalidRequest
from clinvkd.workdir import WorkdirPolicy


@pytest.fixture
def allowed(tmp_path: Path) -> Path:
    """An allowed folder with a project in it; beside it one that is not allowed."""
    (tmp_path / "allowed" / "project").mkdir(parents=True)
    (tmp_path / "allowed-not").mkdir()
    return tmp_path / "allowed"


@pytest.fixture
def policy(allowed: Path) -> WorkdirPolicy:
    return WorkdirPolicy([str(allowed)], [str(allowed / "blocked")])


def test_a_folder_under_an_allowed_one_is_approved(policy: WorkdirPolicy, allowed: Path) -> None:
    assert policy.approve(str(allowed / "project")) == allowed / "project"
    assert policy.approve(str(allowed)) == allowed
    assert policy.approve(f"{allowed}/project/../project/./") == allowed / "project"


def test_a_link_is_approved_as_what_it_leads_to(policy: WorkdirPolicy, allowed: Path) -> None:
    (allowed / "link").symlink_to(allowed / "project")
    assert policy.approve(str(allowed / "link")) == allowed / "project"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("project", "must be an absolute path"),
        ("./project", "must be an absolute path"),
        ("", "must be an absolute path"),
        ("~/project", "must be an absolute path"),
        ("{allowed}/pro\0ject", "NUL"),
        ("{allowed}/missing", "does not exist"),
        ("{allowed}/file", "is not a directory"),
        ("{allowed}/file/below", "does not exist"),
        ("{allowed}/circle", "does not exist"),
        ("{allowed}/" + "n" * 5_000, "does not exist"),
    ],
)
def test_what_is_no_directory_is_refused(
    policy: WorkdirPolicy, allowed: Path, text: str, says: str
) -> None:
    (allowed / "file").touch()
    (allowed / "circle").symlink_to(allowed / "circle")
    with pytest.raises(InvalidRequest, match=says) as caught:
        policy.approve(text.replace("{allowed}", str(allowed)))
    assert caught.value.param == "workdir"
    assert len(caught.value.message) < 1_200


@pytest.mark.parametrize(
    "text",
    [
        "{allowed}-not",
        "{allowed}/..",
        "{allowed}/../allowed-not",
        "{allowed}/link-out",
        "{allowed}/link-out/missing",
        "{allowed}-not/missing",
        "/",
        "//",
        "/does/not/exist",
    ],
)
def test_what_is_outside_is_forbidden(policy: WorkdirPolicy, allowed: Path, text: str) -> None:
    (allowed / "link-out").symlink_to(f"{allowed}-not")
    with pytest.raises(Forbidden) as caught:
        policy.approve(text.replace("{allowed}", str(allowed)))
    assert caught.value.param == "workdir"


def test_a_blocked_folder_wins_over_an_allowed_one(policy: WorkdirPolicy, allowed: Path) -> None:
    (allowed / "blocked" / "deep").mkdir(parents=True)
    (allowed / "blocked-not").mkdir()
    for text in ("blocked", "blocked/deep", "blocked/missing"):
        with pytest.raises(Forbidden, match="under a blocked path"):
            policy.approve(str(allowed / text))
    assert policy.approve(str(allowed / "blocked-not")) == allowed / "blocked-not"


@pytest.mark.parametrize("text", ["/", "/etc", "/proc/self", "/dev/../etc", "/usr/lib", "/sys"])
def test_the_built_in_list_keeps_agents_out_of_the_system(text: str) -> None:
    with pytest.raises(Forbidden, match="under a blocked path"):
        WorkdirPolicy([], BLOCKED_WORKDIR_PREFIXES).approve(text)


def test_without_allowed_folders_all_but_the_blocked_are(tmp_path: Path) -> None:
    assert WorkdirPolicy([], []).approve(str(tmp_path)) == tmp_path
    with pytest.raises(Forbidden):
        WorkdirPolicy([], []).approve("/")


def test_prefixes_are_compared_with_links_resolved(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "alias").symlink_to(tmp_path / "real")
    alias = str(tmp_path / "alias")
    assert WorkdirPolicy([alias], []).approve(alias) == tmp_path / "real"
    with pytest.raises(Forbidden):
        WorkdirPolicy([], [alias]).approve(str(tmp_path / "real"))


def test_a_prefix_that_cannot_be_resolved_still_holds(tmp_path: Path) -> None:
    (tmp_path / "circle").symlink_to(tmp_path / "circle")
    policy = WorkdirPolicy([str(tmp_path / "circle")], [])
    with pytest.raises(Forbidden):
        policy.approve(str(tmp_path))
