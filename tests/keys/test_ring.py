"""Keys as they are kept, and the ring of those that are valid."""

from __future__ import annotations

import pytest

from clinvkd.errors import ConfigError
from clinvkd.keys import Caller, Key, KeyRing, Scopes, digest_of, new_key
from clinvkd.keys.key import read_lines


def test_a_key_is_known_by_its_bytes_alone() -> None:
    text = new_key()
    key = Key.of(text, "ci")
    ring = KeyRing([Key.of(new_key()), key, Key.of(new_key())])
    assert ring.caller_of(text.encode()) == Caller("ci")
    for wrong in (text[:-1], text + " ", text.upper(), "", "\udcff", key.digest.hex()):
        assert ring.caller_of(wrong.encode("utf-8", "surrogateescape")) is None


def test_generated_keys_are_long_and_differ() -> None:
    keys = {new_key() for _ in range(100)}
    assert len(keys) == 100
    assert all(key.startswith("clinvk_") and len(key) == 50 for key in keys)


def test_nothing_that_is_kept_is_the_key() -> None:
    text = new_key()
    key = Key.of(text)
    assert key.name == f"key-{digest_of(text.encode()).hex()[:8]}"
    assert text not in key.line()
    assert text not in repr(key)
    assert key.digest.hex() not in repr(key)


def test_once_a_key_was_needed_it_stays_needed() -> None:
    first, second = new_key(), new_key()
    ring = KeyRing()
    before = ring.required
    ring.replace([Key.of(first)])
    assert (before, ring.required) == (False, True)
    ring.replace([Key.of(second)])
    assert ring.caller_of(first.encode()) is None
    assert ring.caller_of(second.encode()) is not None
    ring.replace([])
    assert ring.required
    assert ring.caller_of(second.encode()) is None


def test_one_key_has_one_name_and_one_set_of_scopes() -> None:
    text = new_key()
    assert len(KeyRing([Key.of(text), Key.of(text)])) == 1
    narrow = Key("a", digest_of(text.encode()), Scopes(dangerous=False))
    for other in (Key.of(text, "b"), Key.of(text, "a")):
        with pytest.raises(ConfigError, match="stands twice"):
            KeyRing([narrow, other])
    ring = KeyRing([narrow])
    with pytest.raises(ConfigError, match="stands twice"):
        ring.replace([narrow, Key.of(text, "b")])
    assert ring.caller_of(text.encode()) == Caller("a", Scopes(dangerous=False))


def test_a_line_keeps_a_key() -> None:
    key = Key("build.1", digest_of(b"k"), Scopes.parse(["backends=echo", "rpm=5"]))
    blank = Key("b", digest_of(b"l"), Scopes.parse(["workdirs=/a b"]))
    lines = ["# a comment", "", key.line(), f"  {blank.line()}  # another"]
    assert read_lines(lines) == [key, blank]


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("secret-key name", "is not 'sha256:'"),
        ("sha256:12 name", "is not 'sha256:'"),
        (f"sha256:{'g' * 64} name", "is not 'sha256:'"),
        (f"sha256:{'a' * 64}", "is not 'sha256:'"),
        (f"sha256:{'a' * 64} -x", "is no name of a key"),
        (f"sha256:{'a' * 64} {'n' * 65}", "is no name of a key"),
        (f"sha256:{'a' * 64} ci rmp=1", "'rmp=1' is no scope; allowed: backends, "),
        (f"sha256:{'a' * 64} 'ci", "No closing quotation"),
    ],
)
def test_a_line_that_means_nothing_is_named_without_a_key(line: str, says: str) -> None:
    with pytest.raises(ValueError, match="line 2: ") as caught:
        read_lines(["", line])
    assert says in str(caught.value)
    assert "secret-key" not in str(caught.value)
