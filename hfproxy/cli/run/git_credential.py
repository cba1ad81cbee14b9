"""`git-credential`: a credential helper for git (gitcredentials(7)).

Under `exec` and `env` the credential is in the environment, and is returned for the daemon's own address only. As a
helper in git's config, without such a credential, it asks the daemon for one, for the daemon's address and the Hub's.
Any other address that git is led to (a submodule's host, a redirect) gets no answer (docs/threat-model.md#t17). The
helper stores nothing, so there is nothing to erase.
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

HUB_HOSTS = frozenset({("https", "huggingface.co"), ("https", "hf.co")})
GIT_USERNAME = "hf_user"
LIMIT_BYTES = 64 * 1024

SYNTAX = CommandSpec(
    "git-credential",
    "Answer git. To set it up outside of exec: git config --global credential.helper '!hf-proxy git-credential'",
    *GRANT_OPTIONS,
    positionals="get|store|erase",
    max_positional=1,
)


def run(words: list[str]) -> int:
    """Answer git.

    Raises:
        UsageError: an argument or git's request is malformed.
        HFProxyError: the daemon cannot be reached or refuses.
    """
    arguments = SYNTAX.read(words)
    if not arguments.positionals:
        raise SYNTAX.usage_error("choose get, store or erase")
    description = sys.stdin.buffer.read(LIMIT_BYTES + 1)
    if arguments.positionals != ["get"]:  # a helper must ignore operations it does not know (gitcredentials(7))
        return 0
    answer = _answer(arguments, _attributes(description))
    sys.stdout.write("".join(f"{name}={value}\n" for name, value in answer.items()))
    return 0


def _attributes(description: bytes) -> dict[str, str]:
    """Parse git's description of the credential, one `name=value` a line.

    Raises:
        UsageError: the description is malformed or ambiguous.
    """
    lines = description.decode("utf-8", "replace").split("\n")
    pairs = [line.partition("=") for line in lines if line]
    if len(description) > LIMIT_BYTES or not all(line.isprintable() for line in lines):
        raise UsageError("this is not git's protocol: it holds control characters; see: hf-proxy git-credential --help")
    single = [name for name, _, _ in pairs if not name.endswith("[]")]
    if len(set(single)) != len(single) or not all(equals for _, equals, _ in pairs):
        raise UsageError("this is not git's protocol: one name=value a line; see: hf-proxy git-credential --help")
    return {name: value for name, _, value in pairs}


def _answer(arguments: Arguments, attributes: Mapping[str, str]) -> dict[str, str]:
    place = (attributes.get("protocol", ""), attributes.get("host", "").lower())
    credential = os.environ.get("HF_TOKEN", "")
    if credential.startswith(CREDENTIAL_PREFIX):
        is_daemon = place in _endpoint_places(os.environ.get("HF_ENDPOINT", ""))
        return _format_reply(attributes, credential) if is_daemon else {}
    if place not in HUB_HOSTS | _endpoint_places(text(request({"do": "status"}), "endpoint")):
        return {}
    minted = mint(_mint_request(arguments))
    return {
        **_format_reply(attributes, text(minted, "credential")),
        "password_expiry_utc": str(minted.get("expires_at", 0)),
    }


def _mint_request(arguments: Arguments) -> Message:
    """Return the request for a grant that is bound to no process: the shell that git starts for the helper ends."""
    message = mint_request(arguments, bind="none", of="parent")
    return {"label": "git", "program": "git", **message}


def _endpoint_places(endpoint: str) -> frozenset[tuple[str, str]]:
    """Return (protocol, host) of the daemon, with its host in both spellings."""
    protocol, _, host = endpoint.partition("://")
    return frozenset({(protocol, host), (protocol, host.replace("127.0.0.1:", "localhost:"))})


def _format_reply(attributes: Mapping[str, str], credential: str) -> dict[str, str]:
    """Return the attributes of the answer; `ephemeral` tells other helpers not to store it (git 2.46)."""
    return {"username": attributes.get("username") or GIT_USERNAME, "password": credential, "ephemeral": "1"}
