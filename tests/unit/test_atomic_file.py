"""Small files: whole or not at all, for nobody else, and the old one stays where the new one cannot be written."""

from pathlib import Path

import pytest

from hfproxy import atomic_file


def test_a_file_takes_the_place_of_the_one_before_and_leaves_nothing_beside(tmp_path: Path) -> None:
    path = tmp_path / "x"
    for content in (b"old, and longer", b"new"):
        atomic_file.write(path, content)
        assert path.read_bytes() == content
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [path]
    atomic_file.remove(path)
    atomic_file.remove(path)
    assert list(tmp_path.iterdir()) == []


def test_one_that_cannot_be_written_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.mkdir()
    (path / "inside").touch()
    with pytest.raises(OSError):
        atomic_file.write(path, b"new")
    assert list(tmp_path.iterdir()) == [path]


def test_a_link_that_was_put_there_is_replaced_and_not_followed(tmp_path: Path) -> None:
    other, path = tmp_path / "other", tmp_path / "x"
    other.write_bytes(b"mine")
    path.symlink_to(other)
    atomic_file.write(path, b"new")
    assert (other.read_bytes(), path.read_bytes(), path.is_symlink()) == (b"mine", b"new", False)
