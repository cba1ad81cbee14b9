"""What leads clients past us: variables, files and git's config that come before ours
(docs/hub-protocol.md#environment, docs/hub-protocol.md#git-redirection, docs/hub-protocol.md#token-files).

`exec` and `env` put most of it aside for what they start; everything else of the user runs as it is found here. Values
are never shown.
"""

import os
import subprocess
from collections.abc import Iterator, Mapping

from hfproxy.cli.doctor.context import Facts
from hfproxy.cli.doctor.report import CheckResult, Severity
from hfproxy.cli.run.environment import CREDENTIAL_PREFIX, LOOPBACK, REMOVED_VARIABLES, machines
from hfproxy.cli.run.git_config import HUB
from hfproxy.detect.patterns import PATTERNS

# These do not hold a token; the others of UNSET do.
DIVERTING = frozenset(
    {"HF_OIDC_RESOURCE", "HUGGINGFACE_CO_STAGING", "HF_INFERENCE_ENDPOINT", "HF_HUB_DISABLE_IMPLICIT_TOKEN"}
)
PROXIES = ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy")
PAST_PROXIES = frozenset({"127.0.0.1", "127.0.0.0/8", "*"})
HOSTS = frozenset({"huggingface.co", "hf.co"})
MIGRATE = "hf-proxy scan --migrate"
GIT_SECONDS = 10
MOST_BYTES = 1 << 20


def findings(facts: Facts) -> list[CheckResult]:
    """Each check once: what is in the way, or that nothing is."""
    endpoint = (facts.status or {}).get("endpoint")
    home = os.path.expanduser("~")
    return [
        *_or_fine("environment", _variables(facts.environ, endpoint), "no variable of this shell comes before ours"),
        *_or_fine("token-files", _files(facts.environ, home), "no token file of huggingface_hub is there"),
        *_or_fine("netrc", _netrc(facts.environ, home), "no netrc speaks for the Hub, or for this machine"),
        *_or_fine("git", _git(endpoint), "git's config neither leads past us nor carries a header for the Hub"),
        *_or_fine("proxy", _proxies(facts.environ), "no proxy stands between programs and this machine's own port"),
    ]


def _or_fine(check: str, found: Iterator[tuple[str, str]], fine: str) -> list[CheckResult]:
    warnings = [CheckResult(check, Severity.WARNING, measured, fix) for measured, fix in found]
    return warnings or [CheckResult(check, Severity.OK, fine)]


def _variables(environ: Mapping[str, str], endpoint: object) -> Iterator[tuple[str, str]]:
    for name in ("HF_TOKEN", *REMOVED_VARIABLES):
        value = environ.get(name, "")
        if not value or value.startswith(CREDENTIAL_PREFIX):
            continue
        does = "goes before our address" if name in DIVERTING else "holds a token for every program started here"
        yield f"{name} is set in this shell and {does}", f"unset {name}"
    named = environ.get("HF_ENDPOINT")
    if named and isinstance(endpoint, str) and named != endpoint:
        yield f"HF_ENDPOINT leads to {_shown(named)} and not to {endpoint}", "unset HF_ENDPOINT"


def _files(environ: Mapping[str, str], home: str) -> Iterator[tuple[str, str]]:
    cache = environ.get("XDG_CACHE_HOME") or os.path.join(home, ".cache")
    hub = environ.get("HF_HOME") or os.path.join(cache, "huggingface")
    token = environ.get("HF_TOKEN_PATH") or os.path.join(hub, "token")
    legacy = os.path.join(home, ".huggingface", "token")
    for path in (token, os.path.join(os.path.dirname(token), "stored_tokens"), legacy):
        if _has_token(path):
            yield f"{path} holds a token in the clear, and clients that are not under hf-proxy use it", MIGRATE


def _has_token(path: str) -> bool:
    """Not merely names and empty lines, which is what a migration leaves. Whoever cannot read it cannot use it."""
    try:
        with open(path, "rb") as file:
            content = file.read(MOST_BYTES)
    except OSError:
        return False
    return any(pattern.search(content) for pattern in PATTERNS)


def _netrc(environ: Mapping[str, str], home: str) -> Iterator[tuple[str, str]]:
    named = environ.get("NETRC")
    for path in (named,) if named else (os.path.join(home, ".netrc"), os.path.join(home, "_netrc")):
        spoken = machines(path) if os.path.isfile(path) else set()
        if spoken & HOSTS:
            yield f"{path} holds a password for the Hub in the clear", MIGRATE
        if spoken & {"default", *LOOPBACK}:
            measured = f"{path} speaks for this machine: old clients send its password in place of the credential"
            yield measured, "hf-proxy exec -- CMD"


def _git(endpoint: object) -> Iterator[tuple[str, str]]:
    for key, value in _git_config(r"^(url\..*\.insteadof|http\..*\.extraheader)$"):
        unset = f"git config --global --unset-all {key}"
        if key.startswith("http."):
            if any(host in key for host in HOSTS):
                yield f"git sends a header of its own to the Hub ({key})", unset
        elif value.startswith(HUB) and not (isinstance(endpoint, str) and key.startswith(f"url.{endpoint}/")):
            yield f"git reads {value} as another address than ours ({_shown(key)})", unset


def _git_config(pattern: str) -> Iterator[tuple[str, str]]:
    """Keys and values that fit; nothing without git. With `-z` an entry is KEY, a line's end, VALUE (git-config(1))."""
    command = ["git", "config", "-z", "--get-regexp", pattern]
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=GIT_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return
    for entry in filter(None, done.stdout.decode("utf-8", "replace").split("\0")):
        key, _, value = entry.partition("\n")
        yield key, value


def _proxies(environ: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    past = {entry.strip() for name in ("NO_PROXY", "no_proxy") for entry in environ.get(name, "").split(",")}
    for name in PROXIES:
        if environ.get(name) and not past & PAST_PROXIES:
            measured = f"{name} is set and NO_PROXY lacks 127.0.0.1: outside of exec the proxy would get the credential"
            yield measured, "export NO_PROXY=127.0.0.1,localhost no_proxy=127.0.0.1,localhost"
            return


def _shown(address: str) -> str:
    """Without what stands before an @: a password perhaps."""
    head, at, rest = address.rpartition("@")
    return f"{head.partition('//')[0]}//...@{rest}" if at else address
