"""The client of the control socket: one connection per request, messages as in `hfproxy.wire`.

A request may contain a token, so before the first byte is sent the client checks that
(docs/threat-model.md#control-socket):

1. the runtime directory is a real directory, not a symbolic link to one;
2. it belongs to the current user with mode 0700; or it is the dedicated user's with mode 0750, in a directory that
   only root can write to;
3. the socket is a socket;
4. the listening process belongs to the directory's owner, or to root where the service manager listens for the
   dedicated user. The kernel is asked for this uid after the connect, so replacing the socket between the checks and
   the connect gains nothing.

No exception repeats anything that was sent; of a reply it carries only the daemon's error line. Every `exec` imports
this module, so it imports only cheap parts of the standard library.
"""

import os
import socket
import stat
import sys
from collections.abc import Iterator

from hfproxy import paths
from hfproxy.errors import DaemonError, RefusedError, UsageError
from hfproxy.wire import MAX_LINE, Message, decode, encode

PRIVATE_MODE = 0o700
ROOT_UID = 0
USAGE_CODE = 2
ANSWER_TIMEOUT_S = 30.0


def request(message: Message, *, wait: bool = False) -> Message:
    """Send a request and return its reply.

    Args:
        message: one of the requests listed in `hfproxy.wire`.
        wait: wait for the reply without limit, since the daemon may be waiting for the user at a prompt;
            otherwise for ANSWER_TIMEOUT_S.

    Raises:
        DaemonError: no daemon is running, it is not to be trusted, or its reply is malformed or late.
        UsageError: the daemon rejected an argument as malformed.
        RefusedError: the daemon refused the request.
        ConfigError: there is no runtime directory.
    """
    return next(_exchange(message, wait=wait))


def stream(message: Message, *, follow: bool = False) -> Iterator[Message]:
    """Send a request that is answered by a sequence of objects, and yield each as it arrives.

    With `follow` the sequence ends only when the daemon exits (DaemonError) or the caller stops reading.

    Raises:
        DaemonError: no daemon is running, it is not to be trusted, or its reply is malformed or late.
        UsageError: the daemon rejected an argument as malformed.
        RefusedError: the daemon refused the request.
        ConfigError: there is no runtime directory.
    """
    for answer in _exchange(message, wait=follow):
        if not answer:
            return
        yield answer


def text(answer: Message, key: str) -> str:
    """Return a member of a reply that must be a string.

    Raises:
        DaemonError: the member is missing or not a string.
    """
    value = answer.get(key)
    if not isinstance(value, str):
        raise _unexpected()
    return value


def texts(answer: Message, key: str) -> list[str]:
    """Return a member of a reply that must be a list of strings.

    Raises:
        DaemonError: the member is missing or not a list of strings.
    """
    value = answer.get(key)
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise _unexpected()
    return value


def rows(answer: Message, key: str) -> list[Message]:
    """Return a member of a reply that must be a list of objects.

    Raises:
        DaemonError: the member is missing or not a list of objects.
    """
    value = answer.get(key)
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise _unexpected()
    return value


def _exchange(message: Message, *, wait: bool) -> Iterator[Message]:
    """Send the request, then yield each line of the reply."""
    try:
        request = encode(message)
    except UnicodeEncodeError:
        raise UsageError("an argument is not valid UTF-8 text; type it again") from None
    if len(request) > MAX_LINE:
        raise UsageError("the request is too large for the daemon (an environment full of tokens?); try: env -i")
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
    """Send the request. A daemon that refused early may have closed its end; its reply can still be read."""
    try:  # noqa: SIM105  (importing contextlib costs every exec half a millisecond)
        connection.sendall(request)
    except ConnectionError:
        pass


def _parse_reply(line: bytes) -> Message:
    """Decode one line of a reply; raise the failure it reports."""
    if not line.endswith(b"\n"):
        raise _unexpected() if len(line) > MAX_LINE else _hung_up()
    try:
        answer = decode(line)
    except (ValueError, RecursionError):
        raise _unexpected() from None
    if "error" not in answer:
        return answer
    error = text(answer, "error")
    raise UsageError(error) if answer.get("code") == USAGE_CODE else RefusedError(error)


