"""`mint`: print a credential, for programs that `exec` cannot run."""

import sys

from hfproxy.cli.project.project_file import with_project
from hfproxy.cli.run.grant_request import GRANT_OPTIONS, mint, mint_request
from hfproxy.cli.ui.arguments import CommandSpec
from hfproxy.cli.ui.render import join_list, local_time, printable, show_json
from hfproxy.control_client import text
from hfproxy.wire import Message

SYNTAX = CommandSpec(
    "mint",
    "Print a credential, for programs that exec cannot run.",
    *GRANT_OPTIONS,
    ("--json", "", "with its id, endpoint, expiry and scopes"),
)

MEMBERS = ("id", "credential", "endpoint", "expires_at", "scopes")


def run(words: list[str]) -> int:
    """Mint and print a credential. Raises HFProxyError if the daemon cannot be reached or refuses."""
    arguments = SYNTAX.read(words)
    minted = mint(with_project(mint_request(arguments, bind="none", of="parent")))
    if arguments.switch("--json"):
        show_json({member: minted.get(member) for member in MEMBERS})
        return 0
    sys.stdout.write(text(minted, "credential") + "\n")
    if sys.stderr.isatty():
        sys.stderr.write(_summary(minted))
    return 0


def _summary(minted: Message) -> str:
    scopes, until, grant = join_list(minted.get("scopes")), local_time(minted.get("expires_at")), minted.get("id")
    return (
        f"{printable(scopes)} until {until}, at HF_ENDPOINT={printable(minted.get('endpoint'))}\n"
        f"end it with: hf-proxy revoke {printable(grant)}\n"
    )
