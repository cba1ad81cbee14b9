"""The key in the kernel's keyring: who finds it, and when it is gone."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from hfproxy.errors import VaultError
from hfproxy.secret import Secret
from hfproxy.vault import kernel_key_cache
from hfproxy.vault.kernel_key_cache import KernelKeyCache

KEY = Secret("00ff" * 30)
# In a session keyring of its own, as what another service manager or login starts has it.
FINDS = """
import sys
from pathlib import Path
from hfproxy.vault import kernel_key_cache as cache
cache._keyctl(1, None)
found = cache.KernelKeyCache(Path(sys.argv[1])).get()
print(found.reveal() if found else "nothing")
"""


@pytest.fixture
def place(tmp_path: Path) -> Iterator[KernelKeyCache]:
    place = KernelKeyCache(tmp_path)
    try:
        place.put(KEY, 600)
    except VaultError as error:
        pytest.skip(f"needs a kernel that keeps keys: {error}")
    yield place
    place.remove()


def found_by_another(state: Path, **popen: object) -> str:
    return subprocess.run(
        [sys.executable, "-c", FINDS, state], capture_output=True, text=True, check=True, timeout=60, **popen
    ).stdout.strip()  # type: ignore[call-overload,no-any-return]


def test_it_is_found_by_another_process_of_the_user_in_another_session(place: KernelKeyCache, tmp_path: Path) -> None:
    assert place.get() == KEY
    assert found_by_another(tmp_path) == KEY.reveal()


def test_another_state_directory_has_another_place(place: KernelKeyCache, tmp_path: Path) -> None:
    other = KernelKeyCache(tmp_path / "other")
    assert other.get() is None
    other.remove()
    assert place.get() == KEY


def test_once_forgotten_it_is_gone_for_everybody(place: KernelKeyCache, tmp_path: Path) -> None:
    place.remove()
    assert place.get() is None
    assert found_by_another(tmp_path) == "nothing"
    place.remove()


def test_a_new_one_takes_its_place(place: KernelKeyCache, tmp_path: Path) -> None:
    place.put(Secret("beef"), 600)
    assert found_by_another(tmp_path) == "beef"
    place.remove()
    assert place.get() is None


def test_the_kernel_forgets_it_when_its_time_is_over(place: KernelKeyCache) -> None:
    place.put(KEY, 1)
    deadline = time.monotonic() + 30
    while place.get() is not None:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_it_ends_by_itself_and_is_closed_to_other_users(place: KernelKeyCache, tmp_path: Path) -> None:
    """As the kernel shows it (/proc/keys): not permanent, and nothing for groups and others."""
    name = place._name.decode()
    ((_, _, _, until, permissions, *_),) = [
        line.split() for line in Path("/proc/keys").read_text().splitlines() if name in line
    ]
    assert until != "perm"
    assert permissions == f"{kernel_key_cache.PERMISSIONS:08x}"
    assert permissions.endswith("0000")


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to be another user")
def test_another_user_does_not_find_it(place: KernelKeyCache, tmp_path: Path) -> None:
    code = "import os; os.setgroups([]); os.setgid(12345); os.setuid(12345)\n"
    serial = place._serial()
    look = f"{code}from hfproxy.vault import kernel_key_cache as cache\nimport ctypes\ntry:\n cache._keyctl({kernel_key_cache.KEYCTL_READ}, {serial}, None, 0)\n print('read')\nexcept OSError as e:\n print(e.errno)\n"
    env = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    preloaded = f"import hfproxy.vault.kernel_key_cache, platform; platform.machine()\n{look}"
    done = subprocess.run([sys.executable, "-c", preloaded], env=env, capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "13", done


def test_where_the_kernel_keeps_none_that_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine whose numbers are not known stands for it."""
    monkeypatch.setattr(kernel_key_cache, "SYSCALLS", {})
    place = KernelKeyCache(tmp_path)
    with pytest.raises(VaultError, match="keeps no key here .*hf-proxy unlock --passphrase-file"):
        place.put(KEY, 60)
    assert place.get() is None
    place.remove()
