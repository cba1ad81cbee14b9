"""`vault`: seal what lies in the keyring under a passphrase, or put it in the clear again."""

from hfproxy.cli.ui import passphrase
from hfproxy.cli.ui.arguments import CommandSpec
from hfproxy.cli.ui.render import show
from hfproxy.control_client import request
from hfproxy.wire import Message

SYNTAX = CommandSpec(
    "vault",
    "seal: whatever reads the keyring finds ciphertext; after a restart: hf-proxy unlock. unseal: the way back.",
    *passphrase.OPTIONS,
    rest="seal|unseal",
    max_positional=1,
)


def run(words: list[str]) -> int:
    """Raises as `client.ask`."""
    arguments = SYNTAX.read(words)
    if arguments.rest not in (["seal"], ["unseal"]):
        raise SYNTAX.usage_error("it takes seal or unseal")
    (what,) = arguments.rest
    place = passphrase.source_of(arguments, f"vault {what}")
    typed = passphrase.read_passphrase(place, f"vault {what}", new=what == "seal")
    wanted: Message = {"do": "seal", "passphrase": typed} | ({"undo": True} if what == "unseal" else {})
    vault = request(wanted, wait=True).get("vault")
    if what == "seal":
        show(f"{vault}: nothing opens it but the passphrase; after a restart of the daemon: hf-proxy unlock")
    else:
        show(f"{vault}: whatever may open the keyring reads the tokens; to seal them again: hf-proxy vault seal")
    return 0
