"""Tests whether any program of this user can read the vault. A separate program that `doctor` runs.

    python -I -m hfproxy.vault.probe keyring|sealed-file STATE_DIR

It prints one word: `readable` (plaintext tokens), `ciphertext`, `kept` (ciphertext and a readable key for it), `locked`
(the keyring is locked at the moment), `denied`, `absent` (no vault is stored) or `unknown`. It prints nothing that it
reads, and never prompts for a passphrase.
"""

import sys
from contextlib import closing
from pathlib import Path
from typing import Final

from hfproxy.vault.kernel_key_cache import KernelKeyCache
from hfproxy.vault.keyring_item import ITEM, SERVICE

# The first byte of a document that is not sealed (JSON).
PLAINTEXT_PREFIX: Final = b"{"


def main(words: list[str]) -> int:
    """Probe the vault named by the two arguments, and print the result."""
    kind, state = words
    result = _in_file(Path(state) / "vault.sealed") if kind == "sealed-file" else _in_keyring()
    if result == "ciphertext" and KernelKeyCache(Path(state)).get() is not None:
        result = "kept"
    sys.stdout.write(result + "\n")
    return 0


def _in_file(file: Path) -> str:
    try:
        return _classify(file.read_bytes())
    except PermissionError:
        return "denied"
    except OSError:
        return "absent"


def _in_keyring() -> str:
    """Probe the keyring; only the Secret Service can be read without ever opening a prompt."""
    if sys.platform != "linux":
        return "unknown"
    import secretstorage  # noqa: PLC0415  (its dependencies exist on Linux only)

    try:
        with closing(secretstorage.dbus_init()) as bus:
            items = list(secretstorage.search_items(bus, {"service": SERVICE, "username": ITEM}))
            secrets = [item.get_secret() for item in items if not item.is_locked()]
    except Exception:  # noqa: BLE001  (no bus, no service, or a failing one: each raises exceptions of its own)
        return "unknown"
    words = {_classify(secret) for secret in secrets}
    return next((word for word in ("readable", "ciphertext") if word in words), "locked" if items else "absent")


def _classify(stored: bytes) -> str:
    return "readable" if stored.startswith(PLAINTEXT_PREFIX) else "ciphertext" if stored else "absent"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
