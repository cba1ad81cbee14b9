"""Reading files that hold something secret: a plain file of ours that nobody else can open, or nothing.

The name is never followed through a link at its end, and what is looked at is what was opened, so nothing can be
swapped in between.
"""

import os
import stat

from hfproxy.errors import VaultError
from hfproxy.secret import Secret

# More than any passphrase; a mistaken /dev/zero ends here.
PASSPHRASE_BYTES = 4096


def read(path: str, limit: int, *, of_root: bool = False) -> bytes:
    """What the file holds, but for what comes after `limit` + 1 bytes.

    With `of_root` it may also be root's, and readable to its group: systemd hands a credential to a service's user
    so, and an access control list for that user shows as the group's bits (acl(5)).

    Raises:
        VaultError: it cannot be opened, is a link or no plain file, somebody else's, or open to others.
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
    """The passphrase that a file holds, as text; raises as `read`, or because there is none in it."""
    return parse_passphrase(read(path, PASSPHRASE_BYTES, of_root=of_root), path)


def parse_passphrase(content: bytes, source: str) -> Secret:
    """What was read as a passphrase, without one newline at its end.

    Raises:
        VaultError: it is empty, too long, or no text. It is not repeated.
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


def _check(path: str, found: os.stat_result, *, of_root: bool) -> None:
    owners, closed = ({os.geteuid(), 0}, 0o037) if of_root else ({os.geteuid()}, 0o077)
    if not stat.S_ISREG(found.st_mode) or found.st_uid not in owners:
        raise VaultError(f"{path} is not a file of yours; move it away: mv {path} {path}.bad")
    if found.st_mode & closed:
        raise VaultError(f"{path} is open to other users; run: chmod 600 {path}")
