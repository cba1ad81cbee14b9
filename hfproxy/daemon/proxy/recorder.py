"""What the data plane writes into the journal about requests.

A request without a known credential gets no line of its own, or anybody could fill the disk: such are counted, and
written down as one line a minute for each reason.
"""

import time
from collections import Counter
from functools import lru_cache
from typing import Final

import structlog

from hfproxy.core.audit.chain import EventKind
from hfproxy.core.audit.metrics import Counters
from hfproxy.core.policy.access import Action, Need
from hfproxy.core.policy.decision import Allow, AllowAnonymous, Deny, Refusal
from hfproxy.core.policy.scope import scope_for
from hfproxy.daemon.journal.writer import JournalWriter
from hfproxy.daemon.proxy.exchange import Exchange
from hfproxy.daemon.runtime.clock import now
from hfproxy.daemon.runtime.logs import redact
from hfproxy.errors import JournalError

log = structlog.get_logger()
SAFE: Final = frozenset({"GET", "HEAD"})
MINUTE: Final = 60
DECIDED: Final = f'"kind":"{EventKind.DECIDED.value}"'
COMPLETED: Final = f'"kind":"{EventKind.COMPLETED.value}"'
MAX_TARGET: Final = 2048
# Requests that were put into words and may come again: another file of the same repository is another one.
REMEMBERED: Final = 256
# One commit to a bucket may copy from a thousand places; a line of the journal stays a line.
MAX_NEEDS: Final = 100


class RequestRecorder:
    """Writes `decided`, `completed` and `denied_unknown`."""

    def __init__(self, journal: JournalWriter) -> None:
        self._journal = journal
        self._unknown: Counter[tuple[Refusal, int | None]] = Counter()
        self.counts = Counters()
        self._cached_fields = lru_cache(maxsize=REMEMBERED)(self._encode_fields)

    async def decided(self, exchange: Exchange, decision: Allow | AllowAnonymous) -> None:
        """Record a yes. What may change the world is on disk when this returns.

        Raises:
            JournalError: it could not be written, so the request must not go on.
        """
        word = "allow" if isinstance(decision, Allow) else "anonymous"
        exchange.journal_fields = self._request_fields(exchange)
        event = f'"at":{now()},{exchange.journal_fields},{DECIDED},"decision":"{word}"'
        needs = _needs(exchange)
        if exchange.reads or (needs == () and exchange.request.method in SAFE):
            self._journal.append(event)
            self._journal.schedule_chaining()
        else:
            await self._journal.append_durably(event)
        self.counts.decided(word, needs[0].action if needs else None)

    def denied(self, exchange: Exchange, deny: Deny) -> None:
        """Record a no to a known grant."""
        self.counts.denied_for(deny.refusal.value, _action(exchange))
        said, refusal = self._request_fields(exchange), deny.refusal.value
        self._journal.append(f'"at":{now()},{said},{DECIDED},"decision":"deny","refusal":"{refusal}"')

    def count_unidentified(self, deny: Deny, uid: int | None = None) -> Deny:
        """Count a no to somebody unknown, and hand it on. `uid`: which user it concerns, if any."""
        self._unknown[deny.refusal, uid] += 1
        self.counts.denied_for(deny.refusal.value)
        return deny

    def completed(
        self, exchange: Exchange, status: int, bytes_up: int, bytes_down: int, refusal: Refusal | None
    ) -> None:
        """Record how a forwarded request ended; status 0: it was cut before the Hub answered."""
        seconds = time.monotonic() - exchange.started
        self.counts.completed(status, bytes_up, bytes_down, seconds)
        self.counts.upstream_errors += refusal is Refusal.UPSTREAM
        said, why = (
            exchange.journal_fields or self._request_fields(exchange),
            f'"refusal":"{refusal.value}",' if refusal else "",
        )
        self._journal.append(
            f'"at":{now()},{said},{COMPLETED},"status":{status},{why}"bytes_up":{bytes_up},'
            f'"bytes_down":{bytes_down},"ms":{round(seconds * 1000)}'
        )

    def flush_counts(self) -> None:
        """Write the counts since the last time, one line a reason."""
        counted, self._unknown = self._unknown, Counter()
        for (refusal, uid), count in counted.items():
            event = {"at": now(), "kind": EventKind.DENIED_UNKNOWN.value, "uid": uid, "refusal": refusal.value}
            try:
                self._journal.append({**event, "count": count})
            except JournalError:
                log.warning("not_recorded", kind=EventKind.DENIED_UNKNOWN.value, refusal=refusal.value, count=count)

    def _request_fields(self, exchange: Exchange) -> str:
        """What a request is, in the journal's words: the target without its query, which may hold a capability."""
        path, grant = exchange.request.raw_path.partition("?")[0][:MAX_TARGET], exchange.grant
        return self._cached_fields(
            exchange.uid, grant and grant.id, exchange.account, exchange.request.method, path, _needs(exchange)
        )

    def _encode_fields(
        self,
        uid: int | None,
        grant: str | None,
        account: str | None,
        method: str,
        path: str,
        needs: tuple[Need, ...],
    ) -> str:
        about = {"uid": uid, "grant": grant, "account": account, "method": method, "target": redact(path)}
        return self._journal.encode_fields({**about, **needs_fields(needs)})


def _needs(exchange: Exchange) -> tuple[Need, ...]:
    access = exchange.classified.access if exchange.classified else None
    return access.needs if access else ()


def _action(exchange: Exchange) -> str | None:
    needs = _needs(exchange)
    return needs[0].action.value if needs else None


def needs_fields(needs: tuple[Need, ...]) -> dict[str, object]:
    """What a request needed, as the journal says it."""
    return {
        "action": needs[0].action.value if needs else None,
        "repo": next((need.target.repo for need in needs if need.target.repo), None),
        "ref": _ref(needs),
        **_all_needs(needs),
    }


def _ref(needs: tuple[Need, ...]) -> str | None:
    """The one ref that a request changes; None where it changes none, several, or what belongs to no ref."""
    refs = {need.target.ref for need in needs if need.action is not Action.READ}
    ref = refs.pop() if len(refs) == 1 else None
    return ref and redact(ref[:MAX_TARGET])


def _all_needs(needs: tuple[Need, ...]) -> dict[str, object]:
    """Everything a request needed, as scopes, where one action on one repository does not say it."""
    if len(needs) < 2 and not any(need.target.type is None and need.target.namespace for need in needs):
        return {}
    texts = list(dict.fromkeys(str(scope_for(need)) for need in needs))
    more = len(texts) - MAX_NEEDS
    return {"needs": texts[:MAX_NEEDS], "more_needs": more if more > 0 else None}
