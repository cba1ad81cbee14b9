"""`metrics`: print the daemon's counters since its start, in the text format of Prometheus."""

import sys

from hfproxy.cli.ui.arguments import CommandSpec
from hfproxy.control_client import request, text

SYNTAX = CommandSpec("metrics", "Print the daemon's counters in the text format of Prometheus.")


def run(words: list[str]) -> int:
    """Print the metrics. Raises HFProxyError if the daemon cannot be reached or refuses."""
    SYNTAX.read(words)
    sys.stdout.write(text(request({"do": "metrics"}), "text"))
    return 0
