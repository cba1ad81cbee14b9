"""What is pinned: by hash, for every system, and with no trace of the machine it was pinned on."""

import json
import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LISTS = ["runtime", "test", "lint", "docs", "hub036", "hub133", "hub24", "libraries"]
PIN = re.compile(
    r"^(?P<name>[a-z0-9-]+)==(?P<version>[^\s;]+)(?: ; [^\\]+)?((?: \\\n +--hash=sha256:[0-9a-f]{64})+)\n", re.M
)


def pins(name: str) -> dict[str, tuple[str, int]]:
    """Of each package: the version, and how many files may be it."""
    text = (ROOT / "requirements" / f"{name}.txt").read_text()
    assert PIN.sub("", text) == "", "something is not a hash-pinned package"
    return {pin["name"]: (pin["version"], pin[0].count("--hash")) for pin in PIN.finditer(text)}


@pytest.mark.parametrize("name", LISTS)
def test_each_pin_knows_more_files_than_this_machine_needs(name: str) -> None:
    """One hash alone is what a partial mirror knew: the wheel of one system."""
    one_file = {package for package, (_, files) in pins(name).items() if files < 2}
    assert one_file == set()


def test_the_tests_run_on_what_users_get() -> None:
    assert pins("runtime").items() <= pins("test").items()


def test_what_would_slow_structlog_down_is_not_in_its_environment() -> None:
    assert "rich" not in pins("test")


def test_the_clients_are_not_in_the_daemons_environment() -> None:
    assert "huggingface-hub" not in pins("test")


def test_the_packages_of_node_are_pinned_by_hash_and_without_an_address() -> None:
    text = (ROOT / "tests" / "e2e" / "clients" / "matrix" / "node" / "package-lock.json").read_text()
    _, *packages = json.loads(text)["packages"].values()
    assert packages
    assert all(package["integrity"].startswith("sha512-") for package in packages)
    assert "://" not in text


def test_what_is_pinned_is_what_the_package_asks_for() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert sorted(project["dependencies"]) == (ROOT / "requirements" / "runtime.in").read_text().splitlines()
