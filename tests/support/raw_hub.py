"""A Hub that answers with exactly the bytes it is told to, right or wrong, and keeps every byte it got."""

import json
import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import IO

WHO = json.dumps({"name": "me", "id": "1" * 24, "auth": {"accessToken": {"role": "fineGrained"}}}).encode()
Answer = bytes | Callable[[], Iterable[bytes]]


def whole(body: bytes, *headers: str, status: str = "200 OK") -> bytes:
    """An answer with its length."""
    lines = [f"HTTP/1.1 {status}", *headers, f"Content-Length: {len(body)}", "", ""]
    return "\r\n".join(lines).encode("latin-1") + body


def lines_until(incoming: IO[bytes], last: bytes) -> bytes | None:
    """The lines before `last`; None where the connection ends before it."""
    lines = []
    while line := incoming.readline():
        if line == last:
            return b"".join(lines)
        lines.append(line)
    return None


class RawHub:
    """One thread a connection. An answer that is a function gives its pieces; after the last the connection is closed."""

    def __init__(self, listener: socket.socket) -> None:
        self.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        self.answer: Answer = whole(b"{}", "Content-Type: application/json")
        self.requests: list[tuple[bytes, bytes]] = []
        self.asked, self.body_cut = threading.Event(), threading.Event()
        self._listener = listener

    def forget(self) -> None:
        """As if nobody had asked yet."""
        self.requests.clear()
        self.asked.clear()
        self.body_cut.clear()

    def run(self) -> None:
        """Accept until the listener is closed."""
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, suppress(OSError), connection.makefile("rb") as incoming:
            while head := lines_until(incoming, b"\r\n"):
                self.asked.set()
                body = self._body(head.lower(), incoming)
                if head.startswith(b"GET /api/whoami-v2 "):
                    connection.sendall(whole(WHO, "Content-Type: application/json"))
                    continue
                self.requests.append((head, body))
                if isinstance(self.answer, bytes):
                    connection.sendall(self.answer)
                    continue
                for piece in self.answer():
                    connection.sendall(piece)
                return

    def _body(self, head: bytes, incoming: IO[bytes]) -> bytes:
        if b"transfer-encoding: chunked" in head:
            chunks = lines_until(incoming, b"0\r\n")
            return b"" if chunks is None else chunks + b"0\r\n" + incoming.readline()
        length = int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0] or 0)
        body: bytes = incoming.read(length)
        if len(body) < length:
            self.body_cut.set()
        return body


@contextmanager
def raw_hub() -> Iterator[RawHub]:
    """A running one."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        hub = RawHub(listener)
        thread = threading.Thread(target=hub.run)
        thread.start()
        yield hub
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()
