"""`renew`: let a grant live on. Its credential stays the same, so that nothing that holds it has to know."""

from hfproxy.cli.ui.arguments import CommandSpec
from hfproxy.cli.ui.render import local_time, show
from hfproxy.control_client import request, text

SYNTAX = CommandSpec(
    "renew",
    "Let a grant live on, with the credential it has.",
    ("--ttl", "TIME", "how long from now: 90s, 15m, 1h, 2d; never longer than the config's max_ttl in all"),
    rest="ID",
    max_positional=1,
)


def run(words: list[str]) -> int:
    """Raises as `client.ask`."""
    arguments = SYNTAX.read(words)
    ttl = arguments.text("--ttl")
    if not arguments.rest or ttl is None:
        raise SYNTAX.usage_error("it takes a grant and --ttl")
    renewed = request({"do": "renew", "id": arguments.rest[0], "ttl": ttl})
    show(f"{text(renewed, 'id')}: until {local_time(renewed.get('expires_at'))}")
    return 0
