"""Answers planted by a test: an outage, a rate limit, a header or body the Hub would never send."""

from dataclasses import dataclass, field

from aiohttp import web


@dataclass
class Fault:
    """What to answer requests of *method* whose raw path starts with *path*, and how often yet."""

    method: str
    path: str
    status: int
    headers: dict[str, str]
    body: bytes
    times: int

    def response(self) -> web.Response:
        """Return the planted answer."""
        return web.Response(status=self.status, headers=self.headers, body=self.body)


@dataclass
class Faults:
    """The planted answers, oldest first."""

    planted: list[Fault] = field(default_factory=list)

    def add(self, fault: Fault) -> None:
        """Plant an answer."""
        self.planted.append(fault)

    def take(self, method: str, path: str) -> Fault | None:
        """Return the answer for a request, if one is planted, and count it down."""
        for fault in self.planted:
            if fault.method == method and path.startswith(fault.path) and fault.times > 0:
                fault.times -= 1
                return fault
        return None
