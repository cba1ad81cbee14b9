"""The environment of a process that gets a credential in place of the token
(docs/hub-protocol.md#environment, docs/hub-protocol.md#token-shapes).

Dictionaries in, dictionaries out; the only side input is the user's netrc.
"""

import os
import re
from collections.abc import Iterable, Iterator, Mapping

from hfproxy import paths
from hfproxy.cli.run.git_config import git_environment
from hfproxy.control_client import text, texts
from hfproxy.wire import Message

CREDENTIAL_PREFIX = "hf_px_"

# A prefix and a run of the characters of tokens (docs/hub-protocol.md#token-shapes). A short run is enough, since the
# daemon decides which candidates are tokens.
CANDIDATE = r"(?:hf_|api_org_)[A-Za-z0-9._-]{8,}"

REMOVED_VARIABLES = (
    # Variables from which libraries read, or have read, a token.
    "HUGGING_FACE_HUB_TOKEN",  # huggingface_hub, legacy
    "HUGGINGFACE_HUB_TOKEN",
    "HF_ACCESS_TOKEN",  # transformers.js
    "HUGGINGFACE_TOKEN",
    "HUGGINGFACE_ACCESS_TOKEN",
    "HUGGINGFACEHUB_API_TOKEN",  # langchain
    "HUGGINGFACE_API_TOKEN",
    "HUGGINGFACE_API_KEY",  # litellm
    "HF_API_TOKEN",
    "HF_API_KEY",
    "HF_OIDC_ID_TOKEN",
    # Variables that take precedence over HF_TOKEN or HF_ENDPOINT, or keep HF_TOKEN from being sent
    # (huggingface_hub 2.4).
    "HF_OIDC_RESOURCE",
    "HUGGINGFACE_CO_STAGING",
    "HF_INFERENCE_ENDPOINT",
    "HF_HUB_DISABLE_IMPLICIT_TOKEN",
)

LOOPBACK = ("127.0.0.1", "localhost")


def token_candidates(environment: Mapping[str, str]) -> list[str]:
    """Return all substrings of the values that could be tokens, sorted; the daemon decides which are."""
    candidates: set[str] = set()
    for value in environment.values():
        if "hf_" in value or "api_org_" in value:
            for run in re.findall(CANDIDATE, value):
                candidates.update(_candidates_in(run))
    return sorted(candidates)


def _candidates_in(run: str) -> Iterator[str]:
    """Yield the possible tokens in a run of token characters; a name may precede a token, and a suffix follow it."""
    last = max(run.rfind("hf_"), run.rfind("api_org_"))
    for start in (run, run[last:]):
        if start.startswith(CREDENTIAL_PREFIX):
            continue
        yield start
        yield start.rstrip("._-")
        for shape in (r"\w+", r"(?:hf|api_org)_[A-Za-z0-9]*"):
            match = re.match(shape, start, re.ASCII)
            if match is not None:
                yield match[0]


def for_child(environment: Mapping[str, str], minted: Message) -> dict[str, str]:
    """Return the environment changed so that all clients use the daemon with the minted credential.

    Args:
        environment: the caller's environment.
        minted: the reply to a `mint` request.

    Raises:
        DaemonError: a member of the reply is missing.
    """
    credential = text(minted, "credential")
    child = _without_tokens(environment, texts(minted, "replace"), credential)
    for name in REMOVED_VARIABLES:
        child.pop(name, None)
    child["HF_ENDPOINT"] = endpoint = text(minted, "endpoint")
    child["HF_TOKEN"] = credential
    # A path that does not exist, so that clients find neither the user's token file nor one beside it.
    child["HF_TOKEN_PATH"] = os.path.join(paths.daemon_dir(), "no-token")
    child.update(_no_proxy(environment, endpoint))
    in_container = minted.get("container") is True
    child.update(
        git_environment({} if in_container else child, endpoint, text(minted, "hub"), in_container=in_container)
    )
    if _netrc_covers_loopback(environment):
        child["NETRC"] = os.devnull
    return child


def _without_tokens(environment: Mapping[str, str], tokens: list[str], credential: str) -> dict[str, str]:
    child = dict(environment)
    # The longest first, since one may be a prefix of another.
    for token in sorted(filter(None, tokens), key=len, reverse=True):
        for name, value in child.items():
            if token in value:
                child[name] = value.replace(token, credential)
    return child


def _no_proxy(environment: Mapping[str, str], endpoint: str) -> dict[str, str]:
    """Return `NO_PROXY` and `no_proxy` with the daemon's hosts, so that no proxy gets the credential.

    Some clients read only one of the two. Each keeps its entries; a missing one gets those of the other, which clients
    that read both have used so far.
    """
    upper = environment.get("NO_PROXY", "")
    lower = environment.get("no_proxy", "")
    hosts = dict.fromkeys((*LOOPBACK, endpoint.removeprefix("http://").rpartition(":")[0]))
    return {"NO_PROXY": _extend(upper or lower, hosts), "no_proxy": _extend(lower or upper, hosts)}


def _extend(no_proxy: str, hosts: Iterable[str]) -> str:
    # A star means every host only if it is the whole value.
    if no_proxy.strip() == "*":
        return no_proxy
    entries = [entry for entry in no_proxy.split(",") if entry.strip()]
    present = {entry.strip() for entry in entries}
    return ",".join([*entries, *(host for host in hosts if host not in present)])


def _netrc_covers_loopback(environment: Mapping[str, str]) -> bool:
    """Return whether `requests` (huggingface_hub 0.x) would send a password from netrc to the daemon instead
    (docs/hub-protocol.md#netrc)."""
    override = environment.get("NETRC")
    files = (override,) if override else (os.path.expanduser("~/.netrc"), os.path.expanduser("~/_netrc"))
    file = next(filter(os.path.isfile, files), None)
    return file is not None and bool({"default", *LOOPBACK} & machines(file))


def machines(file: str) -> set[str]:
    """Return the hosts that a netrc names; of an unparsable file, all words, since any may be a host."""
    from netrc import NetrcParseError, netrc  # noqa: PLC0415  (needed only if the file exists)

    try:
        return set(netrc(file).hosts)
    except (NetrcParseError, UnicodeDecodeError):
        # Other clients may be able to parse the file.
        with open(file, "rb") as content:
            return set(content.read().decode("utf-8", "replace").split())
    except OSError:
        return set()
