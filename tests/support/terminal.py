"""A real shell on a real terminal: keys are pressed, and what the shell made of them is read back."""

import fcntl
import os
import pty
import re
import select
import subprocess
import termios
import time
from pathlib import Path

SECONDS = 30
TAB, HOME = "\t", "\x01"


class Terminal:
    """A program that believes that a person sits before it."""

    def __init__(self, command: list[str], env: dict[str, str], directory: Path) -> None:
        self.keys, theirs = pty.openpty()
        self.process = subprocess.Popen(
            command,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env=env,
            cwd=directory,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # so that Ctrl-C is a signal
        )
        os.close(theirs)
        self.seen = ""

    def press(self, keys: str) -> None:
        """Type."""
        os.write(self.keys, keys.encode())

    def until(self, pattern: str) -> re.Match[str]:
        """Read on until this has come; what was read before it is gone then."""
        deadline = time.monotonic() + SECONDS
        while (found := re.search(pattern, self.seen)) is None:
            left = deadline - time.monotonic()
            assert left > 0 and select.select([self.keys], [], [], left)[0], f"no {pattern!r} in {self.seen!r}"
            self.seen += os.read(self.keys, 65536).decode("utf-8", "replace")
        self.seen = self.seen[found.end() :]
        return found

    def close(self) -> None:
        """Hang up."""
        self.process.kill()
        self.process.wait()
        os.close(self.keys)
