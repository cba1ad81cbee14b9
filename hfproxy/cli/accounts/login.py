"""`login`: hand a token to the daemon, which asks the Hub whose it is and keeps it in the vault."""

from hfproxy.cli.ui import prompt
from hfproxy.cli.ui.arguments import Arguments, CommandSpec
from hfproxy.cli.ui.progress import waiting
from hfproxy.cli.ui.render import join_list, print_error, printable, show
from hfproxy.control_client import request, text, texts
from hfproxy.errors import UsageError
from hfproxy.wire import Message

HUB = "https://huggingface.co"

SYNTAX = CommandSpec(
    "login",
    "Put a token into the vault. Asks for it on the terminal, unless told where it is.",
    ("--account", "NAME", "under which name; without it: default"),
    ("--token-stdin", "", "read the token from stdin"),
    ("--token-file", "FILE", "read the token from a file"),
)


def run(words: list[str]) -> int:
    """Raises as `client.ask`; UsageError also for a token among the words."""
    _refuse_token_in(words)
    arguments = SYNTAX.read(words)
    name = arguments.text("--account") or "default"
    token = _token(arguments, name)
    with waiting("asking the Hub whose token it is"):
        account = request({"do": "login", "account": name, "token": token}, wait=True)
    _tell(account)
    file = arguments.text("--token-file")
    if file is not None:
        print_error(f"warning: the token still stands in the clear in {file}; delete it with: rm -- {file}")
    return 0


def _refuse_token_in(words: list[str]) -> None:
    """Whatever stands where a token might: it is not repeated."""
    valued = False
    for word in words:
        option = word.partition("=")[0]
        if option == "--token" or not (valued or word.startswith("-")):
            raise UsageError(
                "a token in the command line is there for every process and in the shell's history to see; "
                "if you typed one, replace it; then use: hf-proxy login, and give it at the prompt"
            )
        valued = word in {"--account", "--token-file"}


def _token(arguments: Arguments, name: str) -> str:
    file = arguments.text("--token-file")
    if file is not None and arguments.switch("--token-stdin"):
        raise SYNTAX.usage_error("--token-stdin and --token-file exclude each other")
    if file is not None:
        return prompt.from_file(file).strip()
    if arguments.switch("--token-stdin"):
        return prompt.from_stdin().strip()
    prompt.needs_terminal("hf-proxy login --token-stdin")
    # A changed config may name another Hub; who types sees where the token goes, before it is typed.
    hub = text(request({"do": "status"}), "hub")
    question = f"Token for account '{name}' at {hub}" + ("" if hub == HUB else ", which is not Hugging Face's")
    return prompt.read_hidden(printable(question), instead="hf-proxy login --token-stdin").strip()


def _tell(account: Message) -> None:
    name, user, role = (text(account, member) for member in ("name", "user", "role"))
    show(f"account {name}: {user}, {role}, at {account.get('origin')}")
    for what in ("orgs", "scopes"):
        if account.get(what):
            show(f"{what}: {join_list(account[what])}")
    for warning in texts(account, "warnings"):
        print_error(f"warning: {warning}")
