"""Reads the passphrase of a sealed vault from an open descriptor, a private file or the terminal."""

from hfproxy import private_file
from hfproxy.cli.ui import prompt
from hfproxy.cli.ui.arguments import Arguments, Option
from hfproxy.errors import HFProxyError, UsageError

OPTIONS: tuple[Option, ...] = (
    ("--passphrase-fd", "N", "read the passphrase from an open file descriptor"),
    ("--passphrase-file", "FILE", "read it from a file that only you can open"),
)


PassphraseSource = tuple[int | None, str | None]


def source_of(arguments: Arguments, command: str) -> PassphraseSource:
    """Return the named descriptor or file; (None, None) means the terminal.

    Raises:
        UsageError: both are named, or the descriptor is not a number.
    """
    descriptor, file = arguments.number("--passphrase-fd"), arguments.text("--passphrase-file")
    if descriptor is not None and file is not None:
        raise UsageError(f"--passphrase-fd and --passphrase-file exclude each other; see: hf-proxy {command} --help")
    return descriptor, file


def read_passphrase(source: PassphraseSource, command: str, *, new: bool) -> str:
    """Read the passphrase. On the terminal a new one is asked for twice.

    Raises:
        UsageError: there is no terminal, or the descriptor is not open.
        HFProxyError: the source holds no passphrase, or the two typed passphrases differ.
    """
    descriptor, file = source
    if descriptor is not None:
        return prompt.from_descriptor(descriptor, "--passphrase-fd")
    if file is not None:
        return private_file.passphrase(file).reveal()
    instead = f"hf-proxy {command} --passphrase-fd 3 3<FILE"
    typed = prompt.read_hidden("Passphrase for a new vault" if new else "Passphrase of the vault", instead=instead)
    if new and prompt.read_hidden("The same again", instead=instead) != typed:
        raise HFProxyError(f"the two passphrases differ, nothing was changed; try again: hf-proxy {command}")
    return typed
