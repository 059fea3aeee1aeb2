"""Takes what looks like a secret out of text that others may read: the log, above all."""

from __future__ import annotations

import re

REDACTED = "[redacted]"

_COLOURS = r"(?: \x1b\[ [0-9;]* m )*+"  # a console's, in front of names and values
_BEGIN = r"(?: \b | (?<= m ) )"  # of a word, or behind a colour
_SECRETS = re.compile(
    rf"""
    # What is known by the name before it: a header, a query parameter, a member, a variable.
    (?P<name>
        {_BEGIN} bearer \s+
      | {_BEGIN} (?: authorization | x-api-key )
        \\?["']? \s* {_COLOURS} [:=,] \s* {_COLOURS} (?: b? \\?["'] )?+
        (?: bearer \s+ | basic \s+ )?+
      | {_BEGIN} (?: api[-_]?keys? | [a-z0-9_]+_api_keys?
                 | [a-z0-9_-]* (?: token | secret | password ) )
        (?: {_COLOURS} = {_COLOURS} | \\?["'] \s* [:,] \s* b? \\?["'] )
    )
    [^\s"'\\;&<>(){{}}\[\]\x1b]++
    # What is known by its own looks: keys of clinvk and of providers, JSON web tokens.
  | {_BEGIN} clinvk_ [A-Za-z0-9_-]{{16,}}
  | {_BEGIN} sk- [A-Za-z0-9_-]{{16,}}
  | {_BEGIN} AIza [A-Za-z0-9_-]{{30,}}
  | {_BEGIN} gh[pousr]_ [A-Za-z0-9]{{20,}}
  | {_BEGIN} eyJ [A-Za-z0-9_-]{{10,}} \. [A-Za-z0-9_-]{{10,}} \. [A-Za-z0-9_-]*
    """,
    re.VERBOSE | re.IGNORECASE,
)

_HINTS = (
    "bearer", "authorization", "key", "token", "secret", "password",
    "clinvk_", "sk-", "aiza", "ghp_", "gho_", "ghu_", "ghs_", "ghr_", "eyj",
)  # fmt: skip
"""One of them is in every match; to look for them costs a hundredth of looking for the matches."""


def redact(text: str) -> str:
    """`text` with `[redacted]` for everything that looks like a secret."""
    lower = text.lower()
    if not any(hint in lower for hint in _HINTS):
        return text
    return _SECRETS.sub(lambda match: (match["name"] or "") + REDACTED, text)
