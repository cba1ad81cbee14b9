"""`login`: send a token to the daemon, which identifies its user at the Hub and stores it in the vault."""

from hfproxy.cli.ui import prompt
from hfproxy.cli.ui.arguments import Arguments, CommandSpec
from hfproxy.cli.ui.progress import show_progress
from hfproxy.cli.ui.render import join_list, print_error, printable, show
from hfproxy.control_client import request, text, texts
from hfproxy.errors import UsageError
from hfproxy.wire import Message

HUB_ORIGIN = "https://huggingface.co"

SYNTAX = CommandSpec(
    "login",
    "Put a token into the vault. Asks for it on the terminal, unless an option names its source.",
    ("--account", "NAME", "the account's name; without it: default"),
    ("--token-stdin", "", "read the token from stdin"),
    ("--token-file", "FILE", "read the token from a file"),
)


def run(words: list[str]) -> int:
    """Log in.

    Raises:
        UsageError: an argument is malformed, or may be a token.
        HFProxyError: there is no token to read, or the daemon cannot be reached or refuses.
    """
    _refuse_token_in(words)
    arguments = SYNTAX.read(words)
    name = arguments.text("--account") or "default"
    token = _token(arguments, name)
    with show_progress("asking the Hub for the token's user"):
        account = request({"do": "login", "account": name, "token": token}, wait=True)
    _show_account(account)
    file = arguments.text("--token-file")
    if file is not None:
        print_error(f"warning: the token is still in {file} as plaintext; delete it with: rm -- {file}")
    return 0


def _refuse_token_in(words: list[str]) -> None:
    """Raise UsageError for an argument in a token's place. The message does not repeat it."""
    is_value = False
    for word in words:
        option = word.partition("=")[0]
        if option == "--token" or not (is_value or word.startswith("-")):
            raise UsageError(
                "a token in the command line is visible to every process and in the shell's history; "
                "if you typed one, replace it; then use: hf-proxy login, and enter it at the prompt"
            )
        is_value = word in {"--account", "--token-file"}


def _token(arguments: Arguments, name: str) -> str:
    file = arguments.text("--token-file")
    if file is not None and arguments.switch("--token-stdin"):
        raise SYNTAX.usage_error("--token-stdin and --token-file exclude each other")
    if file is not None:
        return prompt.from_file(file).strip()
    if arguments.switch("--token-stdin"):
        return prompt.from_stdin().strip()
    prompt.require_terminal("hf-proxy login --token-stdin")
    # A changed config may name another Hub: show the user where the token will be sent, before it is typed.
    hub = text(request({"do": "status"}), "hub")
    question = f"Token for account '{name}' at {hub}" + ("" if hub == HUB_ORIGIN else ", which is not Hugging Face's")
    return prompt.read_hidden(printable(question), instead="hf-proxy login --token-stdin").strip()


def _show_account(account: Message) -> None:
    name, user, role = (text(account, member) for member in ("name", "user", "role"))
    show(f"account {name}: {user}, {role}, at {account.get('origin')}")
    if account.get("orgs"):
        show(f"orgs: {join_list(account['orgs'])}")
    if account.get("scopes"):  # the Hub's permissions, one text for each owner
        show("permissions:")
        for permissions in texts(account, "scopes"):
            show(f"  {permissions}")
    for warning in texts(account, "warnings"):
        print_error(f"warning: {warning}")
