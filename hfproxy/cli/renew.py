"""`renew`: let a grant live on. Its credential stays the same, so that nothing that holds it has to know."""

from hfproxy.cli.options import Syntax
from hfproxy.cli.render import moment, show
from hfproxy.client import ask, text

SYNTAX = Syntax(
    "renew",
    "Let a grant live on, with the credential it has.",
    ("--ttl", "TIME", "how long from now: 90s, 15m, 1h, 2d; never longer than the config's max_ttl in all"),
    rest="ID",
    most=1,
)


def run(words: list[str]) -> int:
    """Raises as `client.ask`."""
    arguments = SYNTAX.read(words)
    ttl = arguments.text("--ttl")
    if not arguments.rest or ttl is None:
        raise SYNTAX.wrong("it takes a grant and --ttl")
    renewed = ask({"do": "renew", "id": arguments.rest[0], "ttl": ttl})
    show(f"{text(renewed, 'id')}: until {moment(renewed.get('expires_at'))}")
    return 0
