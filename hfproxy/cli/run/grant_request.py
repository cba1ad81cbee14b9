"""The options and the `mint` request shared by `exec`, `mint`, `env` and `git-credential`."""

from hfproxy.cli.ui.arguments import Arguments, Option
from hfproxy.control_client import request
from hfproxy.wire import Message

BINDS = ("pid", "tree", "none")

GRANT_OPTIONS: tuple[Option, ...] = (
    ("--scope", "SCOPE", "an allowed scope, like read:meta-llama/* or write:spaces/me/demo; can be repeated"),
    (
        "--profile",
        "NAME",
        "the scopes of a profile of the config file, besides those of --scope; without both: default",
    ),
    ("--ttl", "TIME", "the longest lifetime: 90s, 15m, 1h, 2d"),
    ("--account", "NAME", "the account of the token; without it: default, or the only one"),
    ("--label", "TEXT", "a name for the grant in 'grants' and 'audit'"),
    ("--bind", "pid|tree|none", "end with the process; serve its process tree only; neither"),
    ("--ambient", "", "serve the tree's requests without a credential, too (needs --bind tree)"),
    ("--container", "", "for a container: served at listen.bridge of the config file only"),
    ("--strict", "", "no anonymous reads outside of the scope"),
    ("--max-uses", "N", "the largest number of requests"),
    ("--max-rate", "N", "the largest number of requests a minute"),
    ("--max-up", "SIZE", "the most bytes to send: 500k, 20M, 3G"),
    ("--max-down", "SIZE", "the most bytes to fetch"),
)


def mint_request(arguments: Arguments, *, bind: str, of: str) -> Message:
    """Return the `mint` request for the arguments, without members for absent options.

    Args:
        arguments: the parsed arguments.
        bind: the default of `--bind`.
        of: the process to bind to: `caller`, the process that sends the request, or `parent`, its parent.

    Raises:
        UsageError: the value of an option is malformed.
    """
    members: Message = {
        "scopes": arguments.values("--scope"),
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
    binding = arguments.choice("--bind", BINDS, default=bind)
    # Compared by identity: `--max-uses 0` is a mistake for the daemon to refuse, and `0 == False`.
    present = {key: value for key, value in members.items() if value is not None and value is not False and value != []}
    return {"do": "mint", "bind": binding, **({"of": of} if binding != "none" else {}), **present}


def mint(message: Message) -> Message:
    """Send a `mint` request and return the reply. Waits without limit, since the vault may be prompting the user.

    Raises:
        HFProxyError: the daemon cannot be reached or refuses.
    """
    return request(message, wait=True)
