"""`rotate`: replace an account's token by a new one, made with the Hub's form, which is prefilled.

The form is prefilled with the rights that the journal shows were used, and no others. The daemon identifies the new
token at the Hub, replaces the old one with it, and asks the Hub whether the old one is revoked.
"""

import os
import shutil
import subprocess
import sys

from hfproxy.cli.journal.entries import all_entries
from hfproxy.cli.ui import prompt
from hfproxy.cli.ui.arguments import CommandSpec
from hfproxy.cli.ui.progress import show_progress
from hfproxy.cli.ui.render import join_list, print_error, show
from hfproxy.control_client import request, rows, text, texts
from hfproxy.core.hub.token_form import TokenForm, prefilled_form
from hfproxy.errors import AccountError
from hfproxy.wire import Message

SYNTAX = CommandSpec(
    "rotate",
    "Replace an account's token. Shows the Hub's form, prefilled with the rights used, then asks for the new token.",
    ("--account", "NAME", "the account; without it: default, or the only one"),
    ("--token-stdin", "", "read the new token from stdin"),
    ("--no-browser", "", "only print the form's address"),
)

TOKENS_PAGE = "/settings/tokens"


def run(words: list[str]) -> int:
    """Rotate a token.

    Raises:
        AccountError: there is no such account, or several to choose from.
        HFProxyError: there is no token to read, or the daemon cannot be reached or refuses.
    """
    arguments = SYNTAX.read(words)
    account = _select_account(arguments.text("--account"))
    name = text(account, "name")
    form, piped = _form(account), arguments.switch("--token-stdin")
    if not arguments.switch("--no-browser"):
        _open(form.url)
    if not piped:
        _show_form(form)
    token = _token(name, from_stdin=piped)
    with show_progress("asking the Hub about the new token and the old one"):
        result = request({"do": "rotate", "account": name, "token": token}, wait=True)
    if piped:  # a script may read stdout, so the form is printed on success only
        _show_form(form)
    _show_result(result, text(account, "origin") + TOKENS_PAGE)
    return 0


def _select_account(name: str | None) -> Message:
    """Select an account by the daemon's rule: without a name, `default` or the only one."""
    accounts = {text(account, "name"): account for account in rows(request({"do": "accounts"}, wait=True), "accounts")}
    if not accounts:
        raise AccountError("there is no account yet; run: hf-proxy login")
    if name is None and "default" not in accounts and len(accounts) > 1:
        raise AccountError(f"there are several accounts; choose one: --account {'|'.join(sorted(accounts))}")
    account = accounts.get(name or "default") or (next(iter(accounts.values())) if name is None else None)
    if account is None:
        raise AccountError("there is no such account; see: hf-proxy accounts")
    return account


def _form(account: Message) -> TokenForm:
    origin, name, user = (text(account, member) for member in ("origin", "name", "user"))
    return prefilled_form(origin, name, user, frozenset(texts(account, "orgs")), all_entries())


def _show_form(form: TokenForm) -> None:
    show(f"make the new token here: {form.url}")
    show(f"prefilled with the rights used in the journal: {join_list(list(form.summary)) or 'none were used yet'}")
    if form.not_in_form:
        show(f"select by hand, if still needed: {join_list(list(form.not_in_form))}")
    sys.stdout.flush()


def _open(url: str) -> None:
    """Open a page in the desktop's browser, if there is a desktop; a browser in the terminal would hide the prompt."""
    opener = shutil.which("open" if sys.platform == "darwin" else "xdg-open")
    if opener is None or not (sys.platform == "darwin" or {"DISPLAY", "WAYLAND_DISPLAY"} & set(os.environ)):
        return
    quiet = subprocess.DEVNULL
    subprocess.Popen([opener, url], stdin=quiet, stdout=quiet, stderr=quiet, start_new_session=True)


def _token(name: str, *, from_stdin: bool) -> str:
    if from_stdin:
        return prompt.from_stdin().strip()
    return prompt.read_hidden(f"The new token for account '{name}'", instead="hf-proxy rotate --token-stdin").strip()


def _show_result(result: Message, page: str) -> None:
    show(f"account {result.get('account')} ({result.get('user')}) has its new token; its grants stay valid")
    if result.get("dead") is True:
        show("the old token is dead: the Hub was asked and no longer accepts it")
    elif result.get("dead") is False:
        print_error(f"warning: the old token is NOT dead: the Hub still accepts it; delete it now at {page}")
    else:
        print_error(f"warning: it is unknown whether the old token is dead ({result.get('why')}); delete it at {page}")
