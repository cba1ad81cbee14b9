"""A client that says exactly what it is told to, and keeps every byte of the answer."""

import socket
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
    """Send one request and read until the other side closes."""
    place = urlsplit(endpoint)
    fields = {"Host": host if host is not None else place.netloc, "Connection": "close", **(headers or {})}
    if body or method in {"POST", "PUT", "DELETE"}:
        fields.setdefault("Content-Length", str(len(body)))
    lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items()), "", ""]
    return send(endpoint, "\r\n".join(lines).encode("latin-1") + body, timeout=timeout)


def send(endpoint: str, data: bytes, timeout: float = 20) -> Reply:
    """Send bytes and read until the other side closes."""
    place = urlsplit(endpoint)
    received = b""
    with socket.create_connection((place.hostname, place.port), timeout=timeout) as connection:
        connection.sendall(data)
        try:
            while part := connection.recv(65536):
                received += part
        except ConnectionResetError:
            pass
    return Reply(received)


def bearer(credential: str) -> dict[str, str]:
    """The header of a client that has a credential."""
    return {"Authorization": f"Bearer {credential}"}
