"""The memory vault: the least that a vault is."""

from pathlib import Path

import pytest

from hfproxy.errors import VaultError
from hfproxy.secret import Secret
from hfproxy.vault import open_vault


def test_it_holds_what_was_written_last_and_survives_a_lock(tmp_path: Path) -> None:
    vault = open_vault("memory", tmp_path)
    assert vault.read() is None
    vault.write(Secret("one"))
    vault.write(Secret("two"))
    vault.lock()
    assert vault.read() == Secret("two")
    assert list(tmp_path.iterdir()) == []


def test_a_passphrase_is_not_for_it(tmp_path: Path) -> None:
    with pytest.raises(VaultError, match="hf-proxy unlock"):
        open_vault("memory", tmp_path).unlock(Secret("x"))
