"""The sealed item in a real keyring: what another program finds there, and what is done when it is not as it was left."""

import base64
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from canary import leaks, made_up
from secret_service import SecretService

from hfproxy.errors import PassphraseError, VaultError, VaultLockedError
from hfproxy.secret import Secret
from hfproxy.vault.envelope import HEADER, MAGIC, MAX_COST, Cost
from hfproxy.vault.keyring_vault import KeyringVault
from hfproxy.vault.keyring_item import KeyringItem

CHEAP = Cost(8, 1, 1)
PASSPHRASE = Secret("correct horse")
DOCUMENT = Secret('{"a": "document"}')
# Another program of the same user: it asks the keyring for everything that there is.
THIEF = """
import secretstorage, sys
bus = secretstorage.dbus_init()
for collection in secretstorage.get_all_collections(bus):
    for item in collection.get_all_items():
        sys.stdout.buffer.write(repr((item.get_label(), item.get_attributes())).encode() + item.get_secret())
bus.close()
"""


@pytest.fixture
def mark(tmp_path: Path) -> Path:
    return tmp_path / "keyring-sealed"


@pytest.fixture
def vault(keyring: SecretService, mark: Path) -> KeyringVault:
    """In the clear, with a document in it."""
    vault = again(mark)
    vault.write(DOCUMENT)
    return vault


@pytest.fixture
def sealed(vault: KeyringVault) -> KeyringVault:
    """Sealed, and open."""
    vault.seal(PASSPHRASE)
    return vault


def again(mark: Path) -> KeyringVault:
    """As another daemon finds it."""
    return KeyringVault(KeyringItem(), mark, CHEAP, CHEAP)


def stolen() -> bytes:
    return subprocess.run([sys.executable, "-c", THIEF], capture_output=True, check=True, timeout=60).stdout


def lying_there() -> str | None:
    found = KeyringItem().read()
    return None if found is None else found.reveal()


class TestSealing:
    def test_leaves_ciphertext_to_every_program_that_reads_the_keyring(self, vault: KeyringVault) -> None:
        token = made_up()
        vault.write(Secret(f'{{"token": "{token}"}}'))
        assert leaks(stolen(), token), "the thief finds nothing in the clear either: nothing is tested"
        vault.seal(PASSPHRASE)
        found = stolen()
        (hidden,) = [base64.b64decode(lying_there() or "")]
        assert hidden.startswith(MAGIC)
        assert not leaks(found, token)
        assert not leaks(hidden, token)
        assert b"correct horse" not in found + hidden
        vault.write(Secret(f'{{"other": "{token}"}}'))
        assert not leaks(stolen(), token)

    def test_is_known_to_the_next_daemon_which_is_locked_until_it_has_the_passphrase(
        self, sealed: KeyringVault, mark: Path
    ) -> None:
        assert (sealed.name, sealed.locked, sealed.read()) == ("keyring:SecretService (sealed)", False, DOCUMENT)
        later = again(mark)
        assert (later.name, later.locked) == ("keyring:SecretService (sealed)", True)
        for attempt in (later.read, lambda: later.write(Secret("x")), lambda: later.seal(PASSPHRASE)):
            with pytest.raises(VaultLockedError, match="hf-proxy unlock"):
                attempt()
        with pytest.raises(PassphraseError, match="does not open the item in the keyring"):
            later.unlock(Secret("wrong"))
        assert later.locked
        later.unlock(PASSPHRASE)
        later.write(Secret("changed"))
        assert sealed.read() == Secret("changed")

    def test_an_empty_vault_and_a_second_time(self, keyring: SecretService, mark: Path) -> None:
        vault = again(mark)
        vault.seal(PASSPHRASE)
        assert vault.read() is None
        with pytest.raises(VaultError, match="sealed already; to change its passphrase, first: hf-proxy vault unseal"):
            vault.seal(Secret("another"))
        again(mark).unlock(PASSPHRASE)

    def test_with_nothing_changes_nothing(self, vault: KeyringVault, mark: Path) -> None:
        with pytest.raises(PassphraseError, match="empty"):
            vault.seal(Secret(""))
        assert (lying_there(), mark.exists()) == (DOCUMENT.reveal(), False)

    def test_a_lock_forgets_the_key_and_the_key_alone_opens_it_again(self, sealed: KeyringVault) -> None:
        key = sealed.key
        assert key is not None
        sealed.lock()
        assert (sealed.locked, sealed.key) == (True, None)
        sealed.unlock_with_key(key)
        assert sealed.read() == DOCUMENT

    def test_a_key_of_another_sealing_does_not_open_it(self, sealed: KeyringVault) -> None:
        key = sealed.key
        assert key is not None
        sealed.unseal(PASSPHRASE)
        sealed.seal(PASSPHRASE)
        sealed.lock()
        for wrong in (key, Secret("00"), Secret("no hex")):
            with pytest.raises(PassphraseError, match="hf-proxy unlock"):
                sealed.unlock_with_key(wrong)
        assert sealed.locked


