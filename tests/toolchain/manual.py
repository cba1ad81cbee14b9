"""The manual pages, made of what the program itself says of its commands and its config, and some prose.

`make man` writes them; a test compares what is committed with what would be written, so that no option is missing there.
The pages are in mdoc(7), which both man programs, mandoc and groff, read.
"""

import re
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import msgspec

from hfproxy import config
from hfproxy.cli.commands import COMMANDS
from hfproxy.cli.ui.arguments import Option, CommandSpec
from hfproxy.cli.ui.help_pages import pages
from hfproxy.core.policy.access import Action

MAN = Path(__file__).parents[2] / "man"
DATE = "November 25, 2026"

ABOUT = """\
hf-proxy keeps the Hugging Face token in the keyring and gives programs a credential in its place. It is valid on this machine,
for the scopes it was made with (without any: reading all that you may read), and for an hour, or with exec until the command ends
and for max_ttl at the longest; or until it is revoked. A daemon on localhost checks the credential of each request and adds
the token only if the request is granted.
"""
ENVIRONMENT = {
    "HFPROXY_CONFIG_DIR": "The directory of config.toml, in place of the user's own.",
    "HFPROXY_STATE_DIR": "The directory of the journal and of the store of grants.",
    "HFPROXY_RUNTIME_DIR": "The directory of the control socket. Without it: hf-proxy in $XDG_RUNTIME_DIR, or else ~/.local/state/hf-proxy/run.",
    "HTTPS_PROXY": "Read by the daemon, with ALL_PROXY and NO_PROXY: the proxy on the way to the Hub.",
}
FILES = {
    "~/.config/hf-proxy/config.toml": "The settings; see hf-proxy.toml(5).",
    "~/.local/state/hf-proxy/journal/": "The journal, which is append-only.",
    "$XDG_RUNTIME_DIR/hf-proxy/control.sock": "The socket on which the daemon serves commands.",
}
EXIT = {
    "0": "Done.",
    "1": "Refused or failed; one line on stderr names the next command.",
    "2": "Malformed arguments.",
    "125": "exec: there is no daemon, or it refuses. Otherwise the command's own, and 126 and 127 as in a shell.",
}
EXAMPLES = (
    ("Store the token, once:", "hf-proxy login"),
    ("Run a program that may read all that you may read:", "hf-proxy exec -- python train.py"),
    ("Let it change one Space:", "hf-proxy exec --scope write:spaces/me/demo -- python build.py"),
    ("List the grants, and end them all:", "hf-proxy grants; hf-proxy revoke --all"),
    ("Run a container, which reaches hf-proxy over its bridge:", "hf-proxy exec --container -- docker run IMAGE"),
)
SCOPE = "ACTION[:[TYPE/]NAMESPACE[/NAME][@REF]]"
ABOUT_SCOPES = f"""\
ACTION is one of {", ".join(Action)}. TYPE is models, datasets, spaces, kernels or buckets; without it, all of them. A * matches any characters within one segment.
write includes read of the same target; no other action includes another, except that discuss opens pull requests. Without scopes and a profile the profile default
applies, which is read unless the config defines it.
"""
ABOUT_PROJECT = """\
A project may have a file .hf-proxy.toml with its own scopes, which exec, mint and env use if none are given. It is used only
after hf-proxy allow has allowed its content; hf-proxy learn writes one.
"""
ABOUT_CONFIG = """\
The config file is TOML. All keys are optional, and an unknown key is an error that names it. The daemon reads the file once, at
its start. The file never holds a secret.
"""
# What each key means; the keys themselves and what they are without being set come from the program.
KEYS = {
    "listen.address": "The address of the daemon for programs of this machine. Port 0: any free port, chosen once.",
    "listen.bridge": "The address of the daemon for containers: the private address of a bridge of this machine, like docker0's,"
    " and a port, as in 172.17.0.1:4881. Only credentials of exec, mint and env with --container are valid there. Not set: none.",
    "upstream.hub": "The origin of the Hub. Plain http is allowed for a Hub on this machine only.",
    "upstream.ca_file": "A certificate authority to trust in addition to the system's, for a self-hosted Hub.",
    "vault.backend": "keyring, sealed-file (a file under a passphrase; see hf-proxy unlock), or memory (until the daemon ends).",
    "vault.key_file": "A file with the passphrase of a sealed vault, which opens it at the daemon's start.",
    "grants.default_ttl": "The lifetime of a credential without --ttl.",
    "grants.max_ttl": "The longest lifetime, renewals included.",
    "grants.ceiling": "Scopes that no grant may exceed; empty: no ceiling.",
    "accounts.NAMESPACE": "The account to use for a namespace, if several are logged in; otherwise default, or the only one.",
    "profiles.NAME.scopes": "A named list of scopes, for --profile NAME.",
}
EXAMPLE_CONFIG = """\
[grants]
max_ttl = "8h"
[accounts]
acme = "work"
[profiles.space]
scopes = ["write:spaces/me/demo", "secrets:spaces/me/demo"]
"""


