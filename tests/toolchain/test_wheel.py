"""The wheel in its environment, where the sources are not on the path: it has its command, its manual and its own code."""

import os
import subprocess
from pathlib import Path

import pytest

PYTHON = os.environ.get("HFPROXY_PYTHON", "")
if not PYTHON:
    pytest.skip("needs the wheel, installed; run: make test", allow_module_level=True)

PREFIX = Path(PYTHON).parents[1]


def printed(*command: str | Path) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True, cwd="/", timeout=60).stdout


def test_the_package_is_the_installed_one() -> None:
    code = "import hfproxy, sys; print(hfproxy.__file__.startswith(sys.prefix))"
    assert printed(PYTHON, "-I", "-c", code) == "True\n"


def test_the_command_runs() -> None:
    assert printed(PREFIX / "bin/hf-proxy", "--version").startswith("hf-proxy ")
    assert "usage: hf-proxy" in printed(PREFIX / "bin/hf-proxy", "--help")


@pytest.mark.parametrize("page", ["man1/hf-proxy.1", "man5/hf-proxy.toml.5"])
def test_the_manual_is_where_man_looks(page: str) -> None:
    assert (PREFIX / "share/man" / page).stat().st_size > 0
