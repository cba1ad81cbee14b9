"""Reads files that hold a secret: only regular files that belong to the current user and are closed to all others.

The last component of the path must not be a symbolic link, and the checks are made on the open descriptor, so the file
cannot be swapped in between.
"""

import os
import stat

from hfproxy.errors import VaultError
from hfproxy.secret import Secret

# More than any passphrase; also bounds the read of a mistakenly named large file.
PASSPHRASE_BYTES = 4096


def read(path: str, limit: int, *, of_root: bool = False) -> bytes:
    """Return the content of the file, at most `limit` + 1 bytes of it.

    With `of_root` the file may also belong to root and be readable to its group: systemd hands a credential to a
    service's user this way, and an access control list for that user shows as the group's bits (acl(5)).

    Raises:
        VaultError: the file cannot be opened, is a link or not a regular file, belongs to another user, or is open to
            others.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise VaultError(f"{path} cannot be opened: {error.strerror}; name the file itself: ls -l {path}") from None
    try:
        _check(path, os.fstat(fd), of_root=of_root)
        with open(fd, "rb", closefd=False) as file:
            return file.read(limit + 1)
    except OSError as error:
        raise VaultError(f"{path} cannot be read: {error.strerror}; look at it: ls -l {path}") from None
    finally:
        os.close(fd)


def passphrase(path: str, *, of_root: bool = False) -> Secret:
    """Return the passphrase in a file.

    Raises:
        VaultError: the file is not private or cannot be read, or holds no passphrase.
    """
    return parse_passphrase(read(path, PASSPHRASE_BYTES, of_root=of_root), path)


def parse_passphrase(content: bytes, source: str) -> Secret:
    """Return `content` as a passphrase, with one trailing newline, if any, removed; `source` is for messages.

    Raises:
        VaultError: the content is empty, too long or not UTF-8. The message does not contain it.
    """
    try:
        text = content.decode("utf-8").removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError:
        text = ""
    if not text or len(content) > PASSPHRASE_BYTES:
        raise VaultError(
            f"{source} holds no passphrase (one line of UTF-8, at most {PASSPHRASE_BYTES} bytes); make one:"
            " head -c 32 /dev/urandom | base64"
        )
    return Secret(text)


def _check(path: str, status: os.stat_result, *, of_root: bool) -> None:
    owners, forbidden_mode = ({os.geteuid(), 0}, 0o037) if of_root else ({os.geteuid()}, 0o077)
    if not stat.S_ISREG(status.st_mode) or status.st_uid not in owners:
        raise VaultError(f"{path} is not a file of yours; move it away: mv {path} {path}.bad")
    if status.st_mode & forbidden_mode:
        raise VaultError(f"{path} is open to other users; run: chmod 600 {path}")
