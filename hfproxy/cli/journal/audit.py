"""`audit`: read the journal through the daemon, which flushes it first; subcommands `report`, `verify`, `anchor`."""

import sys
from importlib import import_module

from hfproxy.cli.commands import module_of
from hfproxy.cli.ui.arguments import Arguments, CommandSpec
from hfproxy.cli.ui.render import join_list, local_time, show, show_json
from hfproxy.control_client import request, stream, text
from hfproxy.wire import Message

SYNTAX = CommandSpec(
    "audit",
    "Read the journal. Also: hf-proxy audit report, hf-proxy audit verify, hf-proxy audit anchor.",
    ("--since", "TIME", "only the last 90s, 15m, 1h, 2d"),
    ("--grant", "ID", "only entries of one grant"),
    ("--repo", "REPO", "only entries on one repository, like models/ns/name"),
    ("--action", "ACTION", "only entries that needed one action, like write"),
    ("--denied", "", "only refusals"),
    ("-f", "", "follow: go on with new entries"),
    ("--json", "", "one object a line"),
)

ANCHOR_SYNTAX = CommandSpec("audit anchor", "Print the hash of the journal's last entry, to store elsewhere.")

COLUMNS = ("kind", "grant", "account", "program", "decision", "method", "target", "status", "refusal", "project")


def run(words: list[str]) -> int:
    """Print entries, or run a subcommand. Raises HFProxyError if the daemon cannot be reached or refuses."""
    if words[:1] in (["verify"], ["report"]):
        code: int = import_module(module_of(f"audit {words[0]}")).run(words[1:])
        return code
    if words[:1] == ["anchor"]:
        return _anchor(words[1:])
    arguments = SYNTAX.read(words)
    as_json = arguments.switch("--json")
    for entry in stream(_request(arguments), follow=arguments.switch("-f")):
        if as_json:
            show_json(entry)
        else:
            show(_line(entry))
        sys.stdout.flush()
    return 0


def _request(arguments: Arguments) -> Message:
    members: Message = {
        "since": arguments.text("--since"),
        "grant": arguments.text("--grant"),
        "repo": arguments.text("--repo"),
        "action": arguments.text("--action"),
        "denied": arguments.switch("--denied"),
        "follow": arguments.switch("-f"),
    }
    return {"do": "audit", **{key: value for key, value in members.items() if value not in (None, False)}}


def _line(entry: Message) -> str:
    """Format an entry: its time, kind, grant and account, then the request and its outcome."""
    values = (entry.get(column) for column in COLUMNS)
    cells = [local_time(entry.get("at")), *(str(value) for value in values if value is not None)]
    return " ".join([*cells, join_list(entry.get("scopes"))]).rstrip()


def _anchor(words: list[str]) -> int:
    ANCHOR_SYNTAX.read(words)
    head = request({"do": "anchor"})
    show(text(head, "hash"))
    if sys.stderr.isatty():
        sys.stderr.write(f"entry {head.get('seq')}; check with: hf-proxy audit verify --anchor HASH\n")
    return 0
