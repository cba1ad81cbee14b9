"""The sealed file: what opens it, what does not, and what is on the disk whatever happens."""

import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from canary import leaks, made_up
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hfproxy.errors import PassphraseError, VaultError, VaultLockedError
from hfproxy.secret import Secret
from hfproxy.vault import open_vault
from hfproxy.vault.envelope import HEADER, MIN_COST, MAGIC, MAX_COST, Cost
from hfproxy.vault.sealed_file import SealedFileVault

CHEAP = Cost(8, 1, 1)
PASSPHRASE = Secret("correct horse")
ONE_FILE = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
# Text as it may come from a terminal: lone surrogates stand for bytes that are no UTF-8.
PASSPHRASES = st.text(min_size=1, max_size=50).filter(lambda text: not any("\ud800" <= c <= "\udc7f" for c in text))


def cheap(path: Path) -> SealedFileVault:
    """A vault that a test can open often."""
    return SealedFileVault(path, CHEAP, least=CHEAP)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A sealed file with a document in it."""
    path = tmp_path / "vault.sealed"
    vault = cheap(path)
    vault.unlock(PASSPHRASE)
    vault.write(Secret("the document"))
    return path


def opened(path: Path) -> SealedFileVault:
    vault = cheap(path)
    vault.unlock(PASSPHRASE)
    return vault


class TestWhatOpensIt:
    @ONE_FILE
    @given(passphrase=PASSPHRASES, text=st.text(st.characters(codec="utf-8"), min_size=1))
    def test_what_was_sealed_is_read_with_the_same_passphrase(self, tmp_path: Path, passphrase: str, text: str) -> None:
        path = tmp_path / "vault.sealed"
        path.unlink(missing_ok=True)
        first, second = cheap(path), cheap(path)
        first.unlock(Secret(passphrase))
        first.write(Secret(text))
        second.unlock(Secret(passphrase))
        assert second.read() == Secret(text)

    @ONE_FILE
    @given(passphrase=PASSPHRASES.filter(lambda text: text != PASSPHRASE.reveal()))
    def test_no_other_passphrase_opens_it(self, path: Path, passphrase: str) -> None:
        vault = cheap(path)
        with pytest.raises(PassphraseError, match="does not open"):
            vault.unlock(Secret(passphrase))
        assert vault.locked

    def test_an_empty_passphrase_opens_nothing_and_makes_nothing(self, path: Path, tmp_path: Path) -> None:
        for place in (path, tmp_path / "new"):
            with pytest.raises(PassphraseError, match="empty"):
                cheap(place).unlock(Secret(""))
        assert not (tmp_path / "new").exists()

    def test_a_new_vault_is_empty_and_knows_its_passphrase_from_then_on(self, tmp_path: Path) -> None:
        path = tmp_path / "new"
        assert not cheap(path).exists
        assert opened(path).read() is None
        with pytest.raises(PassphraseError):
            cheap(path).unlock(Secret("another"))

    def test_locked_it_gives_nothing_and_takes_nothing(self, path: Path) -> None:
        vault, before = opened(path), path.read_bytes()
        vault.lock()
        for attempt in (vault.read, lambda: vault.write(Secret("x"))):
            with pytest.raises(VaultLockedError, match="hf-proxy unlock"):
                attempt()
        assert path.read_bytes() == before

    def test_a_wrong_passphrase_later_leaves_it_open_and_whole(self, path: Path) -> None:
        vault = opened(path)
        with pytest.raises(PassphraseError):
            vault.unlock(Secret("wrong"))
        assert vault.read() == Secret("the document")

    def test_users_get_the_costs_of_rfc_9106(self, tmp_path: Path) -> None:
        vault = open_vault("sealed-file", tmp_path)
        vault.unlock(PASSPHRASE)
        (path,) = tmp_path.iterdir()
        assert HEADER.unpack_from(path.read_bytes())[1:4] == (64 * 1024, 3, 4)
        assert open_vault("sealed-file", tmp_path).exists


class TestADamagedFile:
    """It is refused as a whole: no changed byte goes unnoticed."""

    @ONE_FILE
    @given(data=st.data())
    def test_any_changed_byte_is_noticed(self, path: Path, data: st.DataObject) -> None:
        good = path.read_bytes()
        at = data.draw(st.integers(0, len(good) - 1))
        change = data.draw(st.integers(1, 255))
        self.refused(path, good[:at] + bytes([good[at] ^ change]) + good[at + 1 :], good)

    @ONE_FILE
    @given(data=st.data())
    def test_any_cut_or_addition_is_noticed(self, path: Path, data: st.DataObject) -> None:
        good = path.read_bytes()
        cut = good[: data.draw(st.integers(0, len(good) - 1))]
        self.refused(path, data.draw(st.sampled_from([cut, good + b"\0", good + good, cut[::-1], b""])), good)

    def refused(self, path: Path, bad: bytes, good: bytes) -> None:
        vault = opened(path)
        path.write_bytes(bad)
        with pytest.raises(VaultError):
            vault.read()
        with pytest.raises((PassphraseError, VaultError)):
            cheap(path).unlock(PASSPHRASE)
        assert path.read_bytes() == bad, "a damaged file must stay for whoever can repair it"
        path.write_bytes(good)

    @pytest.mark.parametrize(
        "cost",
        [Cost(0, 0, 0), Cost(8, 1, 1), Cost(MIN_COST.memory, 1, 1), Cost(2**32 - 1, 3, 4), Cost(64 * 1024, 2**32 - 1, 4),
         Cost(64 * 1024, 3, 2**32 - 1), Cost(MAX_COST.memory + 1, 3, 4), Cost(64 * 1024, 3, 0)],
    )  # fmt: skip
    def test_a_planted_file_neither_weakens_the_next_guess_nor_keeps_us_busy(self, tmp_path: Path, cost: Cost) -> None:
        path = tmp_path / "vault.sealed"
        header = HEADER.pack(MAGIC, cost.memory, cost.passes, cost.lanes, b"s" * 16, b"n" * 12)
        path.write_bytes(header + b"x" * 100)
        path.chmod(0o600)
        with pytest.raises(VaultError, match="damaged or not a sealed vault"):
            SealedFileVault(path).unlock(PASSPHRASE)

    def test_an_older_file_put_back_is_still_only_ours(self, path: Path) -> None:
        """Not stopped, and known: whoever can write the file can bring back what it held before."""
        before = path.read_bytes()
        vault = opened(path)
        vault.write(Secret("newer"))
        path.write_bytes(before)
        assert vault.read() == Secret("the document")

    def test_a_file_that_is_gone_is_said_to_be_gone(self, path: Path) -> None:
        vault = opened(path)
        path.unlink()
        with pytest.raises(VaultError, match="cannot be opened"):
            vault.read()


class TestTheFile:
    """What stands on the disk."""

    def test_it_holds_no_clear_text_and_nobody_else_can_open_it(self, path: Path) -> None:
        token = made_up()
        opened(path).write(Secret(token))
        assert not leaks(path.read_bytes(), token)
        assert b"correct horse" not in path.read_bytes()
        assert path.stat().st_mode & 0o777 == 0o600

    def test_the_same_document_never_looks_the_same_twice(self, path: Path) -> None:
        vault = opened(path)
        bodies = set()
        for _ in range(50):
            vault.write(Secret("the document"))
            bodies.add(path.read_bytes()[HEADER.size :])
        assert len(bodies) == 50

    @pytest.mark.parametrize("mode", [0o640, 0o604, 0o660])
    def test_one_that_others_may_open_is_refused_and_the_command_named(self, path: Path, mode: int) -> None:
        path.chmod(mode)
        with pytest.raises(VaultError, match=f"chmod 600 {path}"):
            cheap(path).unlock(PASSPHRASE)

    def test_another_users_file_is_refused(self, path: Path) -> None:
        if os.getuid() != 0:
            pytest.skip("needs root, to give a file away")
        os.chown(path, 65534, 65534)
        with pytest.raises(VaultError, match="not a file of yours"):
            cheap(path).unlock(PASSPHRASE)

    def test_a_link_a_pipe_or_a_directory_in_its_place_is_not_followed(self, path: Path) -> None:
        elsewhere = path.rename(path.with_name("elsewhere"))
        path.symlink_to(elsewhere)
        with pytest.raises(VaultError, match="cannot be opened"):
            cheap(path).unlock(PASSPHRASE)
        path.unlink()
        for make in (os.mkfifo, os.mkdir):
            make(path, 0o600)
            with pytest.raises(VaultError, match="not a file of yours"):
                cheap(path).unlock(PASSPHRASE)
            (os.unlink if make is os.mkfifo else os.rmdir)(path)

    def test_a_dangling_link_is_not_a_new_vault(self, tmp_path: Path) -> None:
        path = tmp_path / "vault.sealed"
        path.symlink_to(tmp_path / "target")
        with pytest.raises(VaultError):
            cheap(path).unlock(PASSPHRASE)
        assert not (tmp_path / "target").exists()


class TestAWriteThatFails:
    """Afterwards the old document is there, and nothing else."""

    def test_a_full_disk_changes_nothing(self, path: Path) -> None:
        """A limit on the size of files stands for it: the write stops half-way with an error."""
        vault, before = opened(path), path.read_bytes()
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))
        try:
            with pytest.raises(VaultError, match="nothing was changed"):
                vault.write(Secret("x" * 100_000))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
            signal.signal(signal.SIGXFSZ, handler)
        assert path.read_bytes() == before
        assert os.listdir(path.parent) == [path.name]

    def test_a_directory_that_is_gone_is_said_so(self, path: Path, tmp_path: Path) -> None:
        vault = opened(path)
        path.unlink()
        tmp_path.rename(tmp_path.with_name("moved"))
        with pytest.raises(VaultError, match="cannot be written"):
            vault.write(Secret("x"))
        tmp_path.with_name("moved").rename(tmp_path)

    def test_killed_at_any_moment_it_leaves_the_old_or_the_new(self, path: Path) -> None:
        """A process writes one document after the other until it is killed."""
        code = (
            "import sys; from pathlib import Path; from hfproxy.secret import Secret;"
            "from hfproxy.vault.sealed_file import Cost, SealedFileVault;"
            "v = SealedFileVault(Path(sys.argv[1]), least=Cost(8, 1, 1)); v.unlock(Secret('correct horse'));"
            "print('ready', flush=True); n = 0\n"
            "while True: n += 1; v.write(Secret(f'document {n} ' * 20_000)); print(n, flush=True)"
        )
        for round_ in range(8):
            writer = subprocess.Popen([sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE)
            assert writer.stdout is not None
            assert writer.stdout.readline() == b"ready\n"
            time.sleep(0.01 + 0.013 * round_)
            writer.kill()
            finished = [0, *map(int, writer.stdout.read().split())]
            writer.stdout.close()
            writer.wait()
            document = opened(path).read()
            assert document is not None
            done = [f"document {n} " * 20_000 for n in (finished[-1], finished[-1] + 1)]
            assert document.reveal() in {"the document" if finished[-1] == 0 else "", *done}
            opened(path).write(Secret("the document"))

    def test_two_writers_leave_one_of_the_two(self, path: Path) -> None:
        first, second = opened(path), opened(path)
        first.write(Secret("of the first"))
        second.write(Secret("of the second"))
        assert first.read() == Secret("of the second")