class TestTheWayBack:
    def test_needs_the_passphrase_even_where_it_is_open(self, sealed: KeyringVault, mark: Path) -> None:
        before = lying_there()
        with pytest.raises(PassphraseError):
            sealed.unseal(Secret("wrong"))
        assert (lying_there(), mark.exists(), sealed.read()) == (before, True, DOCUMENT)

    def test_leaves_all_as_before_it_was_sealed(self, sealed: KeyringVault, mark: Path) -> None:
        sealed.unseal(PASSPHRASE)
        assert (sealed.name, sealed.locked, sealed.read()) == ("keyring:SecretService", False, DOCUMENT)
        assert (lying_there(), mark.exists()) == (DOCUMENT.reveal(), False)
        with pytest.raises(VaultError, match="not sealed"):
            sealed.unseal(PASSPHRASE)

    def test_from_an_empty_vault(self, keyring: SecretService, mark: Path) -> None:
        vault = again(mark)
        vault.seal(PASSPHRASE)
        vault.unseal(PASSPHRASE)
        assert vault.read() is None


class TestWhatIsNotAsItWasLeft:
    def test_without_its_mark_it_is_sealed_still_and_gets_it_back(self, sealed: KeyringVault, mark: Path) -> None:
        mark.unlink()
        later = again(mark)
        for attempt in (later.read, lambda: later.write(Secret("in the clear"))):
            with pytest.raises(VaultLockedError):
                attempt()
        assert later.locked
        assert mark.exists()
        mark.unlink()
        another = again(mark)
        another.unlock(PASSPHRASE)
        assert another.read() == DOCUMENT
        assert mark.exists()

    @pytest.mark.parametrize("opened", [True, False], ids=["while it is open", "while it is locked"])
    def test_gone_it_is_not_written_anew(self, sealed: KeyringVault, mark: Path, opened: bool) -> None:
        self.delete()
        self.refused(sealed if opened else again(mark), opened, "gone from the keyring.*rm .*keyring-sealed")
        assert lying_there() is None

    @pytest.mark.parametrize("opened", [True, False], ids=["while it is open", "while it is locked"])
    @pytest.mark.parametrize("planted", ["{}", '{"version":1,"accounts":[]}', "", "x" * 100])
    def test_replaced_by_one_in_the_clear_that_one_is_neither_used_nor_replaced(
        self, sealed: KeyringVault, mark: Path, opened: bool, planted: str
    ) -> None:
        KeyringItem().write(Secret(planted))
        self.refused(sealed if opened else again(mark), opened, "replaced by a plaintext one.*secret-tool clear")
        assert lying_there() == planted

    @pytest.mark.parametrize(
        "change",
        [lambda t: t[:-4], lambda t: t[:40], lambda t: t + "AAAA", lambda t: t[:-9] + "!!!!!!!!="],
        ids=["cut", "cut short", "longer", "no base64"],
    )
    def test_damaged_it_is_refused_and_kept(
        self, sealed: KeyringVault, mark: Path, change: Callable[[str], str]
    ) -> None:
        damaged = change(lying_there() or "")
        KeyringItem().write(Secret(damaged))
        for attempt in (sealed.read, lambda: sealed.write(Secret("x")), lambda: again(mark).unlock(PASSPHRASE)):
            with pytest.raises(VaultError, match="damaged"):
                attempt()
        assert lying_there() == damaged

    def test_another_seal_in_its_place_is_not_written_over(
        self, sealed: KeyringVault, mark: Path, tmp_path: Path
    ) -> None:
        self.delete()
        foreign = again(tmp_path / "another mark")
        foreign.seal(Secret("of the thief"))
        planted = lying_there()
        for attempt in (sealed.read, lambda: sealed.write(Secret("x"))):
            with pytest.raises(VaultError, match="damaged or was replaced"):
                attempt()
        with pytest.raises(PassphraseError):
            again(mark).unlock(PASSPHRASE)
        assert lying_there() == planted

    @pytest.mark.parametrize(
        "cost",
        [Cost(8, 1, 1), Cost(64 * 1024, 1, 4), Cost(MAX_COST.memory + 1, 3, 4), Cost(2**32 - 1, 3, 4), Cost(64 * 1024, 2**31, 4)],
        ids=["tiny", "one pass", "too much memory", "a memory bomb", "for ever"],
    )  # fmt: skip
    def test_planted_costs_are_not_paid(self, keyring: SecretService, mark: Path, cost: Cost) -> None:
        header = HEADER.pack(MAGIC, cost.memory, cost.passes, cost.lanes, b"s" * 16, b"n" * 12)
        KeyringItem().write(Secret(base64.b64encode(header + b"x" * 100).decode()))
        with pytest.raises(VaultError, match="damaged or not a sealed vault"):
            KeyringVault(KeyringItem(), mark).unlock(PASSPHRASE)

    def delete(self) -> None:
        import keyring.backends.SecretService  # noqa: PLC0415

        keyring.backends.SecretService.Keyring().delete_password("hf-proxy", "accounts")

    def refused(self, vault: KeyringVault, opened: bool, why: str) -> None:
        if opened:
            for attempt in (vault.read, lambda: vault.write(Secret("x")), lambda: vault.unseal(PASSPHRASE)):
                with pytest.raises(VaultError, match=why):
                    attempt()
        else:
            with pytest.raises(VaultError, match=why):
                vault.unlock(PASSPHRASE)
            assert vault.locked


