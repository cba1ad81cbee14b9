"""A request's decision and its use, as the data plane takes them one after the other."""

from hfproxy.core.policy.access import Access
from hfproxy.core.policy.broker import Broker
from hfproxy.core.policy.decision import Decision, Deny
from hfproxy.core.policy.grant import Grant, MatchingTrees


def authorize(broker: Broker, grant: Grant, access: Access, at: int, inside: MatchingTrees = frozenset()) -> Decision:
    """Decide on an access; unless it is denied, count it as a use of the grant and its ancestors."""
    decision = broker.evaluate(grant, access, at, inside)
    if not isinstance(decision, Deny):
        broker.count_use(grant, at)
    return decision
