"""A client that says exactly what it is told to, and keeps every byte of the answer."""

import socket
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit


@dataclass(frozen=True)
class Reply:
    """One answer, taken apart; `raw` is all of it."""

    raw: bytes

    @property
    def status(self) -> int:
        return int(self.raw.split(b" ", 2)[1]) if self.raw else 0

    @property
    def headers(self) -> dict[str, str]:
        lines = self.raw.partition(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")[1:]
        return {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}

    @property
    def body(self) -> bytes:
        return self.raw.partition(b"\r\n\r\n")[2]

    @property
    def refusal(self) -> str | None:
        return self.headers.get("x-hf-proxy-refusal")


def ask(
    endpoint: str,
    method: str,
    target: str,
    headers: dict[str, str] | None = None,
    body: bytes = b"",
    *,
    host: str | None = None,
    timeout: float = 20,
) -> Reply:
    """Send one request and read its answer, as most clients do over a connection that could be used again."""
    place = urlsplit(endpoint)
    fields = {"Host": host if host is not None else place.netloc, **(headers or {})}
    if body or method in {"POST", "PUT", "DELETE"}:
        fields.setdefault("Content-Length", str(len(body)))
    lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items()), "", ""]
    data = "\r\n".join(lines).encode("latin-1") + body
    return send(endpoint, data, timeout=timeout, until=lambda received: is_whole(method, received))


def is_whole(method: str, received: bytes) -> bool:
    """Whether an answer has all that its head promises."""
    head, end, body = received.partition(b"\r\n\r\n")
    if not end:
        return False
    reply = Reply(received)
    if method == "HEAD" or reply.status in {204, 304}:
        return True
    if "content-length" in reply.headers:
        return len(body) >= int(reply.headers["content-length"])
    return "transfer-encoding" in reply.headers and body.endswith(b"0\r\n\r\n")


def send(
    endpoint: str, data: bytes, timeout: float = 20, until: Callable[[bytes], bool] = lambda received: False
) -> Reply:
    """Send bytes and read until the other side closes, or there is enough."""
    place = urlsplit(endpoint)
    received = b""
    with socket.create_connection((place.hostname, place.port), timeout=timeout) as connection:
        connection.sendall(data)
        try:
            while not until(received) and (part := connection.recv(65536)):
                received += part
        except ConnectionResetError:
            pass
    return Reply(received)


def bearer(credential: str) -> dict[str, str]:
    """The header of a client that has a credential."""
    return {"Authorization": f"Bearer {credential}"}
