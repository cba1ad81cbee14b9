"""Can any program of this user read what the vault keeps? A program of its own that tries, for `doctor`.

    python -I -m hfproxy.vault.probe keyring|sealed-file STATE_DIR

It prints one word: `readable` (tokens in the clear), `ciphertext`, `kept` (that, and the key to it), `locked` (the
keyring is, at the moment), `denied`, `absent` (nothing is there) or `unknown`. What it reads it keeps to itself. Nobody
is asked for a passphrase.
"""

import sys
from contextlib import closing
from pathlib import Path
from typing import Final

from hfproxy.vault.kernel_key_cache import KernelKeyCache
from hfproxy.vault.keyring_item import ITEM, SERVICE

# What the vault's document begins with, wherever it is not sealed.
CLEAR: Final = b"{"


def main(words: list[str]) -> int:
    """Print what was found."""
    kind, state = words
    found = _in_file(Path(state) / "vault.sealed") if kind == "sealed-file" else _in_keyring()
    if found == "ciphertext" and KernelKeyCache(Path(state)).get() is not None:
        found = "kept"
    sys.stdout.write(found + "\n")
    return 0


def _in_file(file: Path) -> str:
    try:
        return _judged(file.read_bytes())
    except PermissionError:
        return "denied"
    except OSError:
        return "absent"


def _in_keyring() -> str:
    """Only the Secret Service can be asked in a way that never opens a prompt."""
    if sys.platform != "linux":
        return "unknown"
    import secretstorage  # noqa: PLC0415  (its dependencies are there on Linux only)

    try:
        with closing(secretstorage.dbus_init()) as bus:
            found = list(secretstorage.search_items(bus, {"service": SERVICE, "username": ITEM}))
            opened = [item.get_secret() for item in found if not item.is_locked()]
    except Exception:  # noqa: BLE001  (no bus, no service on it, or one that fails: each with exceptions of its own)
        return "unknown"
    words = {_judged(secret) for secret in opened}
    return next((word for word in ("readable", "ciphertext") if word in words), "locked" if found else "absent")


def _judged(kept: bytes) -> str:
    return "readable" if kept.startswith(CLEAR) else "ciphertext" if kept else "absent"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
