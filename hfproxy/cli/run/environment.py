"""The environment of a process that gets a credential in place of the token
(docs/hub-protocol.md#environment, docs/hub-protocol.md#token-shapes).

Pure but for the look at the user's netrc: dictionaries in, dictionaries out.
"""

import os
import re
from collections.abc import Iterable, Iterator, Mapping

from hfproxy import paths
from hfproxy.cli.run.git_config import git_environment
from hfproxy.control_client import text, texts
from hfproxy.wire import Message

CREDENTIAL_PREFIX = "hf_px_"

# A prefix and a run of what tokens are made of (docs/hub-protocol.md#token-shapes); a short run will do, since the
# daemon decides.
CANDIDATE = r"(?:hf_|api_org_)[A-Za-z0-9._-]{8,}"

REMOVED_VARIABLES = (
    # These hold a token, under the names that libraries have read or still read it from.
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
    # These come before HF_TOKEN and HF_ENDPOINT, or keep HF_TOKEN from being sent (huggingface_hub 2.4).
    "HF_OIDC_RESOURCE",
    "HUGGINGFACE_CO_STAGING",
    "HF_INFERENCE_ENDPOINT",
    "HF_HUB_DISABLE_IMPLICIT_TOKEN",
)

LOOPBACK = ("127.0.0.1", "localhost")


def token_candidates(environment: Mapping[str, str]) -> list[str]:
    """All that could be a token in the values, for the daemon to say which are."""
    candidates: set[str] = set()
    for value in environment.values():
        if "hf_" in value or "api_org_" in value:
            for run in re.findall(CANDIDATE, value):
                candidates.update(_candidates_in(run))
    return sorted(candidates)


def _candidates_in(run: str) -> Iterator[str]:
    """Where a token begins and ends in a run is not certain: a name may come before, a suffix after."""
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
    """The environment with the answer to a `mint` put in: all clients that read it go to the daemon.

    Raises:
        DaemonError: the answer lacks what is needed.
    """
    credential = text(minted, "credential")
    child = _without_tokens(environment, texts(minted, "replace"), credential)
    for name in REMOVED_VARIABLES:
        child.pop(name, None)
    child["HF_ENDPOINT"] = endpoint = text(minted, "endpoint")
    child["HF_TOKEN"] = credential
    # There is nothing there; the user's own token file is not looked for beside it either.
    child["HF_TOKEN_PATH"] = os.path.join(paths.daemon_dir(), "no-token")
    child.update(_no_proxy(environment, endpoint))
    in_container = minted.get("container") is True
    child.update(
        git_environment({} if in_container else child, endpoint, text(minted, "hub"), in_container=in_container)
    )
    if _netrc_speaks_for_loopback(environment):
        child["NETRC"] = os.devnull
    return child


def _without_tokens(environment: Mapping[str, str], tokens: list[str], credential: str) -> dict[str, str]:
    child = dict(environment)
    # The longest first: one may be the beginning of another.
    for token in sorted(filter(None, tokens), key=len, reverse=True):
        for name, value in child.items():
            if token in value:
                child[name] = value.replace(token, credential)
    return child


def _no_proxy(environment: Mapping[str, str], endpoint: str) -> dict[str, str]:
    """`NO_PROXY` in both spellings (some clients read one, some the other), else a proxy gets the credential.

    Each keeps its entries; one that is missing takes those of the other, as it did before for who reads both.
    """
    upper = environment.get("NO_PROXY", "")
    lower = environment.get("no_proxy", "")
    hosts = dict.fromkeys((*LOOPBACK, endpoint.removeprefix("http://").rpartition(":")[0]))
    return {"NO_PROXY": _extended(upper or lower, hosts), "no_proxy": _extended(lower or upper, hosts)}


def _extended(no_proxy: str, hosts: Iterable[str]) -> str:
    # A star means every host only where it stands alone.
    if no_proxy.strip() == "*":
        return no_proxy
    entries = [entry for entry in no_proxy.split(",") if entry.strip()]
    present = {entry.strip() for entry in entries}
    return ",".join([*entries, *(host for host in hosts if host not in present)])


def _netrc_speaks_for_loopback(environment: Mapping[str, str]) -> bool:
    """Would `requests` (huggingface_hub 0.x) send a netrc's password instead (docs/hub-protocol.md#netrc)?"""
    named = environment.get("NETRC")
    files = (named,) if named else (os.path.expanduser("~/.netrc"), os.path.expanduser("~/_netrc"))
    file = next(filter(os.path.isfile, files), None)
    return file is not None and bool({"default", *LOOPBACK} & machines(file))


def machines(file: str) -> set[str]:
    """The hosts that a netrc names."""
    from netrc import NetrcParseError, netrc  # noqa: PLC0415  (few have the file, only they pay)

    try:
        return set(netrc(file).hosts)
    except (NetrcParseError, UnicodeDecodeError):
        # Others may read what Python cannot: any of its words may be a host.
        with open(file, "rb") as content:
            return set(content.read().decode("utf-8", "replace").split())
    except OSError:
        return set()
