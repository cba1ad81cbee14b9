"""A skip is loud, and in CI a failure: tried on small test suites of their own, with this suite's `conftest.py`."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

CONFTEST = Path(__file__).parents[1] / "conftest.py"
SUPPORT = Path(__file__).parents[1] / "support"
PASSES = "def test_runs():\n    pass\n"
NOT_RUN = {
    "a test": "import pytest\n\ndef test_x():\n    pytest.skip('no bus here')\n",
    "a mark": "import pytest\n\n@pytest.mark.skip('no bus here')\ndef test_x():\n    pass\n",
    "a module": "import pytest\n\npytest.skip('no bus here', allow_module_level=True)\n",
    "a fixture": "import pytest\n\n@pytest.fixture\ndef bus():\n    pytest.skip('no bus here')\n\ndef test_x(bus):\n    pass\n",
    "no client": "def test_x(hub24_python):\n    pass\n",
    "may fail": "import pytest\n\n@pytest.mark.xfail(reason='no bus here')\ndef test_x():\n    assert False\n",
}


def run(folder: Path, ci: str, *options: str, **modules: str) -> tuple[int, str]:
    """Run these modules as a suite; returns the exit code and what was printed."""
    (folder / "conftest.py").write_text(CONFTEST.read_text())
    (folder / "pytest.ini").write_text(f"[pytest]\nasyncio_mode = auto\npythonpath = {SUPPORT}\n")
    for name, text in modules.items():
        (folder / f"test_{name}.py").write_text(text)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "HFPROXY_"))}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--color=no", *options],
        cwd=folder,
        env=kept | {"CI": ci, "HFPROXY_CLIENTS": "/no bus here"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    return done.returncode, done.stdout


@pytest.mark.parametrize("kind", NOT_RUN)
def test_what_did_not_run_is_named_and_passes_at_home(tmp_path: Path, kind: str) -> None:
    code, printed = run(tmp_path, "", runs=PASSES, other=NOT_RUN[kind])
    assert code == 0
    _, section = printed.split("NOT RUN ON THIS MACHINE")
    assert "test_other.py" in section
    assert "no bus here" in section


@pytest.mark.parametrize("kind", NOT_RUN)
def test_what_did_not_run_fails_in_ci(tmp_path: Path, kind: str) -> None:
    code, printed = run(tmp_path, "true", runs=PASSES, other=NOT_RUN[kind])
    assert code == 1
    _, section = printed.split("NOT RUN, AND IN CI THAT IS A FAILURE")
    assert "no bus here" in section


@pytest.mark.parametrize("ci", ["", "true"])
def test_where_everything_ran_nothing_is_said(tmp_path: Path, ci: str) -> None:
    code, printed = run(tmp_path, ci, runs=PASSES)
    assert code == 0
    assert "NOT RUN" not in printed


def test_an_interrupted_run_keeps_its_own_exit_code(tmp_path: Path) -> None:
    code, _ = run(tmp_path, "true", other=NOT_RUN["a test"], z="def test_z():\n    raise KeyboardInterrupt\n")
    assert code == 2
