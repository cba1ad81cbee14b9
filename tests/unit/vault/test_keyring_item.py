"""The keyring vault on a real Secret Service."""

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from canary import in_files, leaks, made_up
from secret_service import SecretService

from hfproxy.errors import VaultAbsentError, VaultError, VaultLockedError
from hfproxy.secret import Secret
from hfproxy.vault import open_vault
from hfproxy.vault.keyring_item import KeyringItem


def test_an_empty_keyring_has_no_document(keyring: SecretService) -> None:
    assert KeyringItem().read() is None


@pytest.mark.parametrize("text", ["{}", "a", "ü€😀\n\t", "x" * 200_000, json.dumps({"token": "hf_" + "a" * 34})])
def test_what_was_written_is_read_by_another_process_of_ours(keyring: SecretService, text: str) -> None:
    KeyringItem().write(Secret(text))
    assert KeyringItem().read() == Secret(text)


def test_writing_again_replaces_the_one_item_there_is(keyring: SecretService) -> None:
    for text in ("first", "second", "third"):
        KeyringItem().write(Secret(text))
    (item,) = keyring.items()
    assert item[2] == b"third"


def test_neither_the_label_nor_the_attributes_nor_any_file_hold_the_token(keyring: SecretService) -> None:
    token = made_up()
    KeyringItem().write(Secret(json.dumps({"token": token})))
    ((label, attributes, secret),) = keyring.items()
    assert leaks(secret, token)
    assert not leaks(repr((label, attributes)).encode(), token)
    assert list((keyring.folder / "data").rglob("*.keyring")), "the keyring wrote no file: nothing was tested"
    assert in_files(keyring.folder, token) == []


def test_a_locked_keyring_is_said_to_be_locked_and_nothing_is_lost(keyring: SecretService) -> None:
    """With nobody to answer its prompt, it must not wait for ever either."""
    vault = KeyringItem()
    vault.write(Secret("kept"))
    keyring.lock()
    for attempt in (vault.read, lambda: vault.write(Secret("new"))):
        with pytest.raises(VaultLockedError, match="unlock it in your desktop session"):
            attempt()
    keyring.stop()


def test_a_bus_without_a_keyring_names_what_to_do(service: SecretService) -> None:
    for attempt in (KeyringItem().read, lambda: KeyringItem().write(Secret("x"))):
        with pytest.raises(VaultAbsentError, match="sealed-file"):
            attempt()


@pytest.mark.parametrize("address", ["unix:path=/nonexistent/bus", "nonsense", ""])
def test_no_bus_names_what_to_do(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", address)
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/nonexistent")
    with pytest.raises(VaultAbsentError, match="sealed-file"):
        KeyringItem().read()


def test_a_keyring_that_dies_does_not_take_its_error_text_along(keyring: SecretService) -> None:
    """An error of the library may quote what was to be stored."""
    token = made_up()
    vault = KeyringItem()
    keyring.stop()
    with pytest.raises(VaultError) as caught:
        vault.write(Secret(token))
    assert token not in str(caught.value)
    assert caught.value.__suppress_context__


def test_nothing_planted_chooses_another_backend(keyring: SecretService, tmp_path: Path) -> None:
    """Neither the variable, nor the config file, nor an installed plugin that keyring itself would obey."""
    planted = tmp_path / "planted"
    (planted / "thief-1.dist-info").mkdir(parents=True)
    (planted / "thief-1.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: thief\nVersion: 1\n")
    (planted / "thief-1.dist-info" / "entry_points.txt").write_text("[keyring.backends]\nthief = thief:note\n")
    (planted / "thief.py").write_text(
        f"import keyring.backend\nopen({str(tmp_path / 'ran')!r}, 'a').write('x')\ndef note(): pass\n"
        "class Thief(keyring.backend.KeyringBackend):\n    priority = 99\n"
        "    def get_password(self, *a): return 'planted'\n    def set_password(self, *a): pass\n"
    )
    config = tmp_path / "config" / "python_keyring" / "keyringrc.cfg"
    config.parent.mkdir(parents=True)
    config.write_text("[backend]\ndefault-keyring=thief.Thief\n")
    env = {
        **os.environ, **keyring.env,
        "PYTHON_KEYRING_BACKEND": "thief.Thief", "XDG_CONFIG_HOME": str(tmp_path / "config"), "PYTHONPATH": str(planted),
    }  # fmt: skip
    ask_keyring = "import keyring; print(keyring.get_password('hf-proxy', 'accounts'))"
    ask_vault = (
        "from pathlib import Path; from hfproxy.vault import open_vault; from hfproxy.secret import Secret;"
        f"v = open_vault('keyring', Path({str(tmp_path)!r}));"
        "v.write(Secret('ours')); print(v.read().reveal())"
    )
    assert output(ask_keyring, env) == "planted", "the plant does not work: nothing was tested"
    (tmp_path / "ran").unlink()
    assert output(ask_vault, env) == "ours"
    assert not (tmp_path / "ran").exists()


def output(code: str, env: dict[str, str]) -> str:
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize("platform", ["linux", "darwin", "win32"])
def test_every_backend_that_is_named_is_one_of_the_library(platform: str) -> None:
    """Its module may need the system it is for; that it is there can be seen anywhere."""
    vault = KeyringItem(platform)
    found = find_spec(vault._module)
    assert found is not None
    assert found.origin is not None
    assert f"class {vault._class}(" in Path(found.origin).read_text()
    assert vault.name.startswith("keyring:")


def test_a_system_without_a_keyring_is_told_to_use_the_sealed_file() -> None:
    with pytest.raises(VaultAbsentError, match="sealed-file"):
        KeyringItem("plan9")


def test_what_windows_could_not_hold_is_refused_before_it_is_tried() -> None:
    with pytest.raises(VaultError, match="2560 bytes"):
        KeyringItem("win32").write(Secret("x" * 1281))


def test_a_passphrase_is_not_for_a_keyring_that_is_not_sealed(keyring: SecretService, tmp_path: Path) -> None:
    vault = open_vault("keyring", tmp_path)
    vault.write(Secret("{}"))
    with pytest.raises(VaultError, match="hf-proxy unlock"):
        vault.unlock(Secret("x"))
