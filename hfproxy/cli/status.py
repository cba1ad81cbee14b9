"""`status`: is the daemon up, and what does it hold? With `--watch`, again every second."""

from hfproxy.cli.options import CommandSpec
from hfproxy.cli.render import local_time, show, show_json
from hfproxy.client import request, rows
from hfproxy.wire import Message

SYNTAX = CommandSpec(
    "status",
    "Is the daemon up? The exit code is 0 if it is.",
    ("--watch", "", "go on: requests, refusals and grants, every second"),
    ("--json", "", "as one object; with --watch one a line"),
)


def run(words: list[str]) -> int:
    """Raises as `client.ask`: no answer is not ready."""
    arguments = SYNTAX.read(words)
    if arguments.switch("--watch"):
        from hfproxy.cli.watch import watch  # noqa: PLC0415  (only this pays for it)

        return watch(as_json=arguments.switch("--json"))
    status = request({"do": "status"})
    if arguments.switch("--json"):
        show_json(status)
    else:
        for line in status_lines(status):
            show(line)
    return 0


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
