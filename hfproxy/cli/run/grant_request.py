"""What `exec`, `mint` and `env` have in common: which grant to ask for, and asking."""

from hfproxy.cli.ui.arguments import Arguments, Option
from hfproxy.control_client import request
from hfproxy.wire import Message

BINDS = ("pid", "tree", "none")

GRANT_OPTIONS: tuple[Option, ...] = (
    ("--scope", "SCOPE", "what it may do, like read:meta-llama/* or write:spaces/me/demo; can be repeated"),
    (
        "--profile",
        "NAME",
        "the scopes of a profile of the config file, besides those of --scope; without both: default",
    ),
    ("--ttl", "TIME", "how long at most: 90s, 15m, 1h, 2d"),
    ("--account", "NAME", "whose token stands behind it; without it: default, or the only one"),
    ("--label", "TEXT", "a name for it in 'grants' and 'audit'"),
    ("--bind", "pid|tree|none", "ends with the process; only for its process tree; neither"),
    ("--ambient", "", "the tree may also ask without a credential (needs --bind tree)"),
    ("--container", "", "for a container: at listen.bridge of the config file, and there only"),
    ("--strict", "", "no anonymous reads outside of the scope"),
    ("--max-uses", "N", "how many requests at most"),
    ("--max-rate", "N", "how many requests a minute at most"),
    ("--max-up", "SIZE", "how much it may send at most: 500k, 20M, 3G"),
    ("--max-down", "SIZE", "how much it may fetch at most"),
)


def mint_request(arguments: Arguments, *, bind: str, of: str) -> Message:
    """The `mint` request for what was typed, without what was not.

    Args:
        arguments: what was typed.
        bind: the command's default.
        of: whose end that means: `caller` the process that asks, `parent` the one that called it.

    Raises:
        UsageError: a value that no daemon need be asked about.
    """
    wanted: Message = {
        "scopes": arguments.all("--scope"),
        "profile": arguments.text("--profile"),
        "ttl": arguments.text("--ttl"),
        "account": arguments.text("--account"),
        "label": arguments.text("--label"),
        "strict": arguments.switch("--strict"),
        "ambient": arguments.switch("--ambient"),
        "container": arguments.switch("--container"),
        "max_uses": arguments.number("--max-uses"),
        "max_rate": arguments.number("--max-rate"),
        "max_up": arguments.text("--max-up"),
        "max_down": arguments.text("--max-down"),
    }
    bound = arguments.choice("--bind", BINDS, default=bind)
    # Compared by identity: `--max-uses 0` is a mistake for the daemon to refuse, and `0 == False`.
    typed = {key: value for key, value in wanted.items() if value is not None and value is not False and value != []}
    return {"do": "mint", "bind": bound, **({"of": of} if bound != "none" else {}), **typed}


def mint(wanted: Message) -> Message:
    """Ask for the grant; raises as `client.ask`. Waits without limit: the vault may be asking a person."""
    return request(wanted, wait=True)
