"""For all tests: a skip is loud, and in CI a failure."""

import os
from pathlib import Path

import pytest

CLIENT = Path(__file__).parent.parent / ".venvs" / "hub24" / "bin" / "python"
IN_CI = os.environ.get("CI") == "true"


@pytest.fixture(scope="session")
def hub24_python() -> str:
    """The interpreter of the real `huggingface_hub` 2.4, which is never in the daemon's environment."""
    python = os.environ.get("HFPROXY_HUB24_PYTHON", str(CLIENT))
    if not Path(python).exists():
        pytest.skip(f"needs huggingface_hub 2.4 at {python}; run: make test")
    return python


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Name what did not run."""
    skipped = terminalreporter.stats.get("skipped", [])
    if not skipped:
        return
    terminalreporter.section("NOT RUN ON THIS MACHINE", sep="!", red=True, bold=True)
    for report in skipped:
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        terminalreporter.write_line(f"{report.nodeid}: {reason}")


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """In CI everything must run."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if IN_CI and exitstatus == 0 and reporter is not None and reporter.stats.get("skipped"):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
