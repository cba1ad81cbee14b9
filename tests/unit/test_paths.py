"""Where the files are, by which variable, and what is not loaded to say so."""

import subprocess
import sys
from pathlib import Path

import pytest

from hfproxy import paths
from hfproxy.errors import ConfigError

OURS = ("HFPROXY_CONFIG_DIR", "HFPROXY_STATE_DIR", "HFPROXY_RUNTIME_DIR", "XDG_RUNTIME_DIR")


@pytest.fixture(autouse=True)
def _nothing_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for variable in (*OURS, "XDG_CONFIG_HOME", "XDG_STATE_HOME"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))


def test_our_own_variables_win(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable, path in zip(OURS, ("/c", "/s", "/r", "/x"), strict=True):
        monkeypatch.setenv(variable, path)
    assert (paths.config_dir(), paths.state_dir(), paths.runtime_dir()) == ("/c", "/s", "/r")
    assert (paths.control_socket(), paths.journal_dir()) == ("/r/control.sock", "/s/journal")


@pytest.mark.skipif(sys.platform != "linux", reason="XDG_RUNTIME_DIR is Linux's")
def test_the_session_has_the_runtime_directory_and_an_empty_variable_is_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HFPROXY_RUNTIME_DIR", "")
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/run/user/1000")
    assert paths.runtime_dir() == "/run/user/1000/hf-proxy"


def test_without_a_session_it_is_below_the_state_directory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HFPROXY_STATE_DIR", "/s")
    assert paths.runtime_dir() == "/s/run"


def test_the_defaults_are_below_the_home_directory(tmp_path: Path) -> None:
    for path in (paths.config_dir(), paths.state_dir(), paths.runtime_dir()):
        assert path.startswith(str(tmp_path)), path
        assert "hf-proxy" in path, path


@pytest.mark.skipif(sys.platform != "linux", reason="XDG_RUNTIME_DIR is Linux's")
def test_commands_go_to_the_machine_s_daemon_where_there_is_no_other_and_none_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    machine, own = tmp_path / "machine", tmp_path / "session" / "hf-proxy"
    monkeypatch.setattr(paths, "DEDICATED_DIR", str(machine))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(own.parent))
    assert paths.daemon_dir() == str(own)
    machine.mkdir()
    assert paths.daemon_dir() == str(machine)
    assert paths.runtime_dir() == str(own)  # where a daemon of the user's own would be
    own.mkdir(parents=True)
    (own / "control.sock").touch()
    assert paths.daemon_dir() == str(own)
    monkeypatch.setenv("HFPROXY_RUNTIME_DIR", str(tmp_path / "named"))
    assert paths.daemon_dir() == str(tmp_path / "named")


@pytest.mark.parametrize("variable", OURS)
def test_a_relative_path_is_refused(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable, "some/where")
    with pytest.raises(ConfigError, match=f"^{variable} must be an absolute path"):
        paths.config_dir(), paths.state_dir(), paths.runtime_dir()


def test_platformdirs_is_loaded_only_where_it_is_needed() -> None:
    probe = "import sys; from hfproxy import paths; paths.control_socket(); print('platformdirs' in sys.modules)"
    root = str(Path(__file__).parents[2])
    for environment, loaded in (({"XDG_RUNTIME_DIR": "/run/user/1"}, "False"), ({"HOME": "/h"}, "True")):
        done = subprocess.run(
            [sys.executable, "-c", probe],
            env={"PYTHONPATH": root, **environment},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.stdout.strip() == loaded, done.stderr
