"""The text of `hf-proxy status`."""

from hfproxy.cli.ui.render import local_time
from hfproxy.control_client import rows
from hfproxy.wire import Message


def status_lines(status: Message) -> list[str]:
    """Return the lines that show a reply to `status` to the user."""
    accounts = [
        f"{account.get('name')} ({account.get('user')}, {account.get('role')})" for account in rows(status, "accounts")
    ]
    since = local_time(status.get("started_at"))
    vault = "not opened yet" if status.get("opened") is False else "open"
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
        return "unknown while the vault is locked"
    if status.get("opened") is False:
        return "unknown, the vault is not opened yet; it opens at the first request that needs it"
    return "none; add one with: hf-proxy login"
