"""Checks of the vault and the tokens (rights, age, expiry), and of the connection to the Hub and its clock."""

import time

from hfproxy.cli.doctor.context import Facts
from hfproxy.cli.doctor.report import CheckResult, Severity, of_error
from hfproxy.config import HUB_ORIGIN
from hfproxy.control_client import rows
from hfproxy.errors import DaemonError
from hfproxy.wire import Message

DAY_S = 86400
# A classic token never expires; after this time it should be replaced.
OLD_DAYS = 365
SOON_DAYS = 14
CLASSIC_ROLES = frozenset({"read", "write", "god"})
# Grants last an hour by default, and the Hub's signed URLs minutes.
SKEW_SECONDS = 60
SLOW_MS = 3000
PROTECTION = {
    "memory": "the daemon's memory: the tokens are lost when it ends",
    "sealed-file": "a sealed file: as secure as its passphrase",
}
KEYRING_PROTECTION = (
    "the keyring: encrypted on disk with your session's password, open to all your programs while you are logged in"
)
SEALED_PROTECTION = "the keyring, sealed: ciphertext to every program but the daemon, as secure as its passphrase"


def run_checks(facts: Facts) -> list[CheckResult]:
    """Return the results for the vault, the Hub and each token."""
    results = [_vault(facts)]
    if facts.daemon_checks_error is not None:
        results.append(of_error("upstream", Severity.WARNING, facts.daemon_checks_error))
    if facts.daemon_checks is None:
        return results
    network = facts.daemon_checks.get("network")
    if isinstance(network, dict):
        results += [_upstream(network), *_clock(network)]
    return [*results, *(result for row in _tokens(facts.daemon_checks) for result in _token(row))]


def _vault(facts: Facts) -> CheckResult:
    keyring = SEALED_PROTECTION if facts.vault.endswith("(sealed)") else KEYRING_PROTECTION
    measured = f"tokens are stored in {facts.vault}, {PROTECTION.get(facts.vault, keyring)}"
    if facts.status is None:
        return CheckResult("vault", Severity.INFO, measured)
    if facts.status.get("lockdown"):
        return CheckResult("vault", Severity.PROBLEM, "a lockdown is in force: nothing is granted", "hf-proxy unlock")
    if facts.status.get("locked"):
        return CheckResult("vault", Severity.WARNING, f"{measured}; it is locked", "hf-proxy unlock")
    if facts.vault == "memory":
        return CheckResult(
            "vault", Severity.WARNING, measured, 'set backend = "keyring" or "sealed-file" under [vault]'
        )
    return CheckResult("vault", Severity.OK, measured)


def _upstream(network: Message) -> CheckResult:
    origin, why, ms = network.get("origin"), network.get("why"), network.get("ms")
    secured = ", with a valid certificate" if str(origin).startswith("https:") else ""
    if isinstance(why, str):
        return of_error("upstream", Severity.PROBLEM, DaemonError(why))
    measured = f"{origin} answers the daemon within {ms} ms{secured}"
    if origin != HUB_ORIGIN:
        return CheckResult("upstream", Severity.INFO, f"{measured}; upstream.hub names it instead of {HUB_ORIGIN}")
    slow = isinstance(ms, int) and ms > SLOW_MS
    return CheckResult("upstream", Severity.WARNING if slow else Severity.OK, measured)


def _clock(network: Message) -> list[CheckResult]:
    skew = network.get("skew")
    if not isinstance(skew, int):
        return []
    measured = f"this machine's clock is {abs(skew)} s {'ahead of' if skew > 0 else 'behind'} the Hub's"
    if abs(skew) > SKEW_SECONDS:
        return [CheckResult("clock", Severity.WARNING, measured, "timedatectl set-ntp true")]
    return [
        CheckResult(
            "clock", Severity.OK, "this machine's clock agrees with the Hub's to the second" if not skew else measured
        )
    ]


def _tokens(examined: Message) -> list[Message]:
    try:
        return rows(examined, "tokens")
    except DaemonError:
        return []


def _token(row: Message) -> list[CheckResult]:
    name, role = row.get("name"), row.get("role")
    login = f"hf-proxy login --account {name}"
    if row.get("state") == "dead":
        return [CheckResult("token", Severity.PROBLEM, f"the Hub no longer accepts the token of account {name}", login)]
    if row.get("state") != "good":
        return [of_error("token", Severity.WARNING, DaemonError(str(row.get("why"))))]
    token = f"account {name}: the token of {row.get('user')}, role {role}, {_age(row)}"
    return [_role(token, str(name), role), *_expiry(str(name), row.get("expires_at"), login)]


def _role(token: str, name: str, role: object) -> CheckResult:
    if role in CLASSIC_ROLES:
        measured = f"{token}; a classic token can do all that its user can; replace it by a fine-grained one"
        return CheckResult("token", Severity.WARNING, measured, f"hf-proxy rotate --account {name}")
    return CheckResult("token", Severity.OK, token)


def _age(row: Message) -> str:
    created = row.get("created_at")
    if not isinstance(created, int):
        return "created at a time that the Hub does not report"
    days = int((time.time() - created) // DAY_S)
    return f"created {days} days ago" + ("; that is old" if days > OLD_DAYS else "")


def _expiry(name: str, expires_at: object, login: str) -> list[CheckResult]:
    if not isinstance(expires_at, int):
        return []
    days = int((expires_at - time.time()) // DAY_S)
    severity, fix = (Severity.WARNING, login) if days < SOON_DAYS else (Severity.OK, "")
    return [CheckResult("token-end", severity, f"the token of account {name} expires in {days} days", fix)]
