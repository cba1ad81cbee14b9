"""Checks for settings that lead clients past hf-proxy: variables, files and git's config that take precedence
(docs/hub-protocol.md#environment, docs/hub-protocol.md#git-redirection, docs/hub-protocol.md#token-files).

`exec` and `env` override most of them for the programs they start; all other programs of the user are affected. The
results never show values.
"""

import os
import subprocess
from collections.abc import Iterator, Mapping

from hfproxy.cli.doctor.context import Facts
from hfproxy.cli.doctor.report import CheckResult, Severity
from hfproxy.cli.run.environment import CREDENTIAL_PREFIX, LOOPBACK, REMOVED_VARIABLES, machines
from hfproxy.cli.run.git_config import HUB_URLS
from hfproxy.detect.patterns import PATTERNS

# Those of REMOVED_VARIABLES that hold no token, but change where, or whether, it is sent
# (docs/hub-protocol.md#environment).
DIVERTING_VARIABLES = {
    "HF_OIDC_RESOURCE": "makes huggingface_hub fetch another token",
    "HUGGINGFACE_CO_STAGING": "overrides hf-proxy's address",
    "HF_INFERENCE_ENDPOINT": "overrides hf-proxy's address for inference endpoints",
    "HF_HUB_DISABLE_IMPLICIT_TOKEN": "keeps huggingface_hub from sending the credential",
}
PROXY_VARIABLES = ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy")
LOOPBACK_EXCEPTIONS = frozenset({"127.0.0.1", "127.0.0.0/8", "*"})
HUB_HOSTS = frozenset({"huggingface.co", "hf.co"})
MIGRATE = "hf-proxy scan --migrate"
GIT_SECONDS = 10
MAX_TOKEN_FILE_BYTES = 1 << 20


def run_checks(facts: Facts) -> list[CheckResult]:
    """Return the results of all checks: one warning for each problem, or one OK."""
    endpoint = (facts.status or {}).get("endpoint")
    home = os.path.expanduser("~")
    return [
        *_results("environment", _variables(facts.environ, endpoint), "no variable of this shell bypasses hf-proxy"),
        *_results("token-files", _files(facts.environ, home), "huggingface_hub has no token file here"),
        *_results("netrc", _netrc(facts.environ, home), "no netrc has an entry for the Hub or for this machine"),
        *_results("git", _git(endpoint), "git's config neither bypasses hf-proxy nor sends a header to the Hub"),
        *_results("proxy", _proxies(facts.environ), "no proxy is between programs and this machine's own port"),
    ]


def _results(check: str, problems: Iterator[tuple[str, str]], ok: str) -> list[CheckResult]:
    """Return a warning for each problem (measured, fix), or one OK."""
    warnings = [CheckResult(check, Severity.WARNING, measured, fix) for measured, fix in problems]
    return warnings or [CheckResult(check, Severity.OK, ok)]


def _variables(environ: Mapping[str, str], endpoint: object) -> Iterator[tuple[str, str]]:
    for name in ("HF_TOKEN", *REMOVED_VARIABLES):
        value = environ.get(name, "")
        if not value or value.startswith(CREDENTIAL_PREFIX):
            continue
        effect = DIVERTING_VARIABLES.get(name, "gives a token to every program started here")
        yield f"{name} is set in this shell and {effect}", f"unset {name}"
    configured = environ.get("HF_ENDPOINT")
    if configured and isinstance(endpoint, str) and configured != endpoint:
        yield f"HF_ENDPOINT is {_without_userinfo(configured)} and not {endpoint}", "unset HF_ENDPOINT"


def _files(environ: Mapping[str, str], home: str) -> Iterator[tuple[str, str]]:
    cache = environ.get("XDG_CACHE_HOME") or os.path.join(home, ".cache")
    hub = environ.get("HF_HOME") or os.path.join(cache, "huggingface")
    token = environ.get("HF_TOKEN_PATH") or os.path.join(hub, "token")
    legacy = os.path.join(home, ".huggingface", "token")
    for path in (token, os.path.join(os.path.dirname(token), "stored_tokens"), legacy):
        if _has_token(path):
            yield f"{path} holds a plaintext token, and clients that are not run by hf-proxy use it", MIGRATE


def _has_token(path: str) -> bool:
    """Return whether the file holds a token; a migration leaves one without. An unreadable file counts as none."""
    try:
        with open(path, "rb") as file:
            content = file.read(MAX_TOKEN_FILE_BYTES)
    except OSError:
        return False
    return any(pattern.search(content) for pattern in PATTERNS)


def _netrc(environ: Mapping[str, str], home: str) -> Iterator[tuple[str, str]]:
    override = environ.get("NETRC")
    for path in (override,) if override else (os.path.join(home, ".netrc"), os.path.join(home, "_netrc")):
        hosts = machines(path) if os.path.isfile(path) else set()
        if hosts & HUB_HOSTS:
            yield f"{path} holds a plaintext password for the Hub", MIGRATE
        if hosts & {"default", *LOOPBACK}:
            measured = f"{path} has an entry for this machine: old clients send its password instead of the credential"
            yield measured, "hf-proxy exec -- CMD"


def _git(endpoint: object) -> Iterator[tuple[str, str]]:
    for key, value in _git_config(r"^(url\..*\.insteadof|http\..*\.extraheader)$"):
        unset = f"git config --global --unset-all {key}"
        if key.startswith("http."):
            if any(host in key for host in HUB_HOSTS):
                yield f"git sends an extra header to the Hub ({key})", unset
        elif value.startswith(HUB_URLS) and not (isinstance(endpoint, str) and key.startswith(f"url.{endpoint}/")):
            yield f"git replaces {value} by another address than hf-proxy's ({_without_userinfo(key)})", unset


def _git_config(pattern: str) -> Iterator[tuple[str, str]]:
    """Yield the matching keys and values, none without git.

    With `-z` an entry is KEY, newline, VALUE (git-config(1)).
    """
    command = ["git", "config", "-z", "--get-regexp", pattern]
    try:
        result = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=GIT_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return
    for entry in filter(None, result.stdout.decode("utf-8", "replace").split("\0")):
        key, _, value = entry.partition("\n")
        yield key, value


def _proxies(environ: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    exceptions = {entry.strip() for name in ("NO_PROXY", "no_proxy") for entry in environ.get(name, "").split(",")}
    for name in PROXY_VARIABLES:
        if environ.get(name) and not exceptions & LOOPBACK_EXCEPTIONS:
            measured = f"{name} is set and NO_PROXY lacks 127.0.0.1: outside of exec the proxy would get the credential"
            yield measured, "export NO_PROXY=127.0.0.1,localhost no_proxy=127.0.0.1,localhost"
            return


def _without_userinfo(address: str) -> str:
    """Return a URL without its userinfo, which may hold a password."""
    head, at, rest = address.rpartition("@")
    return f"{head.partition('//')[0]}//...@{rest}" if at else address
