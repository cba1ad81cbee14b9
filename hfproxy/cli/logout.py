"""`logout`: forget a token."""

from hfproxy.cli.options import Syntax
from hfproxy.cli.render import show
from hfproxy.client import ask, text

SYNTAX = Syntax(
    "logout",
    "Forget the token of an account. Its grants end.",
    ("--account", "NAME", "whose; without it: default, or the only one"),
)


def run(words: list[str]) -> int:
    """Raises as `client.ask`."""
    name = SYNTAX.read(words).text("--account")
    answer = ask({"do": "logout"} if name is None else {"do": "logout", "account": name}, patient=True)
    show(f"forgotten: {text(answer, 'account')}")
    return 0
