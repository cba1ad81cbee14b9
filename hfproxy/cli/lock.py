"""`lock`: close the vault."""

from hfproxy.cli.options import Syntax
from hfproxy.cli.render import show
from hfproxy.client import ask

SYNTAX = Syntax("lock", "Close the vault: no token can be used until it is opened again.")


def run(words: list[str]) -> int:
    """Raises as `client.ask`."""
    SYNTAX.read(words)
    ask({"do": "lock"})
    show("the vault is locked; open it with: hf-proxy unlock")
    return 0
