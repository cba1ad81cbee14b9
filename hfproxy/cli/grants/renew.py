"""`renew`: extend a grant. Its credential stays the same, so the programs that use it need no change."""

from hfproxy.cli.ui.arguments import CommandSpec
from hfproxy.cli.ui.render import local_time, show
from hfproxy.control_client import request, text

SYNTAX = CommandSpec(
    "renew",
    "Extend the life of a grant; its credential stays the same.",
    ("--ttl", "TIME", "how long from now: 90s, 15m, 1h, 2d; in total never longer than the config's max_ttl"),
    positionals="ID",
    max_positional=1,
)


def run(words: list[str]) -> int:
    """Renew a grant. Raises HFProxyError if the daemon cannot be reached or refuses."""
    arguments = SYNTAX.read(words)
    ttl = arguments.text("--ttl")
    if not arguments.positionals or ttl is None:
        raise SYNTAX.usage_error("name a grant and its new lifetime: hf-proxy renew ID --ttl 1h")
    renewed = request({"do": "renew", "id": arguments.positionals[0], "ttl": ttl})
    show(f"{text(renewed, 'id')}: until {local_time(renewed.get('expires_at'))}")
    return 0
