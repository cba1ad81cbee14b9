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
    """Run the daemon until it ends, and return its exit code.

    The module is imported by its name, since nothing else in the command line may import the daemon.

    Raises:
        UsageError: an argument is malformed.
        HFProxyError: the daemon cannot start.
    """
    arguments = SYNTAX.read(words)
    descriptor = arguments.number("--passphrase-fd")
    level = arguments.choice("--log-level", LEVELS, default="info")
    code: int = import_module("hfproxy.daemon.main").run(passphrase_fd=descriptor, log_level=level)
    return code
