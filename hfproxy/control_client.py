"""The command line's end of the control socket: one connection a request, in the words of `wire`.

The first byte may be a token, so before it is sent (docs/threat-model.md#control-socket):

1. the runtime directory is a real directory, not a symbolic link to one;
2. it belongs to us and nobody else may enter it (0700); or it is the dedicated user's (0750), in a directory where
   only root can have put it;
3. the socket is a socket;
4. and the process that listens on it belongs to the directory's owner; to root, where the service manager listens for
   the dedicated user. The kernel is asked for this after the connect, so nothing that is swapped between the checks and
   the connect gets past it.

Nothing that was sent or received is ever part of an exception. Every `exec` comes through here: of the
standard library only what is cheap to import.
"""

import os
import socket
import stat
import sys
from collections.abc import Iterator

from hfproxy import paths
from hfproxy.errors import DaemonError, RefusedError, UsageError
from hfproxy.wire import MAX_LINE, Message, decode, encode

PRIVATE = 0o700
ROOT = 0
USAGE = 2
ANSWER_TIMEOUT_S = 30.0


def request(message: Message, *, wait: bool = False) -> Message:
    """Send a request and return its answer.

    Args:
        message: as `wire` lists them.
        patient: wait for the answer without limit, since the daemon may wait for a person at a prompt.

    Raises:
        DaemonError: there is no daemon, or none to be trusted, or it does not answer as it should.
        UsageError: the daemon says that what was typed cannot mean anything.
        RefusedError: the daemon says no.
        ConfigError: the runtime directory is not to be had.
    """
    return next(_exchange(message, wait=wait))


def stream(message: Message, *, follow: bool = False) -> Iterator[Message]:
    """Send a request that is answered by many objects, and give them as they come; raises as `ask`.

    With `follow` it ends only with the daemon (then a DaemonError) or with the caller.
    """
    for answer in _exchange(message, wait=follow):
        if not answer:
            return
        yield answer


def text(answer: Message, key: str) -> str:
    """A member that is text.

    Raises:
        DaemonError: it is missing or something else.
    """
    value = answer.get(key)
    if not isinstance(value, str):
        raise _unexpected()
    return value


def texts(answer: Message, key: str) -> list[str]:
    """A member that is a list of texts; raises as `text`."""
    value = answer.get(key)
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise _unexpected()
    return value


def rows(answer: Message, key: str) -> list[Message]:
    """A member that is a list of objects; raises as `text`."""
    value = answer.get(key)
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise _unexpected()
    return value


def _exchange(message: Message, *, wait: bool) -> Iterator[Message]:
    """Send, then give each line of the answer."""
    try:
        request = encode(message)
    except UnicodeEncodeError:
        raise UsageError("what was typed is not all text (UTF-8); type it again, in letters") from None
    if len(request) > MAX_LINE:
        raise UsageError("this is more than the daemon takes at once (an environment full of tokens?); try: env -i")
    with _connect() as connection, connection.makefile("rb") as answers:
        connection.settimeout(None if wait else ANSWER_TIMEOUT_S)
        try:
            _send(connection, request)
            while True:
                yield _parse_reply(answers.readline(MAX_LINE + 1))
        except TimeoutError:
            raise DaemonError("the daemon does not answer; look at its log, then try: hf-proxy status") from None
        except OSError:
            raise _hung_up() from None


def _send(connection: socket.socket, request: bytes) -> None:
    """A daemon that refuses early may have hung up already; its answer is there to be read all the same."""
    try:  # noqa: SIM105  (contextlib is half a millisecond on the way of every exec)
        connection.sendall(request)
    except ConnectionError:
        pass


def _parse_reply(line: bytes) -> Message:
    """One line of an answer as a message, or as the failure that it tells of."""
    if not line.endswith(b"\n"):
        raise _unexpected() if len(line) > MAX_LINE else _hung_up()
    try:
        answer = decode(line)
    except (ValueError, RecursionError):
        raise _unexpected() from None
    if "error" not in answer:
        return answer
    error = text(answer, "error")
    raise UsageError(error) if answer.get("code") == USAGE else RefusedError(error)


