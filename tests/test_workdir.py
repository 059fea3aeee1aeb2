"""Which directories are approved, on a real file system."""

from __future__ import annotations

import ctypes
import errno
import os
from pathlib import Path

import pytest

from clinvkd.config.server import BLOCKED_WORKDIR_PREFIXES
from clinvkd.errors import Forbidden, InvalidRequest
from clinvkd.workdir import WorkdirPolicy, check_in_place, open_directory, opening


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


@pytest.mark.parametrize("name", [".ssh", ".aws/sso", ".gnupg", ".config/gh", ".claude", ".codex"])
def test_the_built_in_list_keeps_agents_out_of_what_opens_other_machines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / name).mkdir(parents=True)
    (tmp_path / "sshd").mkdir()
    policy = WorkdirPolicy(["~"], BLOCKED_WORKDIR_PREFIXES)
    with pytest.raises(Forbidden, match="under a blocked path"):
        policy.approve(str(tmp_path / name))
    assert policy.approve(str(tmp_path / "sshd")) == tmp_path / "sshd"


def test_what_is_its_own_is_blocked_whatever_is_configured(allowed: Path) -> None:
    policy = WorkdirPolicy([str(allowed)], [], own=[allowed / "project"])
    assert policy.approve(str(allowed)) == allowed
    with pytest.raises(Forbidden, match="under a blocked path"):
        policy.approve(str(allowed / "project"))


def test_the_innermost_directory_says_whether_files_are_trusted(tmp_path: Path) -> None:
    for name in ("work/vendor/deep/mine", "workshop"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "work" / "vendor")
    trust = {"link": False, "work": True, "work/vendor/deep/mine": True}
    policy = WorkdirPolicy([], [], trust={str(tmp_path / name): is_ for name, is_ in trust.items()})

    def trusts(name: str) -> bool | None:
        return policy.trusts(policy.approve(str(tmp_path / name)))

    assert trusts("work") is True
    assert trusts("work/vendor") is False
    assert trusts("work/vendor/deep") is False
    assert trusts("work/vendor/deep/mine") is True
    assert trusts("workshop") is None


# Opening


@pytest.fixture(params=["openat2", "one by one"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """How directories are opened: the second way is that of old kernels and other systems."""
    if request.param == "one by one":

        def refused(path: Path) -> int:
            raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

        monkeypatch.setattr(opening, "_open_at_once", refused)
    elif not _has_openat2():
        pytest.skip("NOT TESTED with openat2: this kernel has none, or a filter forbids it")
    return str(request.param)


def _has_openat2() -> bool:
    try:
        os.close(opening._open_at_once(Path("/")))
    except OSError:
        return False
    return True


@pytest.mark.usefixtures("way")
def test_a_directory_is_opened_though_it_may_not_be_listed(tmp_path: Path) -> None:
    (tmp_path / "project").mkdir(mode=0o111)
    descriptor = open_directory(tmp_path / "project")
    try:
        assert os.path.samestat(os.fstat(descriptor), (tmp_path / "project").stat())
        assert not os.get_inheritable(descriptor)
    finally:
        os.close(descriptor)


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("name", ["link", "link/below", "file", "file/below", "missing"])
def test_no_link_is_followed_wherever_it_stands_and_nothing_stays_open(
    tmp_path: Path, name: str
) -> None:
    (tmp_path / "real" / "below").mkdir(parents=True)
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    before = len(list(Path("/dev/fd").iterdir()))
    with pytest.raises(OSError, match=name):
        open_directory(tmp_path / name)
    assert len(list(Path("/dev/fd").iterdir())) == before


@pytest.mark.usefixtures("way")
def test_what_was_approved_and_then_swapped_is_refused(
    policy: WorkdirPolicy, allowed: Path
) -> None:
    approved = policy.approve(str(allowed / "project"))
    check_in_place(approved)
    (allowed / "project").rename(allowed / "gone")
    with pytest.raises(InvalidRequest, match="cannot be entered"):
        check_in_place(approved)
    (allowed / "project").symlink_to(f"{allowed}-not")
    with pytest.raises(InvalidRequest, match=r"cannot be entered|not a directory") as caught:
        check_in_place(approved)
    assert caught.value.param == "workdir"


def test_the_structure_is_as_large_as_the_kernel_expects() -> None:
    assert ctypes.sizeof(opening._OpenHow) == 24
