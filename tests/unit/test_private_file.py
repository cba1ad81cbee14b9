"""Secret files: which are read, and which are not touched."""

import os
from pathlib import Path

import pytest

from hfproxy import private_file
from hfproxy.errors import VaultError


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return written(tmp_path / "key", b"pass word\n")


def written(path: Path, content: bytes, mode: int = 0o600) -> Path:
    path.write_bytes(content)
    path.chmod(mode)
    return path


@pytest.mark.parametrize(
    ("content", "passphrase"),
    [
        (b"x", "x"),
        (b"x\n", "x"),
        (b"x\r\n", "x"),
        (b" x \n\n", " x \n"),
        ("ü\n".encode(), "ü"),
        (b"x" * 4096, "x" * 4096),
    ],
    ids=["bare", "a line", "a line of another system", "only one newline goes", "UTF-8", "as long as may be"],
)
def test_a_passphrase_is_what_stands_there_without_the_end_of_its_line(
    file: Path, content: bytes, passphrase: str
) -> None:
    file.write_bytes(content)
    assert private_file.passphrase(str(file)).reveal() == passphrase


@pytest.mark.parametrize(
    "content", [b"", b"\n", b"\xff\xfe", b"x" * 4097], ids=["empty", "a line's end", "no text", "long"]
)
def test_what_is_no_passphrase_is_refused_and_not_repeated(file: Path, content: bytes) -> None:
    file.write_bytes(content)
    with pytest.raises(VaultError, match=r"holds no passphrase .*make one: head -c 32") as caught:
        private_file.passphrase(str(file))
    assert "xxxx" not in str(caught.value)


@pytest.mark.parametrize("mode", [0o600, 0o400, 0o700])
def test_a_mode_for_nobody_else_is_read(file: Path, mode: int) -> None:
    file.chmod(mode)
    assert private_file.read(str(file), 100) == b"pass word\n"


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602, 0o610, 0o644, 0o666])
def test_a_mode_for_others_is_refused_with_the_command_that_mends_it(file: Path, mode: int) -> None:
    file.chmod(mode)
    with pytest.raises(VaultError, match=f"is open to other users; run: chmod 600 {file}"):
        private_file.read(str(file), 100)


@pytest.mark.parametrize("mode", [0o440, 0o400, 0o600])
def test_what_systemd_hands_over_may_be_readable_to_a_list_of_users(file: Path, mode: int) -> None:
    file.chmod(mode)
    assert private_file.read(str(file), 100, of_root=True) == b"pass word\n"


@pytest.mark.parametrize("mode", [0o444, 0o460, 0o404, 0o450])
def test_but_not_to_all_and_not_writable(file: Path, mode: int) -> None:
    file.chmod(mode)
    with pytest.raises(VaultError, match="open to other users"):
        private_file.read(str(file), 100, of_root=True)


def test_a_link_is_not_followed_whether_it_leads_somewhere_or_not(file: Path, tmp_path: Path) -> None:
    for target in (file, tmp_path / "nowhere"):
        link = tmp_path / "link"
        link.symlink_to(target)
        with pytest.raises(VaultError, match="cannot be opened.*name the file itself"):
            private_file.read(str(link), 100)
        link.unlink()


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir], ids=["a pipe", "a directory"])
def test_what_is_no_plain_file_is_refused_and_not_waited_for(tmp_path: Path, make: object) -> None:
    make(tmp_path / "x", 0o600)  # type: ignore[operator]
    with pytest.raises(VaultError, match="not a file of yours"):
        private_file.read(str(tmp_path / "x"), 100)


def test_a_device_without_an_end_is_refused() -> None:
    with pytest.raises(VaultError, match="not a file of yours"):
        private_file.read("/dev/zero", 100)


def test_somebody_elses_file_is_refused(file: Path) -> None:
    """Root's, if we are not root; else one that is given away."""
    theirs = Path("/etc/hostname")
    if os.geteuid() == 0:
        theirs = file
        os.chown(theirs, 12345, -1)
    for of_root in (False, os.geteuid() == 0):
        with pytest.raises(VaultError, match="not a file of yours"):
            private_file.read(str(theirs), 100, of_root=of_root)


def test_no_more_is_read_than_one_byte_over_the_limit(file: Path) -> None:
    file.write_bytes(b"x" * 1000)
    assert private_file.read(str(file), 10) == b"x" * 11
