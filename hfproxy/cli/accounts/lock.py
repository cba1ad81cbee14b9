"""`lock`: close the vault."""

from hfproxy.cli.ui.arguments import CommandSpec
from hfproxy.cli.ui.render import show
from hfproxy.control_client import request

SYNTAX = CommandSpec("lock", "Close the vault: no token can be used until it is opened again.")


def run(words: list[str]) -> int:
    """Lock the vault. Raises HFProxyError if the daemon cannot be reached or refuses."""
    SYNTAX.read(words)
    request({"do": "lock"})
    show("the vault is locked; open it with: hf-proxy unlock")
    return 0
