"""`status`: show whether the daemon is running, and its state; with `--watch`, repeatedly every second."""

from hfproxy.cli.grants.status_view import status_lines
from hfproxy.cli.ui.arguments import CommandSpec
from hfproxy.cli.ui.render import show, show_json
from hfproxy.control_client import request

SYNTAX = CommandSpec(
    "status",
    "Show whether the daemon is running. The exit code is 0 if it is.",
    ("--watch", "", "show requests, refusals and grants every second"),
    ("--json", "", "as one object; with --watch one a line"),
)


def run(words: list[str]) -> int:
    """Show the status. Raises HFProxyError if the daemon cannot be reached or is not ready."""
    arguments = SYNTAX.read(words)
    if arguments.switch("--watch"):
        from hfproxy.cli.grants.watch import watch  # noqa: PLC0415  (needed with --watch only)

        return watch(as_json=arguments.switch("--json"))
    status = request({"do": "status"})
    if arguments.switch("--json"):
        show_json(status)
    else:
        for line in status_lines(status):
            show(line)
    return 0
