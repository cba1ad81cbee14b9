"""Where this program's files are: one function a directory, plain strings, nothing is created here.

`HFPROXY_CONFIG_DIR`, `HFPROXY_STATE_DIR` and `HFPROXY_RUNTIME_DIR` win; an empty variable counts as unset, as
the XDG base directory specification has it. Unset, they are what platformdirs says, but for the runtime
directory: `$XDG_RUNTIME_DIR/hf-proxy` on Linux, or where that would be if a daemon is there, or else a private
directory under the state directory, never a guessable one in /tmp. A relative path would mean another place for every
caller: refused.

Every `exec` comes through here, so platformdirs (18 ms) is loaded only where nothing else says the place.
"""

import os
import sys

from hfproxy.errors import ConfigError

APP = "hf-proxy"
# Where a daemon is that serves several users and runs as a user of its own; /run is root's.
DEDICATED_DIR = "/run/hf-proxy"
DEDICATED_STATE_DIR = "/var/lib/hf-proxy"
GROUP_DIR_MODE = 0o750
SOCKET = "control.sock"


def config_dir() -> str:
    """Where `config.toml` is.

    Raises:
        ConfigError: the variable that names it is not an absolute path.
    """
    return _from_environment("HFPROXY_CONFIG_DIR") or _default("user_config_dir")


def state_dir() -> str:
    """Where the journal and the store are; raises as `config_dir`."""
    return _from_environment("HFPROXY_STATE_DIR") or _default("user_state_dir")


def runtime_dir() -> str:
    """Where the control socket is; raises as `config_dir`."""
    named = _from_environment("HFPROXY_RUNTIME_DIR")
    if named:
        return named
    session = _session() if sys.platform == "linux" else ""
    return os.path.join(session, APP) if session else os.path.join(state_dir(), "run")


def _session() -> str:
    """The runtime directory of our session; nothing where there is none.

    `sudo -u` and cron leave the variable out. Then it is where systemd makes it (pam_systemd(8)), which only root can,
    if the daemon is there.
    """
    session = _from_environment("XDG_RUNTIME_DIR")
    usual = f"/run/user/{os.geteuid()}"
    return session or (usual if os.path.lexists(os.path.join(usual, APP, "control.sock")) else "")


def daemon_dir() -> str:
    """The runtime directory of the daemon that commands are for: the user's own one, else the machine's, if there is
    one and no variable says otherwise; raises as `config_dir`."""
    own = runtime_dir()
    if os.environ.get("HFPROXY_RUNTIME_DIR") or os.path.lexists(os.path.join(own, SOCKET)):
        return own
    return DEDICATED_DIR if os.path.isdir(DEDICATED_DIR) else own


def control_socket() -> str:
    """The socket the daemon listens on for commands; raises as `config_dir`."""
    return os.path.join(daemon_dir(), SOCKET)


def journal_dir() -> str:
    """Where the journal's files are; raises as `config_dir`."""
    return os.path.join(state_dir(), "journal")


def _from_environment(variable: str) -> str:
    path = os.environ.get(variable, "")
    if path and not os.path.isabs(path):
        raise ConfigError(f"{variable} must be an absolute path; set it to one, or: unset {variable}")
    return path


def _default(kind: str) -> str:
    import platformdirs  # noqa: PLC0415  (see the module's docstring)

    try:
        path: str = getattr(platformdirs, kind)(APP, appauthor=False)
    except RuntimeError:  # a user that the system does not know, as in a container, has no home either
        raise ConfigError(
            "there is no home directory here; set HOME, or HFPROXY_CONFIG_DIR, HFPROXY_STATE_DIR, HFPROXY_RUNTIME_DIR"
        ) from None
    return path
