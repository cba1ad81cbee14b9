"""The wheel and the source distribution hold what users and packagers need. Both are built here, without the network."""

import subprocess
import tarfile
import tomllib
import zipfile
from collections.abc import Callable
from configparser import ConfigParser
from email.message import Message
from email.parser import Parser
from pathlib import Path

import pytest

ROOT = next(folder for folder in Path(__file__).parents if (folder / "pyproject.toml").is_file())
Build = Callable[[Path, Path, str], Path]


@pytest.fixture(scope="module")
def build(interpreter: Callable[[str], str]) -> Build:
    """Builds `wheel` or `sdist` of a source tree into a directory, with the pinned hatchling."""
    python = interpreter("lint")

    def run(source: Path, into: Path, kind: str) -> Path:
        subprocess.run([python, "-I", "-m", "hatchling", "build", "-t", kind, "-d", into], cwd=source, check=True)
        (built,) = into.iterdir()
        return built

    return run


@pytest.fixture(scope="module")
def wheel(build: Build, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The files of the wheel, by name."""
    return contents(build(ROOT, tmp_path_factory.mktemp("wheel"), "wheel"))


@pytest.fixture(scope="module")
def unpacked(build: Build, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tree of the source distribution."""
    into = tmp_path_factory.mktemp("sdist")
    with tarfile.open(build(ROOT, into, "sdist")) as archive:
        archive.extractall(into / "unpacked", filter="data")
    (tree,) = (into / "unpacked").iterdir()
    return tree


def contents(wheel: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def info(wheel: dict[str, bytes], name: str) -> str:
    (found,) = (name_ for name_ in wheel if name_.endswith(f".dist-info/{name}"))
    return wheel[found].decode()


def metadata(wheel: dict[str, bytes]) -> Message:
    return Parser().parsestr(info(wheel, "METADATA"))


def files(folder: Path, pattern: str = "*") -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob(pattern) if path.is_file()}


def test_the_wheel_has_every_module_and_is_typed(wheel: dict[str, bytes]) -> None:
    modules = {name for name in wheel if name.endswith(".py")}
    assert modules == {f"hfproxy/{name}" for name in files(ROOT / "hfproxy", "*.py")}
    assert len(modules) > 100
    assert wheel["hfproxy/py.typed"] == b""


def test_the_wheel_starts_the_command(wheel: dict[str, bytes]) -> None:
    entry_points = ConfigParser()
    entry_points.read_string(info(wheel, "entry_points.txt"))
    assert dict(entry_points["console_scripts"]) == {"hf-proxy": "hfproxy.__main__:main"}


def test_the_wheel_has_the_licence_that_it_names(wheel: dict[str, bytes]) -> None:
    assert metadata(wheel)["License-Expression"] == "Apache-2.0"
    assert metadata(wheel).get_all("License-File") == ["LICENSE"]
    assert info(wheel, "licenses/LICENSE") == (ROOT / "LICENSE").read_text("utf-8")
    assert "Apache License" in info(wheel, "licenses/LICENSE")


def test_the_wheel_has_the_manual_where_an_environment_is_searched_for_it(wheel: dict[str, bytes]) -> None:
    placed = {name.partition(".data/data/")[2]: text for name, text in wheel.items() if ".data/data/" in name}
    assert placed == {
        f"share/man/man{page.suffix[1:]}/{page.name}": page.read_bytes() for page in (ROOT / "man").iterdir()
    }
    assert len(placed) == 2


def test_the_wheel_has_the_units_that_service_install_writes(wheel: dict[str, bytes]) -> None:
    placed = {name.removeprefix("hfproxy/systemd/") for name in wheel if name.startswith("hfproxy/systemd/")}
    assert placed == files(ROOT / "systemd")
    assert {"hf-proxy.service", "hf-proxy.socket", "system/hf-proxy.service"} <= placed


def test_the_wheel_asks_for_what_the_project_names_and_for_no_test(wheel: dict[str, bytes]) -> None:
    required = metadata(wheel).get_all("Requires-Dist") or []
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert len(required) == len(project["dependencies"])
    assert not any(name.startswith(("tests/", "docs/")) for name in wheel)


def test_the_source_distribution_has_the_whole_tree(unpacked: Path) -> None:
    """Tests and documents as well: a distribution's packager runs the one and installs the other."""
    for folder in ("hfproxy", "docs", "man", "systemd", "launchd", "requirements"):
        on_disk = {name for name in files(ROOT / folder) if "__pycache__" not in name}
        assert files(unpacked / folder) == on_disk, folder
        assert on_disk, folder
    assert files(unpacked / "tests", "test_*.py") == {
        name for name in files(ROOT / "tests", "test_*.py") if "node_modules" not in name
    }
    at_the_root = {path.name for path in ROOT.iterdir() if path.suffix in {".md", ".toml", ".yml"}}
    at_the_root = {name for name in at_the_root if not name.startswith(".")} | {"LICENSE", "Makefile"}
    assert at_the_root <= {path.name for path in unpacked.iterdir()}
    assert {"README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md"} <= at_the_root


def test_the_source_distribution_builds_the_same_wheel(
    build: Build, unpacked: Path, wheel: dict[str, bytes], tmp_path: Path
) -> None:
    assert contents(build(unpacked, tmp_path, "wheel")) == wheel
