"""Waits for the daemon's `READY=1` datagram, as a service manager does (sd_notify(3))."""

import os
import select
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any, Self

START_SECONDS = 60


class ReadySocket:
    """A datagram socket for one start, as a context manager; `env` names it.

    Its path lies directly in /tmp: a socket's path has at most 107 bytes (unix(7)), and the daemon may run in a mount
    namespace or as another user, who can write to it.
    """

    def __init__(self) -> None:
        self._folder = tempfile.mkdtemp(prefix="ready-", dir="/tmp")
        os.chmod(self._folder, 0o711)
        self._path = f"{self._folder}/socket"
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(self._path)
        os.chmod(self._path, 0o722)
        self.env = {"NOTIFY_SOCKET": self._path}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()
        shutil.rmtree(self._folder)

    def wait(self, process: "subprocess.Popen[Any]") -> bool:
        """Whether the daemon became ready; False if its process ended or `START_SECONDS` passed."""
        deadline = time.monotonic() + START_SECONDS
        ended = os.pidfd_open(process.pid)
        try:
            while (left := deadline - time.monotonic()) > 0:
                readable, _, _ = select.select([self._socket, ended], [], [], left)
                if self._socket in readable and b"READY=1" in self._socket.recv(4096).split(b"\n"):
                    return True
                if ended in readable:
                    return False
        finally:
            os.close(ended)
        return False


def wait_for_answer(control_socket: Path, process: "subprocess.Popen[Any]") -> bool:
    """Whether the daemon answers on its control socket, where a test keeps `NOTIFY_SOCKET` for itself."""
    deadline = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        with socket.socket(socket.AF_UNIX) as daemon:
            try:
                daemon.connect(str(control_socket))
                daemon.sendall(b'{"do": "status"}\n')
                if daemon.recv(1):
                    return True
            except OSError:
                pass
        time.sleep(0.02)
    return False