def _connect() -> socket.socket:
    """Connect to the daemon and verify it (steps 1 to 4)."""
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
        raise DaemonError(f"{path} cannot be used ({error.strerror or error}); see: ls -l {path}") from None
    if _peer_uid(connection) not in trusted:
        connection.close()
        raise DaemonError(f"the process that listens on {path} is not yours; nothing was sent; see: ls -l {directory}")
    return connection


def _trusted_uids(directory: str) -> tuple[int, ...]:
    """Check steps 1 and 2, and return the uids that the listening process may have."""
    status = os.lstat(directory)
    mode = status.st_mode & 0o777
    if not stat.S_ISDIR(status.st_mode):
        raise DaemonError(f"{directory} is not a real directory; remove it, then start the daemon: hf-proxy daemon")
    if (
        directory == paths.DEDICATED_DIR
        and mode == paths.GROUP_DIR_MODE
        and _only_root_writes(os.path.dirname(directory))
    ):
        return status.st_uid, ROOT_UID
    if status.st_uid != os.geteuid():
        raise DaemonError(f"{directory} belongs to uid {status.st_uid}, not to you; set HFPROXY_RUNTIME_DIR to yours")
    if mode != PRIVATE_MODE:
        raise DaemonError(f"{directory} is not yours alone (mode {mode:04o}); close it with: chmod 700 {directory}")
    return (status.st_uid,)


def _only_root_writes(directory: str) -> bool:
    status = os.lstat(directory)
    return stat.S_ISDIR(status.st_mode) and status.st_uid == ROOT_UID and not status.st_mode & 0o022


def _not_running(path: str) -> DaemonError:
    dedicated = os.path.dirname(path) == paths.DEDICATED_DIR
    own = "hf-proxy service install (without systemd: hf-proxy daemon &)"
    start = "sudo systemctl start hf-proxy" if dedicated else own
    return DaemonError(f"no daemon is running at {path}; start it: {start}")


def _no_permission(path: str) -> DaemonError:
    if os.path.dirname(path) != paths.DEDICATED_DIR:
        return DaemonError(f"{path} cannot be used (Permission denied); see: ls -l {path}")
    return DaemonError(
        f"{path} is open to the members of its group only; run a daemon of your own: hf-proxy daemon,"
        " or join the group and log in again: sudo usermod -aG hf-proxy $USER"
    )


def _connect_socket(path: str) -> socket.socket:
    """Connect in blocking mode: with a timeout set, a full backlog (many `exec` at once) fails immediately."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.connect(path)
    except BaseException:
        connection.close()
        raise
    return connection


def _peer_uid(connection: socket.socket) -> int:
    """Return the uid of the listening process as the kernel reports it, or -1 if the kernel reports none.

    Linux: `struct ucred` is pid, uid, gid (unix(7)). macOS: `LOCAL_PEERCRED` (1) at level `SOL_LOCAL` (0)
    gives `struct xucred`: version (0), uid, number of groups, 16 groups (sys/ucred.h); untested.
    """
    if sys.platform == "darwin":
        credentials = connection.getsockopt(0, 1, 76)
        version, uid = credentials[:4], credentials[4:8]
        known = not any(version)
    else:
        uid = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)[4:8]
        known = True
    # An empty answer would otherwise be read as uid 0.
    return int.from_bytes(uid, sys.byteorder) if uid and known else -1


def _hung_up() -> DaemonError:
    return DaemonError("the daemon hung up in mid-answer; look at its log, then try: hf-proxy status")


def _unexpected() -> DaemonError:
    return DaemonError(
        "the daemon's reply is malformed (another version?); restart it: systemctl --user restart hf-proxy"
        " (or stop it and run: hf-proxy daemon)"
    )
