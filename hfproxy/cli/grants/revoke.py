"""`revoke`: end grants now."""

from hfproxy.cli.ui.arguments import CommandSpec
from hfproxy.cli.ui.render import show
from hfproxy.control_client import request, texts

SYNTAX = CommandSpec(
    "revoke",
    "End grants now; transfers in progress are aborted.",
    ("--all", "", "every grant"),
    positionals="ID...",
    max_positional=1000,
)


def run(words: list[str]) -> int:
    """Revoke grants. Raises HFProxyError if the daemon cannot be reached or refuses."""
    arguments = SYNTAX.read(words)
    revoke_all = arguments.switch("--all")
    if revoke_all == bool(arguments.positionals):
        raise SYNTAX.usage_error("name grants or give --all")
    answer = request({"do": "revoke", "all": True} if revoke_all else {"do": "revoke", "ids": arguments.positionals})
    for grant in texts(answer, "revoked"):
        show(f"revoked: {grant}")
    return 0
