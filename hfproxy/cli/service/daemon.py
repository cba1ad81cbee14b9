"""`daemon`: run the daemon in the foreground."""

from importlib import import_module

from hfproxy.cli.ui.arguments import CommandSpec

LEVELS = ("debug", "info", "warning", "error")

SYNTAX = CommandSpec(
    "daemon",
    "Run the daemon in the foreground. Logs go to stderr, as JSON lines.",
    ("--passphrase-fd", "N", "open a sealed vault with the passphrase in an open file descriptor"),
    ("--log-level", "|".join(LEVELS), "without it: info"),
)


def run(words: list[str]) -> int:
    """Returns when the daemon has ended; raises what keeps it from starting.

    The daemon is named as text: nothing else of the command line may pull it in.
    """
    arguments = SYNTAX.read(words)
    descriptor = arguments.number("--passphrase-fd")
    level = arguments.choice("--log-level", LEVELS, default="info")
    code: int = import_module("hfproxy.daemon.main").run(passphrase_fd=descriptor, log_level=level)
    return code