class TestACrash:
    """A process of its own seals, or unseals, and ends before or after the n-th thing that it asks of the keyring or the
    disk."""

    CODE = """
import os, sys
from pathlib import Path
from hfproxy import atomic_file
from hfproxy.secret import Secret
from hfproxy.vault.envelope import Cost
from hfproxy.vault.keyring_vault import KeyringVault
from hfproxy.vault.keyring_item import KeyringItem
what, mark, last, after = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), sys.argv[4] == "after"
steps = 0
def dying(call):
    def step(*args):
        global steps
        steps += 1
        if steps == last and not after:
            os._exit(9)
        result = call(*args)
        if steps == last:
            os._exit(9)
        return result
    return step
KeyringItem.read, KeyringItem.write = dying(KeyringItem.read), dying(KeyringItem.write)
atomic_file.write, atomic_file.remove = dying(atomic_file.write), dying(atomic_file.remove)
vault = KeyringVault(KeyringItem(), mark, Cost(8, 1, 1), Cost(8, 1, 1))
getattr(vault, what)(Secret("correct horse"))
"""

    @pytest.mark.parametrize("what", ["seal", "unseal"])
    def test_at_any_step_loses_nothing(self, vault: KeyringVault, mark: Path, what: str) -> None:
        outcomes = []
        for number in range(1, 20):
            for when in ("before", "after"):
                if what == "unseal":
                    self.start_anew(mark).seal(PASSPHRASE)
                else:
                    self.start_anew(mark)
                code = subprocess.run([sys.executable, "-c", self.CODE, what, mark, str(number), when], timeout=60)
                outcomes.append(self.what_is_left(mark))
                assert code.returncode in {0, 9}
            if code.returncode == 0:
                break
        assert code.returncode == 0
        assert len(outcomes) >= 8
        assert outcomes == sorted(outcomes, reverse=what == "unseal"), "there is one moment at which it changes"
        assert {outcomes[0], outcomes[-1]} == {"in the clear", "sealed"}

    @pytest.mark.parametrize("what", ["seal", "unseal"])
    @pytest.mark.parametrize("when", ["before", "after"])
    def test_of_the_keyring_at_any_step_loses_nothing_either(
        self, vault: KeyringVault, mark: Path, what: str, when: str
    ) -> None:
        """The daemon goes on, and so does the next one."""

        class Failing(KeyringItem):
            left = 0

            def read(self) -> Secret | None:
                return self.step(super().read)

            def write(self, text: Secret) -> None:
                self.step(lambda: super(Failing, self).write(text))

            def step(self, call: Callable[[], Secret | None]) -> Secret | None:
                self.left -= 1
                if self.left == 0 and when == "before":
                    raise VaultError("gone")
                result = call()
                if self.left == 0:
                    raise VaultError("gone")
                return result

        for number in range(1, 20):
            self.start_anew(mark)
            item = Failing()
            vault = KeyringVault(item, mark, CHEAP, CHEAP)
            if what == "unseal":
                vault.seal(PASSPHRASE)
            item.left = number
            try:
                getattr(vault, what)(PASSPHRASE)
            except VaultError:
                item.left = 0
                with suppress(VaultLockedError):
                    assert vault.read() == DOCUMENT
                self.what_is_left(mark)
            else:
                break
        assert 3 < number < 19

    def start_anew(self, mark: Path) -> KeyringVault:
        mark.unlink(missing_ok=True)
        KeyringItem().write(DOCUMENT)
        return again(mark)

    def what_is_left(self, mark: Path) -> str:
        """The document is there, for who has the passphrase where it is needed, and may be changed."""
        vault = again(mark)
        try:
            found = vault.read()
        except VaultLockedError:
            vault.unlock(PASSPHRASE)
            found = vault.read()
        assert found == DOCUMENT
        vault.write(DOCUMENT)
        return "sealed" if vault.name.endswith("(sealed)") else "in the clear"


def test_what_is_not_read_back_is_taken_back(keyring: SecretService, mark: Path) -> None:
    """A keyring that keeps something else than it was given, once."""

    class Forgetful(KeyringItem):
        def write(self, text: Secret) -> None:
            super().write(text if text == DOCUMENT else Secret("lost"))

    vault = KeyringVault(Forgetful(), mark, CHEAP, CHEAP)
    vault.write(DOCUMENT)
    with pytest.raises(VaultError, match="does not return what was written"):
        vault.seal(PASSPHRASE)
    assert (lying_there(), mark.exists(), vault.locked) == (DOCUMENT.reveal(), False, False)
    assert vault.read() == DOCUMENT
