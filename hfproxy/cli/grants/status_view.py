"""The text of `hf-proxy status`."""

from hfproxy.cli.ui.render import local_time
from hfproxy.control_client import rows
from hfproxy.wire import Message


def status_lines(status: Message) -> list[str]:
    """What there is to say to a person."""
    accounts = [f"{a.get('name')} ({a.get('user')}, {a.get('role')})" for a in rows(status, "accounts")]
    since = local_time(status.get("started_at"))
    vault = "not asked yet" if status.get("opened") is False else "open"
    if status.get("locked"):
        vault = "locked; open it with: hf-proxy unlock"
    if status.get("lockdown"):
        vault = "locked down: nothing is granted until: hf-proxy unlock"
    return [
        f"hf-proxy {status.get('version')} at {status.get('endpoint')}, since {since}",
        f"process: {status.get('pid')}",
        f"vault: {status.get('vault')}, {vault}",
        f"accounts: {', '.join(accounts) or _why_none(status)}",
        f"grants: {status.get('grants')}",
    ]


def _why_none(status: Message) -> str:
    if status.get("locked"):
        return "not to be seen while it is locked"
    if status.get("opened") is False:
        return "not to be seen yet, it was not opened since the start; open it with: hf-proxy unlock"
    return "none; add one with: hf-proxy login"
