"""`logout`: forget a token."""

from hfproxy.cli.options import Syntax
from hfproxy.cli.render import complain, show
from hfproxy.client import ask, text, texts

SYNTAX = Syntax(
    "logout",
    "Forget the token of an account. Its grants end.",
    ("--account", "NAME", "whose; without it: default, or the only one"),
)


def run(words: list[str]) -> int:
    """Raises as `client.ask`."""
    name = SYNTAX.read(words).text("--account")
    answer = ask({"do": "logout"} if name is None else {"do": "logout", "account": name}, patient=True)
    for warning in texts(answer, "warnings") if "warnings" in answer else []:
        complain(f"warning: {warning}")
    show(f"forgotten: {text(answer, 'account')}")
    return 0
