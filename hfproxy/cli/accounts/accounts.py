"""`accounts`: list the tokens of the vault with their users, and print the warnings about them."""

from hfproxy.cli.ui.arguments import CommandSpec
from hfproxy.cli.ui.render import join_list, show, show_json, show_table
from hfproxy.control_client import request, rows, texts
from hfproxy.wire import Message

SYNTAX = CommandSpec("accounts", "List the accounts of the vault.", ("--json", "", "as a list of objects"))


def run(words: list[str]) -> int:
    """List the accounts. Raises HFProxyError if the daemon cannot be reached or refuses."""
    arguments = SYNTAX.read(words)
    accounts = rows(request({"do": "accounts"}), "accounts")
    if arguments.switch("--json"):
        show_json(accounts)
    elif not accounts:
        show("no accounts; add one with: hf-proxy login")
    else:
        show_table(("NAME", "USER", "ROLE", "ORGS", "ORIGIN"), [_row(account) for account in accounts])
        for account in accounts:
            for warning in texts(account, "warnings"):
                show(f"{account.get('name')}: {warning}")
    return 0


def _row(account: Message) -> tuple[object, ...]:
    orgs = join_list(account.get("orgs"))
    return account.get("name"), account.get("user"), account.get("role"), orgs, account.get("origin")
