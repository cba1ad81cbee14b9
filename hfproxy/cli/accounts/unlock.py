"""`unlock`: open a sealed vault, or make its first passphrase."""

from hfproxy.cli.ui import passphrase
from hfproxy.cli.ui.arguments import Arguments, CommandSpec
from hfproxy.cli.ui.render import show, tell_recalled
from hfproxy.control_client import request
from hfproxy.errors import RefusedError
from hfproxy.wire import Message

SYNTAX = CommandSpec(
    "unlock",
    "Open the vault. Asks for the passphrase on the terminal, unless told where it is.",
    *passphrase.OPTIONS,
    (
        "--keep",
        "D",
        "let the kernel keep the key so long (8h), for the next daemon; other programs of yours can read it",
    ),
)


def run(words: list[str]) -> int:
    """Raises as `client.ask`."""
    arguments = SYNTAX.read(words)
    place = passphrase.source_of(arguments, "unlock")
    state = _ask(arguments)
    if not state.get("locked"):
        return _told("the vault is open", state)
    typed = passphrase.read_passphrase(place, "unlock", new=state.get("exists") is False)
    state = _ask(arguments, passphrase=typed)
    if state.get("locked"):
        raise RefusedError("the vault is still locked; look at the daemon's log, then try again: hf-proxy unlock")
    return _told("the vault is open now", state)


def _ask(arguments: Arguments, **more: str) -> Message:
    keep = arguments.text("--keep")
    wanted: Message = {"do": "unlock", **more}
    return request(wanted if keep is None else {**wanted, "keep": keep}, wait=True)


def _told(what: str, state: Message) -> int:
    show(what)
    tell_recalled(state)
    return 0
