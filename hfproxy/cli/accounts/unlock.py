"""`unlock`: lift a lockdown and open the vault; a new sealed vault gets its passphrase here."""

from hfproxy.cli.ui import passphrase
from hfproxy.cli.ui.arguments import Arguments, CommandSpec
from hfproxy.cli.ui.render import print_revocations, show
from hfproxy.control_client import request
from hfproxy.errors import RefusedError
from hfproxy.wire import Message

SYNTAX = CommandSpec(
    "unlock",
    "Open the vault. Asks for the passphrase on the terminal, unless an option names its source.",
    *passphrase.OPTIONS,
    (
        "--keep",
        "D",
        "keep the key in the kernel for that long (8h), for the next daemon; your other programs can read it there",
    ),
)


def run(words: list[str]) -> int:
    """Unlock the vault.

    Raises:
        UsageError: an argument is malformed, or there is no terminal.
        HFProxyError: there is no passphrase to read, or the daemon cannot be reached or refuses.
    """
    arguments = SYNTAX.read(words)
    source = passphrase.source_of(arguments, "unlock")
    state = _unlock(arguments)
    if not state.get("locked"):
        return _show_result("the vault is open", state)
    secret = passphrase.read_passphrase(source, "unlock", new=state.get("exists") is False)
    state = _unlock(arguments, passphrase=secret)
    if state.get("locked"):
        raise RefusedError("the vault is still locked; look at the daemon's log, then try again: hf-proxy unlock")
    return _show_result("the vault is open now", state)


def _unlock(arguments: Arguments, **members: str) -> Message:
    keep = arguments.text("--keep")
    message: Message = {"do": "unlock", **members}
    return request(message if keep is None else {**message, "keep": keep}, wait=True)


def _show_result(summary: str, state: Message) -> int:
    show(summary)
    print_revocations(state)
    return 0
