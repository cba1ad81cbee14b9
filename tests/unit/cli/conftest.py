"""Everything here runs the real program in a process of its own, against a scripted control socket."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from outcome import HfProxy, Result
from scripted_daemon import MINTED, ScriptedDaemon

ROOT = Path(__file__).parents[3]


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """The variables of a program that can touch nothing but this test's directory."""
    directories = {
        "HOME": "home",
        "HFPROXY_RUNTIME_DIR": "run",
        "HFPROXY_STATE_DIR": "state",
        "HFPROXY_CONFIG_DIR": "etc",
    }
    for name in directories.values():
        (tmp_path / name).mkdir(mode=0o700)
    named = {variable: str(tmp_path / name) for variable, name in directories.items()}
    measured = {name: value for name, value in os.environ.items() if name.startswith("COVERAGE_")}
    return {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **measured, **named}


@pytest.fixture
def runtime(environment: dict[str, str]) -> Path:
    """The runtime directory."""
    return Path(environment["HFPROXY_RUNTIME_DIR"])


@pytest.fixture
def hf_proxy(environment: dict[str, str]) -> HfProxy:
    """Run `hf-proxy` with some words, in a session without a terminal."""

    def run(*words: str, stdin: str = "", extra: dict[str, str] | None = None) -> Result:
        return subprocess.run(
            [sys.executable, "-m", "hfproxy", *words],
            env={**environment, **(extra or {})},
            input=stdin,
            capture_output=True,
            text=True,
            timeout=20,
            start_new_session=True,
            check=False,
        )

    return run


@pytest.fixture
def daemon(runtime: Path) -> Iterator[ScriptedDaemon]:
    """A scripted daemon that mints, and revokes what it is asked to."""
    scripted = ScriptedDaemon(runtime)
    scripted.answers["mint"] = dict(MINTED)
    scripted.answers["revoke"] = lambda request: {"revoked": request.get("ids", ["g1", "g2"])}
    yield scripted
    scripted.close()
