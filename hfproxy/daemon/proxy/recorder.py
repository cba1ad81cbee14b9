"""The journal lines of requests: `decided`, `completed` and `denied_unknown` (steps 7 and 10).

A refused request without a known grant gets no line of its own: any local process could fill the disk. Such refusals
are counted, and written once a minute, one line for each reason and user.
"""

import time
from collections import Counter
from functools import lru_cache
from typing import Final

import msgspec
import structlog

from hfproxy.core.audit.chain import EventKind
from hfproxy.core.audit.metrics import Counters
from hfproxy.core.policy.access import Action, Need
from hfproxy.core.policy.decision import Allow, AllowAnonymous, Deny, Refusal
from hfproxy.core.policy.scope import scope_for
from hfproxy.daemon.journal.writer import JournalWriter
from hfproxy.daemon.runtime.clock import now
from hfproxy.daemon.runtime.logs import redact
from hfproxy.errors import JournalError

log = structlog.get_logger()
MINUTE_S: Final = 60
DECIDED: Final = f'"kind":"{EventKind.DECIDED.value}"'
COMPLETED: Final = f'"kind":"{EventKind.COMPLETED.value}"'
# Characters of a path that are recorded.
MAX_PATH: Final = 2048
# Encoded facts that are cached: clients repeat requests, and `completed` repeats the fields of `decided`.
CACHE_SIZE: Final = 256
# Needs in one line: a commit to a bucket may copy from a thousand places.
MAX_NEEDS: Final = 100


class RequestFacts(msgspec.Struct, frozen=True):
    """What a journal line says of a request.

    Attributes:
        path: The raw path, at most `MAX_PATH` characters, without its query, which may hold a capability.
        needs: Empty if the route has none, or none are known.
        changes: Whether the request may change something upstream, so that its line must be on disk before it is sent.
    """

    uid: int | None
    grant_id: str | None
    account: str | None
    method: str
    path: str
    needs: tuple[Need, ...]
    changes: bool


class Recorded(msgspec.Struct, frozen=True):
    """A request whose `decided` line is in the journal, or queued for it: only such a one can be completed.

    Attributes:
        fields: Its facts, encoded as a part of a JSON object.
        started: The monotonic clock at its arrival.
    """

    fields: str
    started: float


class RequestRecorder:
    """Writes the lines of requests and counts them for `hf-proxy metrics`."""

    def __init__(self, journal: JournalWriter) -> None:
        self._journal = journal
        self._unidentified: Counter[tuple[Refusal, int | None]] = Counter()
        self.counts = Counters()
        self._encoded = lru_cache(maxsize=CACHE_SIZE)(self._encode)

    async def decided(self, facts: RequestFacts, decision: Allow | AllowAnonymous, started: float) -> Recorded:
        """Record an allowed request. If it may change something, the line is on disk when this returns.

        The line has the time at which it is written, not that of the decision: counting a use may have waited for the
        disk, and `audit verify` reports lines whose time goes back.

        Raises:
            JournalError: The line could not be written, so the request must not be forwarded.
        """
        word = "allow" if isinstance(decision, Allow) else "anonymous"
        recorded = Recorded(self._encoded(facts), started)
        line = f'"at":{now()},{recorded.fields},{DECIDED},"decision":"{word}"'
        if facts.changes:
            await self._journal.append_durably(line)
        else:
            self._journal.append(line)
            self._journal.schedule_chaining()
        self.counts.decided(word, facts.needs[0].action if facts.needs else None)
        return recorded

    def denied(self, facts: RequestFacts, deny: Deny) -> None:
        """Record a refused request of a known grant.

        Raises:
            JournalError: An earlier write failed.
        """
        refusal = deny.refusal.value
        self.counts.denied_for(refusal, facts.needs[0].action.value if facts.needs else None)
        self._journal.append(f'"at":{now()},{self._encoded(facts)},{DECIDED},"decision":"deny","refusal":"{refusal}"')

    def count_unidentified(self, deny: Deny, uid: int | None = None) -> None:
        """Count a refused request without a known grant; `uid`: the user it concerns, if there is one."""
        self._unidentified[deny.refusal, uid] += 1
        self.counts.denied_for(deny.refusal.value)

    def completed(
        self, recorded: Recorded, status: int, bytes_up: int, bytes_down: int, refusal: Refusal | None
    ) -> None:
        """Record how a forwarded request ended.

        Args:
            recorded: What `decided` returned.
            status: As the client got it; 0 if the connection was lost before the Hub responded.
            bytes_up: Bytes of the request body that were sent upstream.
            bytes_down: Bytes of the response body that were sent to the client.
            refusal: Why it was broken off here, if it was.

        Raises:
            JournalError: An earlier write failed.
        """
        seconds = time.monotonic() - recorded.started
        self.counts.completed(status, bytes_up, bytes_down, seconds)
        self.counts.upstream_errors += refusal is Refusal.UPSTREAM
        refused = f'"refusal":"{refusal.value}",' if refusal else ""
        self._journal.append(
            f'"at":{now()},{recorded.fields},{COMPLETED},"status":{status},{refused}"bytes_up":{bytes_up},'
            f'"bytes_down":{bytes_down},"ms":{round(seconds * 1000)}'
        )

    def flush_counts(self) -> None:
        """Write what `count_unidentified` counted since the last call, one line for each reason and user."""
        counted, self._unidentified = self._unidentified, Counter()
        for (refusal, uid), count in counted.items():
            event = {"at": now(), "kind": EventKind.DENIED_UNKNOWN.value, "uid": uid, "refusal": refusal.value}
            try:
                self._journal.append({**event, "count": count})
            except JournalError:
                log.warning("not_recorded", kind=EventKind.DENIED_UNKNOWN.value, refusal=refusal.value, count=count)

    def _encode(self, facts: RequestFacts) -> str:
        return self._journal.encode_fields(
            {
                "uid": facts.uid,
                "grant": facts.grant_id,
                "account": facts.account,
                "method": facts.method,
                "target": redact(facts.path),
                **needs_fields(facts.needs),
            }
        )


def needs_fields(needs: tuple[Need, ...]) -> dict[str, object]:
    """Return the fields of a journal line that tell a request's needs."""
    return {
        "action": needs[0].action.value if needs else None,
        "repo": next((need.target.repo for need in needs if need.target.repo), None),
        "ref": _changed_ref(needs),
        **_scopes(needs),
    }


def _changed_ref(needs: tuple[Need, ...]) -> str | None:
    """Return the one ref that a request changes; None if it changes none, several, or what belongs to no ref."""
    refs = {need.target.ref for need in needs if need.action is not Action.READ}
    ref = refs.pop() if len(refs) == 1 else None
    return ref and redact(ref[:MAX_PATH])


def _scopes(needs: tuple[Need, ...]) -> dict[str, object]:
    """Return all needs as scopes, unless `action` and `repo` already tell them."""
    if len(needs) < 2 and not any(need.target.type is None and need.target.namespace for need in needs):
        return {}
    texts = list(dict.fromkeys(str(scope_for(need)) for need in needs))
    more = len(texts) - MAX_NEEDS
    return {"needs": texts[:MAX_NEEDS], "more_needs": more if more > 0 else None}