def text(prose: str) -> str:
    """Prose as roff reads it: a backslash is begun by one, and no line begins as a request does."""
    escaped = " ".join(prose.split()).replace("\\", "\\e")
    # A new sentence begins a new line: whoever formats it sets the space behind it.
    sentences = re.split(r"(?<=[.:]) (?=[A-Z])", escaped)
    lines = [
        line for one in sentences for line in textwrap.wrap(one, 80, break_long_words=False, break_on_hyphens=False)
    ]
    return "\n".join(f"\\&{line}" if line[:1] in {".", "'"} else line for line in lines)


def word(argument: str) -> str:
    """One argument of a macro."""
    escaped = argument.replace("\\", "\\e").replace('"', '""')
    return f'"{escaped}"' if re.search(r'[\s"|]', argument) else escaped


def tagged(entries: dict[str, str], macro: str) -> Iterator[str]:
    """A list of words and what they mean."""
    yield ".Bl -tag -width Ds"
    for name, meaning in entries.items():
        yield f".It {macro} {word(name)}"
        yield text(meaning)
    yield ".El"


def option(found: Option) -> Iterator[str]:
    """An option of a command."""
    name, kind, what = found
    yield f".It Fl {name[1:]}" + (f" Ar {word(kind)}" if kind else "")
    yield text(f"{what[:1].upper()}{what[1:]}.")


def command(name: str, page: CommandSpec) -> Iterator[str]:
    """A command and its options."""
    yield f".Ss hf-proxy {name}" + (f" {page.positionals}" if page.positionals else "")
    yield text(page.purpose)
    if page.options:
        yield ".Bl -tag -width Ds"
        for one in page.options:
            yield from option(one)
        yield ".El"


def head(title: str, section: int, name: str, what: str) -> Iterator[str]:
    """How a page begins."""
    yield from ('.\\" Written by: make man', f".Dd {DATE}", f".Dt {title} {section}", ".Os")
    yield from (".Sh NAME", f".Nm {name}", f".Nd {what}")


def program() -> Iterator[str]:
    """hf-proxy(1)."""
    yield from head("HF-PROXY", 1, "hf-proxy", "short-lived, narrow credentials in place of a Hugging Face token")
    yield from (".Sh SYNOPSIS", ".Nm", ".Ar COMMAND", ".Op Ar OPTION ...")
    yield from (".Sh DESCRIPTION", text(ABOUT), ".Sh COMMANDS")
    for name in COMMANDS:
        for full, page in pages(name).items():
            yield from command(full, page)
    yield from (".Sh SCOPES", f".Dl {SCOPE}", ".Pp", text(ABOUT_SCOPES))
    yield from (".Sh ENVIRONMENT", *tagged(ENVIRONMENT, "Ev"), ".Sh FILES", *tagged(FILES, "Pa"))
    yield from (".Sh EXIT STATUS", *tagged(EXIT, "Li"), ".Sh EXAMPLES")
    for number, (what, line) in enumerate(EXAMPLES):
        yield from ([".Pp"] if number else [])
        yield from (text(what), f".Dl {line}")
    yield from (".Sh SEE ALSO", ".Xr git 1 ,", ".Xr hf-proxy.toml 5")


def settings() -> Iterator[tuple[str, object]]:
    """Every key of the config, and what it is where the file does not say."""
    for table in msgspec.structs.fields(config.Config):
        if isinstance(table.default, msgspec.Struct):
            for key in msgspec.structs.fields(type(table.default)):
                yield f"{table.name}.{key.name}", key.default
    yield "accounts.NAMESPACE", None
    for key in msgspec.structs.fields(config.ProfileSettings):
        yield f"profiles.NAME.{key.name}", None


def config_file() -> Iterator[str]:
    """hf-proxy.toml(5)."""
    yield from head("HF-PROXY.TOML", 5, "hf-proxy.toml", "the config file of hf-proxy")
    yield from (".Sh SYNOPSIS", ".Pa ~/.config/hf-proxy/config.toml", ".Sh DESCRIPTION", text(ABOUT_CONFIG))
    yield ".Bl -tag -width Ds"
    for key, default in settings():
        unset = "" if default in (None, ()) else f" Without it: {default}."
        yield from (f".It Li {key}", text(KEYS[key] + unset))
    yield from (".El", ".Pp", "Durations are 90s, 15m, 1h or 2d.", ".Pp", text(ABOUT_PROJECT))
    yield from (".Sh EXAMPLES", ".Bd -literal", EXAMPLE_CONFIG.rstrip(), ".Ed")
    yield from (".Sh SEE ALSO", ".Xr hf-proxy 1")


PAGES = {"hf-proxy.1": program, "hf-proxy.toml.5": config_file}


def written() -> dict[str, str]:
    """Each page by its file's name."""
    return {name: "\n".join(page()) + "\n" for name, page in PAGES.items()}


def main() -> int:
    for name, page in written().items():
        (MAN / name).write_text(page)
    return 0


if __name__ == "__main__":
    sys.exit(main())
