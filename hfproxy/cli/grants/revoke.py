"""`revoke`: end grants now."""

from hfproxy.cli.ui.arguments import CommandSpec
from hfproxy.cli.ui.render import show
from hfproxy.control_client import request, texts

SYNTAX = CommandSpec(
    "revoke",
    "End grants now; transfers that are under way are cut.",
    ("--all", "", "every grant"),
    rest="ID...",
    max_positional=1000,
)


def run(words: list[str]) -> int:
    """Raises as `client.ask`."""
    arguments = SYNTAX.read(words)
    every = arguments.switch("--all")
    if every == bool(arguments.rest):
        raise SYNTAX.usage_error("name grants or give --all")
    answer = request({"do": "revoke", "all": True} if every else {"do": "revoke", "ids": arguments.rest})
    for grant in texts(answer, "revoked"):
        show(f"revoked: {grant}")
    return 0
