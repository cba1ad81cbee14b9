"""The directories of this program, as strings; this module creates nothing.

`HFPROXY_CONFIG_DIR`, `HFPROXY_STATE_DIR` and `HFPROXY_RUNTIME_DIR` take precedence; an empty variable counts as unset,
as in the XDG base directory specification. The defaults are those of platformdirs, except for the runtime directory:
`$XDG_RUNTIME_DIR/hf-proxy` on Linux, or its usual path if a daemon is there, or else a private directory under the
state directory, never a guessable one in /tmp. A relative path is rejected, since it would depend on the caller's
working directory.

Every `exec` imports this module, so platformdirs (18 ms) is imported only when a default needs it.
"""

import os
import sys

from hfproxy.errors import ConfigError

APP = "hf-proxy"
# The directories of a daemon that serves several users and runs as a dedicated user; only root can write to /run.
DEDICATED_DIR = "/run/hf-proxy"
DEDICATED_STATE_DIR = "/var/lib/hf-proxy"
GROUP_DIR_MODE = 0o750
SOCKET = "control.sock"


def config_dir() -> str:
    """Return the directory of `config.toml`.

    Raises:
        ConfigError: HFPROXY_CONFIG_DIR is not an absolute path, or there is no home directory.
    """
    return _from_environment("HFPROXY_CONFIG_DIR") or _default("user_config_dir")


def state_dir() -> str:
    """Return the directory of the journal and the grant store.

    Raises:
        ConfigError: HFPROXY_STATE_DIR is not an absolute path, or there is no home directory.
    """
    return _from_environment("HFPROXY_STATE_DIR") or _default("user_state_dir")


def runtime_dir() -> str:
    """Return the directory of this user's control socket.

    Raises:
        ConfigError: a variable is not an absolute path, or there is no home directory.
    """
    override = _from_environment("HFPROXY_RUNTIME_DIR")
    if override:
        return override
    session = _session_dir() if sys.platform == "linux" else ""
    return os.path.join(session, APP) if session else os.path.join(state_dir(), "run")


def _session_dir() -> str:
    """Return the runtime directory of the login session, or an empty string if there is none.

    `sudo -u` and cron do not set XDG_RUNTIME_DIR. Then the directory that systemd makes (pam_systemd(8)), which only
    root can create, is used if a daemon's socket is in it.
    """
    session = _from_environment("XDG_RUNTIME_DIR")
    usual = f"/run/user/{os.geteuid()}"
    return session or (usual if os.path.lexists(os.path.join(usual, APP, "control.sock")) else "")


def daemon_dir() -> str:
    """Return the runtime directory of the daemon that commands talk to.

    That is the user's own daemon if its socket exists or HFPROXY_RUNTIME_DIR is set, else the machine's, if there is
    one.

    Raises:
        ConfigError: a variable is not an absolute path, or there is no home directory.
    """
    own = runtime_dir()
    if os.environ.get("HFPROXY_RUNTIME_DIR") or os.path.lexists(os.path.join(own, SOCKET)):
        return own
    return DEDICATED_DIR if os.path.isdir(DEDICATED_DIR) else own


def control_socket() -> str:
    """Return the path of the daemon's control socket.

    Raises:
        ConfigError: a variable is not an absolute path, or there is no home directory.
    """
    return os.path.join(daemon_dir(), SOCKET)


def journal_dir() -> str:
    """Return the directory of the journal files.

    Raises:
        ConfigError: HFPROXY_STATE_DIR is not an absolute path, or there is no home directory.
    """
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
    except RuntimeError:  # a uid without a passwd entry, as in a container, has no home directory
        raise ConfigError(
            "there is no home directory here; set HOME, or HFPROXY_CONFIG_DIR, HFPROXY_STATE_DIR, HFPROXY_RUNTIME_DIR"
        ) from None
    return path
