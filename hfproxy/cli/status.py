"""`status`: is the daemon up, and what does it hold?"""

from hfproxy.cli.options import Syntax
from hfproxy.cli.render import moment, show, show_json
from hfproxy.client import ask, rows
from hfproxy.wire import Message

SYNTAX = Syntax("status", "Is the daemon up? The exit code is 0 if it is.", ("--json", "", "as one object"))


def run(words: list[str]) -> int:
    """Raises as `client.ask`: no answer is not ready."""
    arguments = SYNTAX.read(words)
    status = ask({"do": "status"})
    if arguments.switch("--json"):
        show_json(status)
    else:
        _tell(status)
    return 0


def _tell(status: Message) -> None:
    accounts = [f"{a.get('name')} ({a.get('user')}, {a.get('role')})" for a in rows(status, "accounts")]
    since = moment(status.get("started_at"))
    vault = "not asked yet" if status.get("opened") is False else "open"
    if status.get("locked"):
        vault = "locked; open it with: hf-proxy unlock"
    if status.get("lockdown"):
        vault = "locked down: nothing is granted until: hf-proxy unlock"
    show(f"hf-proxy {status.get('version')} at {status.get('endpoint')}, since {since}")
    show(f"process: {status.get('pid')}")
    show(f"vault: {status.get('vault')}, {vault}")
    show(f"accounts: {', '.join(accounts) or _why_none(status)}")
    show(f"grants: {status.get('grants')}")


def _why_none(status: Message) -> str:
    if status.get("locked"):
        return "not to be seen while it is locked"
    if status.get("opened") is False:
        return "not to be seen yet, it was not opened since the start; open it with: hf-proxy unlock"
    return "none; add one with: hf-proxy login"
