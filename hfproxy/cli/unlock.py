"""`unlock`: open a sealed vault, or make its first passphrase."""

from hfproxy.cli import prompt
from hfproxy.cli.lockdown import tell_recalled
from hfproxy.cli.options import Syntax
from hfproxy.cli.render import show
from hfproxy.client import ask
from hfproxy.errors import HFProxyError, RefusedError

SYNTAX = Syntax(
    "unlock",
    "Open the vault. Asks for the passphrase on the terminal, unless told where it is.",
    ("--passphrase-fd", "N", "read the passphrase from an open file descriptor"),
)

INSTEAD = "hf-proxy unlock --passphrase-fd 3 3<FILE"


def run(words: list[str]) -> int:
    """Raises as `client.ask`."""
    descriptor = SYNTAX.read(words).number("--passphrase-fd")
    state = ask({"do": "unlock"}, patient=True)
    if not state.get("locked"):
        show("the vault is open")
        tell_recalled(state)
        return 0
    passphrase = _passphrase(descriptor, new=state.get("exists") is False)
    state = ask({"do": "unlock", "passphrase": passphrase}, patient=True)
    if state.get("locked"):
        raise RefusedError("the vault is still locked; look at the daemon's log, then try again: hf-proxy unlock")
    show("the vault is open now")
    tell_recalled(state)
    return 0


def _passphrase(descriptor: int | None, *, new: bool) -> str:
    """From the descriptor, or from the terminal; what will seal a new vault is asked for twice."""
    if descriptor is not None:
        return prompt.from_descriptor(descriptor, "--passphrase-fd")
    typed = prompt.hidden("Passphrase for a new vault" if new else "Passphrase of the vault", instead=INSTEAD)
    if new and prompt.hidden("The same again", instead=INSTEAD) != typed:
        raise HFProxyError("the two differ, no vault was made; try again: hf-proxy unlock")
    return typed
