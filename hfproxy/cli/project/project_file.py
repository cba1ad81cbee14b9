"""A project's file, `.hf-proxy.toml`: found and handed to the daemon as it is.

On the way of every `exec` that names no scopes, so nothing is understood here: the daemon reads what it says, and
whether a person has allowed it (`daemon.projects`).
"""

import os
import stat

from hfproxy.errors import ConfigError
from hfproxy.wire import Message

FILE = ".hf-proxy.toml"
LIMIT_BYTES = 64 * 1024
INSTEAD = "to do without it, name what is needed: hf-proxy exec --scope SCOPE -- CMD"


def with_project(wanted: Message) -> Message:
    """A `mint` request with the file that speaks for it, where nobody typed scopes and there is one.

    Raises:
        ConfigError: there is one, and it cannot be read; it is not passed over.
    """
    if "scopes" in wanted or "profile" in wanted:
        return wanted
    path = find_project_file()
    return wanted if path is None else {**wanted, "project": read(path)}


def find_project_file() -> str | None:
    """The file of the working directory, or of the nearest above it that has one.

    Directories of other users are passed over: who owns /tmp, or a share, does not choose our scopes.
    """
    try:
        directory = os.getcwd()
    except OSError:  # it was removed
        return None
    while True:
        path = os.path.join(directory, FILE)
        if os.path.lexists(path) and is_ours(directory):
            return path
        above = os.path.dirname(directory)
        if above == directory:
            return None
        directory = above


def is_ours(directory: str) -> bool:
    """Whether a directory belongs to us."""
    return os.stat(directory).st_uid == os.geteuid()


def read(path: str) -> Message:
    """A file as the daemon takes it: where it is, and what it says; raises as `with_project`."""
    try:
        # Not to wait for a pipe that somebody put there.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(descriptor, "rb") as file:
            regular = stat.S_ISREG(os.fstat(descriptor).st_mode)
            content = file.read(LIMIT_BYTES + 1) if regular else b""
        text = content.decode("utf-8")
    except OSError as error:
        raise ConfigError(f"{path} cannot be read ({error.strerror}); {INSTEAD}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path} is not text in UTF-8; {INSTEAD}") from None
    if not regular or len(content) > LIMIT_BYTES:
        raise ConfigError(f"{path} is not a file of at most {LIMIT_BYTES // 1024} KiB; {INSTEAD}")
    return {"path": printable_path(path), "content": text}


def printable_path(path: str) -> str:
    """A path as a message can hold it: it may be no text at all."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")
