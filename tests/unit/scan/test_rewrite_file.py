"""What is kept when a token is taken out of a file, and what is not touched at all."""

import os
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from seeded_home import made_up

from hfproxy.scan import rewrite_file
from hfproxy.detect.kinds import LocationKind
from hfproxy.secret import Secret

TOKEN = made_up()


def gone(token: Secret) -> bool:
    return token.reveal() == TOKEN


def take_out(*names: Path, kind: LocationKind = LocationKind.FILE) -> None:
    rewrite_file.redact_file([str(name) for name in names], kind, gone)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "file"
    path.write_text(f"a={TOKEN}\n")
    return path


def alone(file: Path) -> bool:
    return [path.name for path in file.parent.iterdir()] == [file.name]


@pytest.mark.parametrize("mode", [0o600, 0o644, 0o640, 0o755, 0o4711, 0o666])
def test_the_mode_is_kept(file: Path, mode: int) -> None:
    file.chmod(mode)
    take_out(file)
    assert file.read_text() == "a=\n"
    assert stat.S_IMODE(file.stat().st_mode) == mode
    assert alone(file)


def test_owner_and_extended_attributes_are_kept(file: Path) -> None:
    os.setxattr(file, "user.note", b"mine")
    group = os.stat(file).st_gid
    other = next((one for one in os.getgroups() if one != group), 12345 if os.geteuid() == 0 else group)
    os.chown(file, -1, other)
    take_out(file)
    assert file.read_text() == "a=\n"
    assert os.getxattr(file, "user.note") == b"mine"
    assert file.stat().st_gid == other


def test_all_names_of_a_file_are_replaced_and_remain_one_file(file: Path, tmp_path: Path) -> None:
    other = tmp_path / "elsewhere" / "other"
    other.parent.mkdir()
    os.link(file, other)
    take_out(file, other)
    assert other.read_text() == "a=\n"
    assert file.samefile(other)
    assert file.stat().st_nlink == 2


def test_a_name_that_is_not_known_keeps_all_of_them_as_they_are(file: Path, tmp_path: Path) -> None:
    os.link(file, tmp_path / "other")
    with pytest.raises(rewrite_file.ManualEditError, match="2 names"):
        take_out(file)
    assert file.read_text() == f"a={TOKEN}\n"


def test_what_a_killed_run_left_is_in_nobodys_way(file: Path) -> None:
    with rewrite_file._temporary_name(str(file)) as fresh:
        Path(fresh).write_text("half")
    take_out(file)
    assert file.read_text() == "a=\n"
    assert alone(file)


def test_other_tokens_stay(file: Path) -> None:
    other = made_up()
    file.write_text(f"a={TOKEN} b={other}")
    take_out(file)
    assert file.read_text() == f"a= b={other}"


def test_a_file_that_is_gone_needs_nothing(tmp_path: Path) -> None:
    take_out(tmp_path / "gone")


def test_a_file_without_the_token_is_not_written(file: Path) -> None:
    file.write_text("new")
    before = file.stat()
    take_out(file)
    assert file.stat() == before


def read_only(file: Path) -> str:
    file.chmod(0o400)
    return "read-only"


def of_somebody_else(file: Path) -> str:
    if os.geteuid() != 0:
        pytest.skip("needs root, to give a file away")
    os.chown(file, 12345, -1)
    return "belongs to uid 12345"


def binary(file: Path) -> str:
    file.write_bytes(b"\0" + TOKEN.encode())
    return "binary"


def a_link(file: Path) -> str:
    file.rename(file.with_name("target"))
    file.symlink_to("target")
    return "symbolic links"


def a_fifo(file: Path) -> str:
    file.unlink()
    os.mkfifo(file)
    return "no longer a regular file"


@pytest.mark.parametrize("make", [read_only, of_somebody_else, binary, a_link, a_fifo], ids=lambda make: make.__name__)
def test_is_left_for_a_person(file: Path, make: Callable[[Path], str]) -> None:
    why = make(file)
    before = sorted((path.name, path.lstat()) for path in file.parent.iterdir())
    with pytest.raises(rewrite_file.ManualEditError, match=why):
        take_out(file)
    assert sorted((path.name, path.lstat()) for path in file.parent.iterdir()) == before


FULL = """
import resource, sys
from hfproxy.detect.kinds import LocationKind
from hfproxy.scan import rewrite_file

resource.setrlimit(resource.RLIMIT_FSIZE, (4, 4))
try:
    rewrite_file.redact_file([sys.argv[1]], LocationKind.FILE, lambda token: True)
except rewrite_file.ManualEditError as error:
    print(error)
"""


def test_a_file_that_cannot_be_written_whole_is_not_written(file: Path) -> None:
    file.write_text(f"a={TOKEN}\nand more than four bytes\n")
    done = subprocess.run([sys.executable, "-I", "-c", FULL, str(file)], capture_output=True, text=True, check=True)
    assert done.stdout == "File too large\n"
    assert file.read_text() == f"a={TOKEN}\nand more than four bytes\n"
    assert alone(file)


CHANGED = """
import os, sys
from hfproxy.detect.kinds import LocationKind
from hfproxy.scan import rewrite_file

path = sys.argv[1]
fsync = os.fsync

def change_first(fd):
    with open(path, "a") as file:
        file.write("one more line\\n")
    fsync(fd)

os.fsync = change_first
try:
    rewrite_file.redact_file([path], LocationKind.FILE, lambda token: True)
except rewrite_file.ManualEditError as error:
    print(error)
"""


def test_what_was_written_meanwhile_is_not_lost(file: Path) -> None:
    """Another process appends between the reading and the renaming: in the very moment, since it is in here."""
    done = subprocess.run([sys.executable, "-I", "-c", CHANGED, str(file)], capture_output=True, text=True, check=True)
    assert "changed in the meantime" in done.stdout
    assert file.read_text() == f"a={TOKEN}\none more line\n"
    assert alone(file)