def _connect() -> socket.socket:
    """A connection that is safe to speak on."""
    directory = paths.daemon_dir()
    path = os.path.join(directory, paths.SOCKET)
    try:
        trusted = _trusted_uids(directory)
        if not stat.S_ISSOCK(os.lstat(path).st_mode):
            raise DaemonError(f"{path} is not a socket; remove it, then start the daemon: hf-proxy daemon")
        connection = _connect_socket(path)
    except (FileNotFoundError, NotADirectoryError, ConnectionRefusedError):
        raise _not_running(path) from None
    except PermissionError:
        raise _no_permission(path) from None
    except OSError as error:
        raise DaemonError(f"{path} cannot be used ({error.strerror or error}); see: hf-proxy daemon --help") from None
    if _peer_uid(connection) not in trusted:
        connection.close()
        raise DaemonError(f"the process that listens on {path} is not yours; nothing was sent; see: ls -l {directory}")
    return connection


def _trusted_uids(directory: str) -> tuple[int, ...]:
    """Steps 1 and 2; returns the uids of which the process that listens has to have one."""
    found = os.lstat(directory)
    mode = found.st_mode & 0o777
    if not stat.S_ISDIR(found.st_mode):
        raise DaemonError(f"{directory} is not a real directory; remove it, then start the daemon: hf-proxy daemon")
    if (
        directory == paths.DEDICATED_DIR
        and mode == paths.GROUP_DIR_MODE
        and _only_root_writes(os.path.dirname(directory))
    ):
        return found.st_uid, ROOT
    if found.st_uid != os.geteuid():
        raise DaemonError(f"{directory} belongs to uid {found.st_uid}, not to you; set HFPROXY_RUNTIME_DIR to yours")
    if mode != PRIVATE:
        raise DaemonError(f"{directory} is not yours alone (mode {mode:04o}); close it with: chmod 700 {directory}")
    return (found.st_uid,)


def _only_root_writes(directory: str) -> bool:
    found = os.lstat(directory)
    return stat.S_ISDIR(found.st_mode) and found.st_uid == ROOT and not found.st_mode & 0o022


def _not_running(path: str) -> DaemonError:
    dedicated = os.path.dirname(path) == paths.DEDICATED_DIR
    ours = "hf-proxy daemon, or have systemd do it: hf-proxy service install"
    start = "sudo systemctl start hf-proxy" if dedicated else ours
    return DaemonError(f"no daemon is running at {path}; start it with: {start}")


def _no_permission(path: str) -> DaemonError:
    if os.path.dirname(path) != paths.DEDICATED_DIR:
        return DaemonError(f"{path} cannot be used (Permission denied); see: hf-proxy daemon --help")
    return DaemonError(
        f"{path} is for the members of its group, and this process is none; run a daemon of your own: hf-proxy daemon,"
        " or join and log in anew: sudo usermod -aG hf-proxy $USER"
    )


def _connect_socket(path: str) -> socket.socket:
    """Connect. Blocking: with a timeout a full backlog (many `exec` at once) would be an error at once."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.connect(path)
    except BaseException:
        connection.close()
        raise
    return connection


def _peer_uid(connection: socket.socket) -> int:
    """The uid of the process that listens, as the kernel knows it; -1 where it does not say.

    Linux: `struct ucred` is pid, uid, gid (unix(7)). macOS: `LOCAL_PEERCRED` (1) at level `SOL_LOCAL` (0)
    gives `struct xucred`: version (0), uid, number of groups, 16 groups (sys/ucred.h); not run by us.
    """
    if sys.platform == "darwin":
        credentials = connection.getsockopt(0, 1, 76)
        version, uid = credentials[:4], credentials[4:8]
        known = not any(version)
    else:
        uid = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)[4:8]
        known = True
    # Nothing at all would read as uid 0.
    return int.from_bytes(uid, sys.byteorder) if uid and known else -1


def _hung_up() -> DaemonError:
    return DaemonError("the daemon hung up in the middle of its answer; look at its log, then try: hf-proxy status")


def _unexpected() -> DaemonError:
    return DaemonError("the daemon's answer makes no sense (another version?); start it again: hf-proxy daemon")
