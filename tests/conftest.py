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
        pytest.skip(f"needs huggingface_hub 2.4 at {python}; set it up with: make test")
    return python


def not_run(reporter: pytest.TerminalReporter) -> list[tuple[str, str]]:
    """What was skipped, tests and whole modules, or may fail: where it is, and why."""
    rows = []
    for report in reporter.stats.get("skipped", []):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        rows.append((report.nodeid, str(reason).removeprefix("Skipped: ")))
    rows += [(report.nodeid, f"expected to fail: {report.wasxfail}") for report in reporter.stats.get("xfailed", [])]
    return rows


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Name what did not run."""
    rows = not_run(terminalreporter)
    if rows:
        title = "NOT RUN, AND IN CI THAT IS A FAILURE" if IN_CI else "NOT RUN ON THIS MACHINE"
        terminalreporter.section(title, sep="!", red=True, bold=True)
        for place, reason in rows:
            terminalreporter.write_line(f"{place}: {reason}")


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """In CI everything must run."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if IN_CI and session.exitstatus == pytest.ExitCode.OK and not_run(reporter):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
