"""`logout`: forget a token."""

from hfproxy.cli.ui.arguments import CommandSpec
from hfproxy.cli.ui.render import print_error, show
from hfproxy.control_client import request, text, texts

SYNTAX = CommandSpec(
    "logout",
    "Forget the token of an account. Its grants can no longer be used.",
    ("--account", "NAME", "the account; without it: default, or the only one"),
)


def run(words: list[str]) -> int:
    """Log out. Raises HFProxyError if the daemon cannot be reached or refuses."""
    name = SYNTAX.read(words).text("--account")
    answer = request({"do": "logout"} if name is None else {"do": "logout", "account": name}, wait=True)
    for warning in texts(answer, "warnings") if "warnings" in answer else []:
        print_error(f"warning: {warning}")
    show(f"forgotten: {text(answer, 'account')}")
    return 0
