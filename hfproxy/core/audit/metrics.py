"""Metrics of the data plane in Prometheus' text exposition format 0.0.4.

Labels are words from closed lists: decisions, actions, refusals, classes of HTTP status. A repository, account, grant
or address is never a label: permission to read metrics does not include permission to see the user's work
(docs/threat-model.md#t23).
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

# Upper bounds in seconds, from requests for a file's metadata to large transfers.
BUCKETS: Final = (0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0, 300.0, float("inf"))
# The action of requests that were refused before classification, or need no scope.
NO_ACTION: Final = "none"
DENY: Final = "deny"

Labels = tuple[tuple[str, str], ...]
Sample = tuple[str, Labels, float]


@dataclass(slots=True)
class Counters:
    """Counters since the daemon's start.

    Attributes:
        requests: requests by (decision, action).
        refusals: refused requests by refusal.
        answers: ended responses of the Hub by class of status, such as `2xx`; `none`: cut before the response.
        upstream_errors: forwarded requests that failed upstream.
        bytes_up: bytes of request bodies.
        bytes_down: bytes of response bodies.
        seconds: the sum of the durations.
        within: durations by the bucket's upper bound in seconds.
    """

    requests: Counter[tuple[str, str]] = field(default_factory=Counter)
    refusals: Counter[str] = field(default_factory=Counter)
    answers: Counter[str] = field(default_factory=Counter)
    upstream_errors: int = 0
    bytes_up: int = 0
    bytes_down: int = 0
    seconds: float = 0.0
    within: Counter[float] = field(default_factory=Counter)

    @property
    def total(self) -> int:
        """The number of all requests."""
        return sum(self.requests.values())

    @property
    def denied(self) -> int:
        """The number of refused requests."""
        return sum(count for (decision, _), count in self.requests.items() if decision == DENY)

    def decided(self, decision: str, action: str | None) -> None:
        """Count a request; `decision` is a word of the journal."""
        self.requests[decision, action or NO_ACTION] += 1

    def denied_for(self, refusal: str, action: str | None = None) -> None:
        """Count a refused request."""
        self.decided(DENY, action)
        self.refusals[refusal] += 1

    def completed(self, status: int, up: int, down: int, seconds: float) -> None:
        """Count the end of a forwarded request; status 0: cut before the response."""
        self.answers[f"{status // 100}xx" if status else "none"] += 1
        self.bytes_up += up
        self.bytes_down += down
        self.seconds += seconds
        self.within[BUCKETS[bisect_left(BUCKETS, seconds)]] += 1

    def families(self) -> Iterator["Family"]:
        """Yield all counters as metrics."""
        by_decision = [
            (labels(decision=decision, action=action), count) for (decision, action), count in self.requests.items()
        ]
        yield counter("requests", "Requests, by decision and by the action they needed first", by_decision)
        yield counter("refusals", "Refused requests, by reason", _samples("refusal", self.refusals))
        yield counter(
            "answers", "Forwarded requests, by the class of status they ended with", _samples("status", self.answers)
        )
        yield counter(
            "upstream_errors",
            "Forwarded requests that the Hub did not answer properly",
            [((), self.upstream_errors)],
        )
        by_direction = [(labels(direction="up"), self.bytes_up), (labels(direction="down"), self.bytes_down)]
        yield counter("body_bytes", "Bytes of bodies, to the Hub and from it", by_direction)
        yield self._durations()

    def _durations(self) -> "Family":
        samples: list[Sample] = []
        cumulative = 0
        for end in BUCKETS:
            cumulative += self.within[end]
            samples.append(("_bucket", labels(le="+Inf" if end == float("inf") else f"{end:g}"), cumulative))
        samples += [("_sum", (), self.seconds), ("_count", (), cumulative)]
        return Family(
            "hf_proxy_request_duration_seconds", "histogram", "How long forwarded requests took", tuple(samples)
        )


@dataclass(frozen=True, slots=True)
class Family:
    """A metric and its samples; a sample is (suffix of the name, labels, value)."""

    name: str
    kind: str
    help: str
    samples: tuple[Sample, ...]


def labels(**values: str) -> Labels:
    """Return the labels as pairs of name and value."""
    return tuple(values.items())


def counter(name: str, about: str, samples: Iterable[tuple[Labels, float]]) -> Family:
    """Return a metric that only grows, counted from the daemon's start."""
    return Family(f"hf_proxy_{name}_total", "counter", about, tuple(("", pairs, value) for pairs, value in samples))


def gauge(name: str, about: str, value: float, **labelled: str) -> Family:
    """Return a metric of the present state."""
    return Family(f"hf_proxy_{name}", "gauge", about, (("", labels(**labelled), value),))


def exposition(families: Iterable[Family]) -> str:
    """Return the metrics in Prometheus' text format."""
    return "".join(line + "\n" for family in families for line in _lines(family))


def _lines(family: Family) -> Iterator[str]:
    yield f"# HELP {family.name} {family.help}."
    yield f"# TYPE {family.name} {family.kind}"
    for suffix, pairs, value in family.samples:
        inner = ",".join(f'{name}="{_escape(text)}"' for name, text in pairs)
        yield f"{family.name}{suffix}{'{' + inner + '}' if inner else ''} {value:.10g}"


def _escape(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _samples(name: str, counts: Mapping[str, int]) -> list[tuple[Labels, float]]:
    return [(labels(**{name: value}), count) for value, count in counts.items()]
