"""`vault`: seal the tokens in the keyring under a passphrase, or store them as plaintext again."""

from hfproxy.cli.ui import passphrase
from hfproxy.cli.ui.arguments import CommandSpec
from hfproxy.cli.ui.render import show
from hfproxy.control_client import request
from hfproxy.wire import Message

SYNTAX = CommandSpec(
    "vault",
    "seal: encrypt the tokens in the keyring; after a restart: hf-proxy unlock. unseal: store them as plaintext again.",
    *passphrase.OPTIONS,
    positionals="seal|unseal",
    max_positional=1,
)


def run(words: list[str]) -> int:
    """Seal or unseal the vault.

    Raises:
        UsageError: an argument is malformed, or there is no terminal.
        HFProxyError: there is no passphrase to read, or the daemon cannot be reached or refuses.
    """
    arguments = SYNTAX.read(words)
    if arguments.positionals not in (["seal"], ["unseal"]):
        raise SYNTAX.usage_error("choose seal or unseal")
    (action,) = arguments.positionals
    source = passphrase.source_of(arguments, f"vault {action}")
    secret = passphrase.read_passphrase(source, f"vault {action}", new=action == "seal")
    message: Message = {"do": "seal", "passphrase": secret} | ({"undo": True} if action == "unseal" else {})
    vault = request(message, wait=True).get("vault")
    if action == "seal":
        show(f"{vault}: only the passphrase opens it; after a restart of the daemon: hf-proxy unlock")
    else:
        show(f"{vault}: programs that can open the keyring can read the tokens; to seal again: hf-proxy vault seal")
    return 0
