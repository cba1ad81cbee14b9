"""What is counted of the data plane, and how Prometheus reads it (text exposition format 0.0.4).

Labels are words of closed lists: decisions, actions, refusals, classes of HTTP status. No repository, account, grant or
address is ever one: whoever may read a metric need not know what is worked on
(docs/threat-model.md#t23).
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

# Upper ends in seconds: a file's metadata is at the one end, a large transfer at the other.
BUCKETS: Final = (0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0, 300.0, float("inf"))
# What a request needs that was refused before it was known, or needs no scope.
NO_ACTION: Final = "none"
DENY: Final = "deny"

Labels = tuple[tuple[str, str], ...]
Sample = tuple[str, Labels, float]


@dataclass(slots=True)
class Counters:
    """Since the daemon's start. `requests`: by decision and action; `answers`: of the Hub, by class of status."""

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
        """Requests, whatever became of them."""
        return sum(self.requests.values())

    @property
    def denied(self) -> int:
        """Requests that were refused."""
        return sum(count for (decision, _), count in self.requests.items() if decision == DENY)

    def decided(self, decision: str, action: str | None) -> None:
        """One more request; `decision` as in the journal."""
        self.requests[decision, action or NO_ACTION] += 1

    def denied_for(self, refusal: str, action: str | None = None) -> None:
        """One more that was refused."""
        self.decided(DENY, action)
        self.refusals[refusal] += 1

    def completed(self, status: int, up: int, down: int, seconds: float) -> None:
        """One more that went to the Hub has ended; status 0: cut before the answer."""
        self.answers[f"{status // 100}xx" if status else "none"] += 1
        self.bytes_up += up
        self.bytes_down += down
        self.seconds += seconds
        self.within[BUCKETS[bisect_left(BUCKETS, seconds)]] += 1

    def families(self) -> Iterator["Family"]:
        """All of it as metrics."""
        by_decision = [(labels(decision=one, action=action), count) for (one, action), count in self.requests.items()]
        yield counter("requests", "Requests, by what was decided and by what they needed first", by_decision)
        yield counter("refusals", "Refused requests, by reason", _labelled("refusal", self.refusals))
        yield counter(
            "answers", "Forwarded requests, by the class of status they ended with", _labelled("status", self.answers)
        )
        yield counter(
            "upstream_errors",
            "Forwarded requests that the Hub did not answer as it should",
            [((), self.upstream_errors)],
        )
        both = [(labels(direction="up"), self.bytes_up), (labels(direction="down"), self.bytes_down)]
        yield counter("body_bytes", "Bytes of bodies, to the Hub and from it", both)
        yield self._durations()

    def _durations(self) -> "Family":
        samples: list[Sample] = []
        seen = 0
        for end in BUCKETS:
            seen += self.within[end]
            samples.append(("_bucket", labels(le="+Inf" if end == float("inf") else f"{end:g}"), seen))
        samples += [("_sum", (), self.seconds), ("_count", (), seen)]
        return Family(
            "hf_proxy_request_duration_seconds", "histogram", "How long forwarded requests took", tuple(samples)
        )


@dataclass(frozen=True, slots=True)
class Family:
    """One metric and its samples; a sample's first member is what its name ends in."""

    name: str
    kind: str
    help: str
    samples: tuple[Sample, ...]


def labels(**values: str) -> Labels:
    """Labels by name."""
    return tuple(values.items())


def counter(name: str, about: str, samples: Iterable[tuple[Labels, float]]) -> Family:
    """What only grows, from the daemon's start."""
    return Family(f"hf_proxy_{name}_total", "counter", about, tuple(("", found, value) for found, value in samples))


def gauge(name: str, about: str, value: float, **labelled: str) -> Family:
    """What is so now."""
    return Family(f"hf_proxy_{name}", "gauge", about, (("", labels(**labelled), value),))


def exposition(families: Iterable[Family]) -> str:
    """As Prometheus reads it."""
    return "".join(line + "\n" for family in families for line in _lines(family))


def _lines(family: Family) -> Iterator[str]:
    yield f"# HELP {family.name} {family.help}."
    yield f"# TYPE {family.name} {family.kind}"
    for ending, found, value in family.samples:
        inner = ",".join(f'{name}="{_escaped(text)}"' for name, text in found)
        yield f"{family.name}{ending}{'{' + inner + '}' if inner else ''} {value:.10g}"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _labelled(name: str, counts: Mapping[str, int]) -> list[tuple[Labels, float]]:
    return [(labels(**{name: value}), count) for value, count in counts.items()]
