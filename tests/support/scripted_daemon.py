"""A stand-in for the daemon: a thread that speaks `wire` on a real Unix socket, as it is told to.

`answers` maps a request's word to what comes back: an object, a list of objects (one a line), bytes as they
are, or a function of the request that gives one of these. Every request is kept.
"""

import json
import socket
import threading
from contextlib import suppress
from pathlib import Path

from hfproxy.wire import Message, decode, encode

CREDENTIAL = "hf_px_0Scripted9Credential8"
ENDPOINT = "http://127.0.0.1:4880"

MINTED: Message = {
    "id": "g1",
    "credential": CREDENTIAL,
    "endpoint": ENDPOINT,
    "hub": "https://huggingface.co",
    "expires_at": 1_800_000_000,
    "scopes": ["read"],
    "replace": [],
}


class ScriptedDaemon:
    """Listens on `control.sock` in a directory, one connection at a time."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.answers: dict[str, object] = {}
        self.requests: list[Message] = []
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(str(directory / "control.sock"))
        self._listener.listen(16)
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        """Stop, and leave no socket behind."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        (self.directory / "control.sock").unlink()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection:
                self._answer(connection)

    def _answer(self, connection: socket.socket) -> None:
        line = b""
        while not line.endswith(b"\n"):
            part = connection.recv(65536)
            if not part:
                return
            line += part
        request = decode(line)
        self.requests.append(request)
        with suppress(BrokenPipeError):
            connection.sendall(self._lines(request))

    def _lines(self, request: Message) -> bytes:
        answer = self.answers.get(str(request["do"]), {"error": "not in the script", "code": 1})
        if callable(answer):
            answer = answer(request)
        if isinstance(answer, bytes):
            return answer
        if isinstance(answer, list):
            return b"".join(json.dumps(entry).encode() + b"\n" for entry in answer)
        assert isinstance(answer, dict)
        return encode(answer)
