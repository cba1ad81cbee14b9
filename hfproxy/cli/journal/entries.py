"""All that the journal tells us, for what sums it up by accounts."""

import os
from collections.abc import Iterator

from hfproxy.control_client import stream
from hfproxy.wire import Message


def all_entries() -> Iterator[Message]:
    """Entries, the oldest first; raises as `client.ask`.

    Root is told of several users, who may call their accounts the same: another user's has its owner behind its name.
    """
    for entry in stream({"do": "audit"}):
        uid, account = entry.get("uid"), entry.get("account")
        ours = account is None or uid in {None, os.getuid()}
        yield entry if ours else {**entry, "account": f"{account} (uid {uid})"}
