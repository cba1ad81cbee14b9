"""All journal entries that the caller may see, for summaries by account."""

import os
from collections.abc import Iterator

from hfproxy.control_client import stream
from hfproxy.wire import Message


def all_entries() -> Iterator[Message]:
    """Yield the entries, the oldest first.

    Root sees the entries of several users, whose accounts may have equal names, so the name of another user's account
    is followed by the user's uid.

    Raises:
        HFProxyError: the daemon cannot be reached or refuses.
    """
    for entry in stream({"do": "audit"}):
        uid, account = entry.get("uid"), entry.get("account")
        is_own = account is None or uid in {None, os.getuid()}
        yield entry if is_own else {**entry, "account": f"{account} (uid {uid})"}
