"""A program of its own: decrypts one file with GnuPG and writes what was in it to standard output.

    python -m clinvkd.keys.decrypt FILE

It asks nobody for a passphrase, and says why it failed by its exit status alone.
"""

from __future__ import annotations

import sys

NO_GNUPG = 10
"""Exit status: gpg is not there."""

NO_SECRET_KEY = 11
"""Exit status: the file is encrypted for somebody else."""

LOCKED = 12
"""Exit status: the key needs a passphrase that no agent knows."""

DAMAGED = 13
"""Exit status: nothing came out, as from an empty or a cut file."""


def main(path: str) -> int:
    """Decrypt `path`; the exit status."""
    import gnupg  # only this program needs it

    try:
        gpg = gnupg.GPG(options=["--pinentry-mode", "error"])
    except (OSError, ValueError):
        return NO_GNUPG
    try:
        result = gpg.decrypt_file(path)
    except (OSError, ValueError):
        return DAMAGED
    # `ok` means that gpg said DECRYPTION_OKAY: of a cut file it says nothing, and ends with 0.
    if result.ok and result.returncode == 0 and result.data:
        sys.stdout.buffer.write(result.data)
        return 0
    if "NO_SECKEY" in result.stderr:
        return NO_SECRET_KEY
    return LOCKED if "DECRYPTION_FAILED" in result.stderr else DAMAGED


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
