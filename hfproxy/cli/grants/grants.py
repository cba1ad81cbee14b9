"""`grants`: list the grants that are valid now."""

from hfproxy.cli.ui.arguments import CommandSpec
from hfproxy.cli.ui.render import join_list, local_time, show, show_json, show_table
from hfproxy.control_client import stream
from hfproxy.wire import Message

SYNTAX = CommandSpec("grants", "List the grants that are valid now.", ("--json", "", "as a list of objects"))

HEADINGS = ("ID", "LABEL", "SCOPES", "ACCOUNT", "PARENT", "BIND", "PID", "PROGRAM", "EXPIRES", "USES")


def run(words: list[str]) -> int:
    """List the grants. Raises HFProxyError if the daemon cannot be reached or refuses."""
    arguments = SYNTAX.read(words)
    grants = list(stream({"do": "grants"}))
    if arguments.switch("--json"):
        show_json(grants)
    elif not grants:
        show("no grants; see: hf-proxy exec --help")
    else:
        show_table(HEADINGS, [_row(grant) for grant in grants])
    return 0


def _row(grant: Message) -> tuple[object, ...]:
    cells = {**grant, "scopes": join_list(grant.get("scopes")), "expires": local_time(grant.get("expires_at"))}
    return tuple(cells.get(heading.lower()) for heading in HEADINGS)
