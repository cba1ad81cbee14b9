"""What is opened, what is not, and what is said of it."""

import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from seeded_home import made_up

from hfproxy.detect import patterns
from hfproxy.scan import walk
from hfproxy.scan.globs import Globs
from hfproxy.scan.walk import Walk

TOKEN = made_up()


def walked(*roots: Path, exclude: tuple[str, ...] = ()) -> Walk:
    scan = Walk(Globs(list(exclude)))
    for root in roots:
        scan.scan(str(root))
    return scan


def lines(scan: Walk, path: Path) -> list[int | None]:
    return [one.line for one in scan.findings.get(str(path), [])]


def test_lines_are_counted_from_one(tmp_path: Path) -> None:
    (tmp_path / "a").write_text(f"{TOKEN}\n\n{TOKEN} {TOKEN}\r\n{TOKEN}")
    assert lines(walked(tmp_path), tmp_path / "a") == [1, 3, 3, 4]


OPENED = """
import sys
opened = []
sys.addaudithook(lambda event, words: opened.append(words[0]) if event == "open" else None)
from hfproxy.scan.globs import Globs
from hfproxy.scan.walk import Walk
Walk(Globs([])).scan(sys.argv[1])
print([path for path in opened if str(path).startswith(sys.argv[1] + "/")])
"""


def test_only_regular_files_are_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    if os.geteuid() == 0:
        os.mknod(tmp_path / "device", 0o020600, os.makedev(1, 3))
    (tmp_path / "to-device").symlink_to("/dev/zero")
    (tmp_path / "nowhere").symlink_to("gone")
    (tmp_path / "round").symlink_to("round")
    (tmp_path / "up").symlink_to(tmp_path)
    (tmp_path / "file").write_text("x")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "s"))
        done = subprocess.run(
            [sys.executable, "-I", "-c", OPENED, str(tmp_path)], capture_output=True, text=True, timeout=60, check=True
        )
    assert done.stdout == f"{[str(tmp_path / 'file')]}\n"


def test_a_link_to_a_file_leads_to_it_and_one_to_a_directory_does_not(tmp_path: Path) -> None:
    for name in ("in", "out/deep"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "out/file").write_text(TOKEN)
    (tmp_path / "out/deep/file").write_text(TOKEN)
    (tmp_path / "in/file").symlink_to("../out/file")
    (tmp_path / "in/folder").symlink_to("../out/deep")
    scan = walked(tmp_path / "in")
    assert set(scan.findings) == {str(tmp_path / "out/file")}
    assert set(walked(tmp_path / "in/folder").findings) == {str(tmp_path / "out/deep/file")}  # but where one says so


DENIED = """
import os, sys
from hfproxy.scan.globs import Globs
from hfproxy.scan.walk import Walk
if os.geteuid() == 0:
    os.setgroups([]); os.setgid(65534); os.setuid(65534)
scan = Walk(Globs([]))
scan.scan(sys.argv[1])
print(scan.seen.denied, sorted(scan.findings))
"""


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """One that another user may enter, which pytest's own is not."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        yield Path(folder)


def test_what_may_not_be_read_is_counted_and_the_rest_is_read(open_folder: Path) -> None:
    root = open_folder / "root"
    (root / "closed").mkdir(parents=True)
    for name in ("closed/a", "secret", "open"):
        (root / name).write_text(TOKEN)
    (root / "secret").chmod(0)
    (root / "closed").chmod(0)
    done = subprocess.run([sys.executable, "-I", "-c", DENIED, str(root)], capture_output=True, text=True, timeout=60)
    (root / "closed").chmod(0o700)
    assert done.stdout == f"2 {[str(root / 'open')]}\n", done.stderr


@pytest.mark.parametrize("name", ["node_modules", ".cache", "site-packages", "__pycache__", "models--me--x"])
def test_what_tools_fill_is_left_out_unless_it_is_asked_for(tmp_path: Path, name: str) -> None:
    folder = tmp_path / name
    folder.mkdir()
    (folder / "x").write_text(TOKEN)
    scan = walked(tmp_path)
    assert (scan.findings, scan.seen.skipped, scan.seen.files) == ({}, 1, 0)
    assert set(walked(folder).findings) == {str(folder / "x")}


def test_the_objects_of_git_are_left_out_and_a_directory_of_that_name_is_not(tmp_path: Path) -> None:
    for name in ("a/.git/objects", "b/objects"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "x").write_text(TOKEN)
    (tmp_path / "a/.git/HEAD").touch()
    assert set(walked(tmp_path).findings) == {str(tmp_path / "b/objects/x")}


def test_what_is_excluded_is_counted(tmp_path: Path) -> None:
    for name in ("keep/a.txt", "fixtures/a.txt", "keep/b.lock"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(TOKEN)
    scan = walked(tmp_path, exclude=("fixtures/", "*.lock"))
    assert set(scan.findings) == {str(tmp_path / "keep/a.txt")}
    assert scan.seen.excluded == 2


def test_tokens_across_the_seams_of_a_large_file_are_found_once_each(tmp_path: Path) -> None:
    """Seams are where a piece ends, and where the overlap with the next one begins."""
    data = bytearray(b"some text\n" * 5_000_000)
    seams = [walk.PIECE_BYTES * number + walk.find.HEAD_BYTES for number in (1, 2)]
    places = [
        seam + shift
        for seam in seams
        for shift in (-patterns.MAX_TOKEN_BYTES - 100, -patterns.MAX_TOKEN_BYTES, -200, -120, -45, 0, 60)
    ]
    expected = []
    for place in sorted(places):
        token = made_up().encode()
        data[place - 20 : place + 20] = b" " + token + b" " * (39 - len(token))
        expected.append((data.count(b"\n", 0, place - 20) + 1, token.decode()))
    file = tmp_path / "large"
    file.write_bytes(data)
    found = [(one.line, one.token.reveal()) for one in walked(tmp_path).findings[str(file)]]
    assert found == expected


def test_a_large_binary_is_left_out_and_a_small_one_is_not(tmp_path: Path) -> None:
    (tmp_path / "small").write_bytes(b"\0" + TOKEN.encode())
    with (tmp_path / "large").open("wb") as file:
        file.write(b"\0" + TOKEN.encode())
        file.truncate(walk.BINARY_BYTES + 1)
    scan = walked(tmp_path)
    assert set(scan.findings) == {str(tmp_path / "small")}
    assert scan.seen.skipped == 1


def test_names_that_are_no_text_are_walked(tmp_path: Path) -> None:
    name = os.path.join(os.fsencode(tmp_path), b"caf\xe9 \xff\n")
    os.mkdir(name)
    with open(name + b"/x", "wb") as file:
        file.write(TOKEN.encode())
    assert [os.fsencode(path) for path in walked(tmp_path).findings] == [name + b"/x"]
