"""The broker's methods for callers that do not know whether a grant is loaded.

The broker answers from memory alone. Each method here first reads from the store the unloaded grants that the answer
depends on (the ancestors and the grant itself; the descendants of a grant that is about to end), hands them to the
broker, and then asks it. For a loaded grant the store is not touched.

A read is one row by its primary key, and is made on the event loop: it takes less time than handing it to a thread, and
nothing can end or renew a grant between its load and the question it was loaded for.

Two answers to a read that fails:

* A caller that asks for the grant gets the StoreError. The grant stays unloaded; the next caller may succeed.
* The end of one grant does not wait for the record of another. A due grant or a descendant that cannot be read cannot
  be used either. It ends once it can be read; after the end of its parent it is never loaded (`Broker.load`).
"""

from collections.abc import Callable, Iterable
from contextlib import suppress

from hfproxy.core.policy.broker import Broker, GrantNotLoaded
from hfproxy.core.policy.decision import Deny
from hfproxy.core.policy.grant import Grant, GrantTerms
from hfproxy.errors import StoreError


class LazyBroker:
    """A broker that loads grants from the store when they are first asked for."""

    def __init__(self, broker: Broker, read: Callable[[str], Grant | None]) -> None:
        """`read` returns the persisted grant of an id, None if its record is damaged; raises StoreError if it cannot
        say (`GrantStore.grant`)."""
        self._broker, self._read = broker, read

    def verify(self, bearer: str, at: int) -> Grant | Deny:
        """Return the grant that a credential stands for, or why there is none (`Broker.verify`).

        Raises:
            StoreError: its record cannot be read.
        """
        verdict = self._broker.verify(bearer, at)
        if isinstance(verdict, GrantNotLoaded):
            self._load([verdict.grant_id])
            verdict = self._broker.verify(bearer, at)
            assert not isinstance(verdict, GrantNotLoaded)
        return verdict

    def find(self, grant_id: str) -> Grant | None:
        """Return the living grant of that id; None: there is none.

        Raises:
            StoreError: its record cannot be read.
        """
        self._load([grant_id])
        return self._broker.find(grant_id)

    def grants(self) -> tuple[Grant, ...]:
        """Load and return all living grants, oldest first; those of one second in any order.

        Raises:
            StoreError: a record cannot be read.
        """
        self._load(self._broker.unloaded())
        return self._broker.grants()

    def subtree(self, grant_id: str) -> tuple[Grant, ...]:
        """Return a grant and its descendants, parents first; empty if it has ended. Leaves out what cannot be read.

        Raises:
            StoreError: the record of the grant itself cannot be read.
        """
        self._load_subtree(grant_id)
        return self._broker.subtree(grant_id)

    def mint(self, terms: GrantTerms, entropy: bytes, at: int) -> tuple[Grant, str]:
        """Issue a grant and its credential (`Broker.mint`).

        Raises:
            RefusedError: the parent does not live, or it is another user's.
            StoreError: the parent's record cannot be read.
        """
        if terms.parent is not None:
            self._load([terms.parent])
        return self._broker.mint(terms, entropy, at)

    def renew(self, grant_id: str, expires_at: int, at: int) -> Grant:
        """Move a grant's expiry (`Broker.renew`).

        Raises:
            RefusedError: no such grant lives, or it has expired.
            StoreError: its record cannot be read.
        """
        self._load([grant_id])
        return self._broker.renew(grant_id, expires_at, at)

    def revoke(self, grant_id: str) -> tuple[Grant, ...]:
        """End a grant and its descendants before their time; returns those that ended (`Broker.revoke`).

        Raises:
            StoreError: the record of the grant itself cannot be read; nothing ended.
        """
        self._load_subtree(grant_id)
        return self._broker.revoke(grant_id)

    def expire(self, at: int) -> tuple[Grant, ...]:
        """End the grants that have expired by this second; returns those that ended (`Broker.expire`)."""
        self._load_if_readable(self._broker.unloaded_due(at))
        return self._broker.expire(at)

    def _load(self, grant_ids: Iterable[str]) -> None:
        for grant_id in grant_ids:
            for missing in self._broker.unloaded_lineage(grant_id):
                self._broker.load(missing, self._read(missing))

    def _load_if_readable(self, grant_ids: Iterable[str]) -> None:
        for grant_id in grant_ids:
            with suppress(StoreError):
                self._load([grant_id])

    def _load_subtree(self, grant_id: str) -> None:
        self._load([grant_id])
        self._load_if_readable(self._broker.unloaded_descendants(grant_id))
