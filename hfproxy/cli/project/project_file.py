"""Finds a project file, `.hf-proxy.toml`, and sends its content to the daemon.

Every `exec` without scopes runs this, so the file is not parsed here: the daemon parses it, and checks whether the user
has allowed it (`hfproxy.daemon.control.projects`).
"""

import os
import stat

from hfproxy.errors import ConfigError
from hfproxy.wire import Message

PROJECT_FILE = ".hf-proxy.toml"
LIMIT_BYTES = 64 * 1024
USE_SCOPES = "to run without it, name the scopes: hf-proxy exec --scope SCOPE -- CMD"


def with_project(message: Message) -> Message:
    """Add the project file, if there is one, to a `mint` request that names neither scopes nor a profile.

    Raises:
        ConfigError: there is a project file, and it cannot be read; it is never ignored.
    """
    if "scopes" in message or "profile" in message:
        return message
    path = find_project_file()
    return message if path is None else {**message, "project": read(path)}


def find_project_file() -> str | None:
    """Return the project file in the working directory, or in the nearest directory above that has one.

    Directories of other users are skipped: the owner of /tmp, or of a share, must not choose this user's scopes.
    """
    try:
        directory = os.getcwd()
    except OSError:  # the working directory was removed
        return None
    while True:
        path = os.path.join(directory, PROJECT_FILE)
        if os.path.lexists(path) and is_ours(directory):
            return path
        parent = os.path.dirname(directory)
        if parent == directory:
            return None
        directory = parent


def is_ours(directory: str) -> bool:
    """Return whether a directory belongs to the current user."""
    return os.stat(directory).st_uid == os.geteuid()


def read(path: str) -> Message:
    """Return the `project` member of a request: the file's path and content.

    Raises:
        ConfigError: the file cannot be read, is not UTF-8, or is larger than LIMIT_BYTES.
    """
    try:
        # O_NONBLOCK, so as not to wait for a named pipe.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(descriptor, "rb") as file:
            regular = stat.S_ISREG(os.fstat(descriptor).st_mode)
            content = file.read(LIMIT_BYTES + 1) if regular else b""
        text = content.decode("utf-8")
    except OSError as error:
        raise ConfigError(f"{path} cannot be read ({error.strerror}); {USE_SCOPES}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path} is not text in UTF-8; {USE_SCOPES}") from None
    if not regular or len(content) > LIMIT_BYTES:
        raise ConfigError(f"{path} is not a file of at most {LIMIT_BYTES // 1024} KiB; {USE_SCOPES}")
    return {"path": printable_path(path), "content": text}


def printable_path(path: str) -> str:
    """Return a path as valid Unicode text, with undecodable bytes escaped."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")
