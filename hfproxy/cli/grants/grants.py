"""`grants`: what is granted now."""

from hfproxy.cli.ui.arguments import CommandSpec
from hfproxy.cli.ui.render import join_list, local_time, show, show_json, show_table
from hfproxy.control_client import stream
from hfproxy.wire import Message

SYNTAX = CommandSpec("grants", "List what is granted now.", ("--json", "", "as a list of objects"))

HEADINGS = ("ID", "LABEL", "SCOPES", "ACCOUNT", "PARENT", "BIND", "PID", "PROGRAM", "EXPIRES", "USES")


def run(words: list[str]) -> int:
    """Raises as `client.ask`."""
    arguments = SYNTAX.read(words)
    grants = list(stream({"do": "grants"}))
    if arguments.switch("--json"):
        show_json(grants)
    elif not grants:
        show("nothing is granted; see: hf-proxy exec --help")
    else:
        show_table(HEADINGS, [_row(grant) for grant in grants])
    return 0


def _row(grant: Message) -> tuple[object, ...]:
    shown = {**grant, "scopes": join_list(grant.get("scopes")), "expires": local_time(grant.get("expires_at"))}
    return tuple(shown.get(heading.lower()) for heading in HEADINGS)
