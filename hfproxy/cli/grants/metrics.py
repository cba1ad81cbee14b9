"""`metrics`: what the daemon has counted since its start, as Prometheus reads it."""

import sys

from hfproxy.cli.ui.arguments import CommandSpec
from hfproxy.control_client import request, text

SYNTAX = CommandSpec("metrics", "Print the daemon's counters in the text format of Prometheus.")


def run(words: list[str]) -> int:
    """Raises as `client.ask`."""
    SYNTAX.read(words)
    sys.stdout.write(text(request({"do": "metrics"}), "text"))
    return 0
