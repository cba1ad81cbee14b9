"""For all tests: a skip is loud, and in CI a failure; no test's name holds a token."""

import os
import re
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from groups import group_of

CLIENTS = Path(os.environ.get("HFPROXY_CLIENTS", Path(__file__).parents[1] / ".venvs"))
# The random part of hf_… and api_org_…, and the last of hf_oauth_eyJ0.… and hf_jwt_eyJ0.….
TOKEN = re.compile(r"(?<=hf_|rg_|J0[.])[A-Za-z]{34}")
IN_CI = os.environ.get("CI") == "true"


def pytest_configure() -> None:
    """Take SIGINT, which a shell lets its background jobs ignore, and they hand that on to what the tests start."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def interpreter() -> Callable[[str], str]:
    """Gives the interpreter of a real client's environment, `hub24` say; none of them is the daemon's."""

    def of(name: str) -> str:
        python = CLIENTS / name / "bin" / "python"
        if not python.exists():
            pytest.skip(f"needs the client at {python}; set it up with: make test")
        return str(python)

    return of


@pytest.fixture(scope="session")
def hub24_python(interpreter: Callable[[str], str]) -> str:
    """The interpreter of `huggingface_hub` 2.4."""
    return interpreter("hub24")


def pytest_make_parametrize_id(val: object) -> str | None:
    """A token among a test's parameters is `TOKEN` in its name.

    Made-up ones differ from run to run, so pytest-xdist's workers would disagree about the tests; and a secret scanner
    would report them in the log.
    """
    text = val.decode("latin-1") if isinstance(val, bytes) else val
    if not isinstance(text, str) or not TOKEN.search(text):
        return None
    return TOKEN.sub("TOKEN", text).encode("unicode_escape").decode("ascii")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> object:
    """Give each group to one worker.

    pytest-xdist 3.8 takes a group from the test's name, which it changes in a way that pytest 9.2 does not see.
    """
    from xdist.scheduler import LoadScopeScheduling

    class ByGroup(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return group_of(nodeid) or nodeid

    return ByGroup(config, log)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the idle stream's tests last; refuse a token in a name."""
    items.sort(key=lambda item: "test_idle.py" in item.nodeid)
    bad = [item.nodeid for item in items if TOKEN.search(item.nodeid)]
    if bad:
        raise pytest.UsageError(f"a token in a test's name: {bad[0]}; give the parameter an id")


def pytest_runtest_setup(item: pytest.Item) -> None:
    """`needs("git-lfs")`: programs that a machine may lack, and CI must not."""
    missing = [name for mark in item.iter_markers("needs") for name in mark.args if shutil.which(name) is None]
    if missing:
        packages = "curl direnv fish git-lfs groff-base iproute2 mandoc nodejs npm prometheus zsh"
        pytest.skip(f"needs {', '.join(missing)}; on Debian: apt install {packages}")


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
    # A worker of pytest-xdist has none; the one of the controller sees the skips of all workers.
    if reporter is None:
        return
    if IN_CI and session.exitstatus == pytest.ExitCode.OK and not_run(reporter):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
