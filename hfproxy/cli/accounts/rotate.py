"""`rotate`: a new token in an account's place, made with the Hub's own form, which comes filled in.

The form's address asks for what the journal shows was used, and no more. The daemon asks the Hub whose the new token
is, puts it in the old one's place, and asks whether the old one is dead.
"""

import os
import shutil
import subprocess
import sys

from hfproxy.cli.journal.entries import all_entries
from hfproxy.cli.ui import prompt
from hfproxy.cli.ui.arguments import CommandSpec
from hfproxy.cli.ui.progress import waiting
from hfproxy.cli.ui.render import join_list, print_error, show
from hfproxy.control_client import request, rows, text, texts
from hfproxy.core.hub.token_form import TokenForm, prefilled_form
from hfproxy.errors import AccountError
from hfproxy.wire import Message

SYNTAX = CommandSpec(
    "rotate",
    "Replace an account's token. Shows the Hub's form, filled in with what was used, then asks for the new token.",
    ("--account", "NAME", "whose; without it: default, or the only one"),
    ("--token-stdin", "", "read the new token from stdin"),
    ("--no-browser", "", "only print the form's address"),
)

TOKENS_PAGE = "/settings/tokens"


def run(words: list[str]) -> int:
    """Raises as `client.ask`."""
    arguments = SYNTAX.read(words)
    account = _chosen(arguments.text("--account"))
    name = text(account, "name")
    wanted, piped = _form(account), arguments.switch("--token-stdin")
    if not arguments.switch("--no-browser"):
        _open(wanted.url)
    if not piped:
        _tell_form(wanted)
    token = _token(name, from_stdin=piped)
    with waiting("asking the Hub about the new token and the old one"):
        done = request({"do": "rotate", "account": name, "token": token}, wait=True)
    if piped:  # whoever pipes it may read stdout, where nothing is said by what fails
        _tell_form(wanted)
    _tell(done, text(account, "origin") + TOKENS_PAGE)
    return 0


def _chosen(name: str | None) -> Message:
    """As the daemon chooses where no name is given."""
    accounts = {text(one, "name"): one for one in rows(request({"do": "accounts"}, wait=True), "accounts")}
    if not accounts:
        raise AccountError("there is no account yet; run: hf-proxy login")
    if name is None and "default" not in accounts and len(accounts) > 1:
        raise AccountError(f"there are several accounts; choose one: --account {'|'.join(sorted(accounts))}")
    found = accounts.get(name or "default") or (next(iter(accounts.values())) if name is None else None)
    if found is None:
        raise AccountError("there is no such account; see: hf-proxy accounts")
    return found


def _form(account: Message) -> TokenForm:
    used = all_entries()
    return prefilled_form(
        text(account, "origin"), text(account, "name"), text(account, "user"), frozenset(texts(account, "orgs")), used
    )


def _tell_form(wanted: TokenForm) -> None:
    show(f"make the new token here: {wanted.url}")
    show(
        f"filled in, from what the journal shows was used: {join_list(list(wanted.summary)) or 'nothing was used yet'}"
    )
    if wanted.not_in_form:
        show(f"tick by hand, if it is still needed: {join_list(list(wanted.not_in_form))}")
    sys.stdout.flush()


def _open(url: str) -> None:
    """In the desktop's browser, where there is a desktop: a browser in this terminal would get in the prompt's way."""
    opener = shutil.which("open" if sys.platform == "darwin" else "xdg-open")
    if opener is None or not (sys.platform == "darwin" or {"DISPLAY", "WAYLAND_DISPLAY"} & set(os.environ)):
        return
    quiet = subprocess.DEVNULL
    subprocess.Popen([opener, url], stdin=quiet, stdout=quiet, stderr=quiet, start_new_session=True)


def _token(name: str, *, from_stdin: bool) -> str:
    if from_stdin:
        return prompt.from_stdin().strip()
    return prompt.read_hidden(f"The new token for account '{name}'", instead="hf-proxy rotate --token-stdin").strip()


def _tell(done: Message, page: str) -> None:
    show(f"account {done.get('account')} ({done.get('user')}) has its new token; its grants live on")
    if done.get("dead") is True:
        show("the old token is dead: the Hub was asked and does not accept it any more")
    elif done.get("dead") is False:
        print_error(f"warning: the old token is NOT dead: the Hub accepts it still; delete it now at {page}")
    else:
        print_error(f"warning: whether the old token is dead is not known ({done.get('why')}); delete it at {page}")
