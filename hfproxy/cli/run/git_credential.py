"""`git-credential`: git's helper protocol (gitcredentials(7)): what to answer when git asks for a password.

Under `exec` and `env` the credential is in the environment, and is told to the daemon's own address only. Set up in
git's config, where there is none, it asks the daemon for one, for that address and for the Hub's. Whatever git was led
to ask for else (a submodule's host, a redirect) gets no answer (docs/threat-model.md#t17). It stores nothing, so there
is nothing to erase.
"""

import os
import sys
from collections.abc import Mapping

from hfproxy.cli.run.environment import CREDENTIAL_PREFIX
from hfproxy.cli.run.grant_request import GRANT_OPTIONS, mint, mint_request
from hfproxy.cli.ui.arguments import Arguments, CommandSpec
from hfproxy.control_client import request, text
from hfproxy.errors import UsageError
from hfproxy.wire import Message

HUB = frozenset({("https", "huggingface.co"), ("https", "hf.co")})
GIT_USERNAME = "hf_user"
LIMIT_BYTES = 64 * 1024

SYNTAX = CommandSpec(
    "git-credential",
    "Answer git. To set it up outside of exec: git config --global credential.helper '!hf-proxy git-credential'",
    *GRANT_OPTIONS,
    rest="get|store|erase",
    max_positional=1,
)


def run(words: list[str]) -> int:
    """Raises as `client.ask`; UsageError for what git would not have asked."""
    arguments = SYNTAX.read(words)
    if not arguments.rest:
        raise SYNTAX.usage_error("it takes get, store or erase")
    asked = sys.stdin.buffer.read(LIMIT_BYTES + 1)
    if arguments.rest != ["get"]:  # git adds words of its own from time to time: they are to be ignored
        return 0
    wanted = _attributes(asked)
    answer = _answer(arguments, wanted)
    sys.stdout.write("".join(f"{name}={value}\n" for name, value in answer.items()))
    return 0


def _attributes(asked: bytes) -> dict[str, str]:
    """What git asks about, one `name=value` a line.

    Raises:
        UsageError: it could be read in two ways.
    """
    lines = asked.decode("utf-8", "replace").split("\n")
    pairs = [line.partition("=") for line in lines if line]
    if len(asked) > LIMIT_BYTES or not all(line.isprintable() for line in lines):
        raise UsageError("this is not what git asks: it holds control characters; see: hf-proxy git-credential --help")
    single = [name for name, _, _ in pairs if not name.endswith("[]")]
    if len(set(single)) != len(single) or not all(equals for _, equals, _ in pairs):
        raise UsageError("this is not what git asks: one name=value a line; see: hf-proxy git-credential --help")
    return {name: value for name, _, value in pairs}


def _answer(arguments: Arguments, wanted: Mapping[str, str]) -> dict[str, str]:
    place = (wanted.get("protocol", ""), wanted.get("host", "").lower())
    credential = os.environ.get("HF_TOKEN", "")
    if credential.startswith(CREDENTIAL_PREFIX):
        here = place in _is_our_endpoint(os.environ.get("HF_ENDPOINT", ""))
        return _format_reply(wanted, credential) if here else {}
    if place not in HUB | _is_our_endpoint(text(request({"do": "status"}), "endpoint")):
        return {}
    minted = mint(_request(arguments))
    return {
        **_format_reply(wanted, text(minted, "credential")),
        "password_expiry_utc": str(minted.get("expires_at", 0)),
    }


def _request(arguments: Arguments) -> Message:
    """Bound to nothing: the shell that git runs us in is gone with us."""
    wanted = mint_request(arguments, bind="none", of="parent")
    return {"label": "git", "program": "git", **wanted}


def _is_our_endpoint(endpoint: str) -> frozenset[tuple[str, str]]:
    protocol, _, host = endpoint.partition("://")
    return frozenset({(protocol, host), (protocol, host.replace("127.0.0.1:", "localhost:"))})


def _format_reply(wanted: Mapping[str, str], credential: str) -> dict[str, str]:
    """`ephemeral`: not to be kept by other helpers (git 2.46)."""
    return {"username": wanted.get("username") or GIT_USERNAME, "password": credential, "ephemeral": "1"}
