"""`revoke`: end grants now."""

from hfproxy.cli.options import Syntax
from hfproxy.cli.render import show
from hfproxy.client import ask, texts

SYNTAX = Syntax(
    "revoke",
    "End grants now; transfers that are under way are cut.",
    ("--all", "", "every grant"),
    rest="ID...",
    most=1000,
)


def run(words: list[str]) -> int:
    """Raises as `client.ask`."""
    arguments = SYNTAX.read(words)
    every = arguments.switch("--all")
    if every == bool(arguments.rest):
        raise SYNTAX.wrong("name grants or give --all")
    answer = ask({"do": "revoke", "all": True} if every else {"do": "revoke", "ids": arguments.rest})
    for grant in texts(answer, "revoked"):
        show(f"revoked: {grant}")
    return 0
