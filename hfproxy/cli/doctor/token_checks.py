"""The tokens: what keeps them, what they may, how old they are; and whether the Hub answers, and agrees on the time."""

import time

from hfproxy.cli.doctor.context import Facts
from hfproxy.cli.doctor.report import CheckResult, Severity, of_error
from hfproxy.config import HUB
from hfproxy.control_client import rows
from hfproxy.errors import DaemonError
from hfproxy.wire import Message

DAY = 86400
# A classic token never ends by itself; this is when somebody should think of another one.
OLD_DAYS = 365
SOON_DAYS = 14
CLASSIC = frozenset({"read", "write", "god"})
# Grants last an hour by default, and the Hub's signed addresses minutes.
SKEW_SECONDS = 60
SLOW_MS = 3000
WORTH = {
    "memory": "the daemon's memory: the tokens are gone when it ends",
    "sealed-file": "a sealed file: worth as much as its passphrase",
}
KEYRING_WORTH = (
    "the keyring: on disk under the password of your session, open to every program of yours while you are in"
)
SEALED_WORTH = "the keyring, sealed: ciphertext to every program but the daemon, worth as much as its passphrase"


def findings(facts: Facts) -> list[CheckResult]:
    """About all of that."""
    found = [_vault(facts)]
    if facts.examined_error is not None:
        found.append(of_error("upstream", Severity.WARNING, facts.examined_error))
    if facts.examined is None:
        return found
    network = facts.examined.get("network")
    if isinstance(network, dict):
        found += [_upstream(network), *_clock(network)]
    return [*found, *(one for row in _tokens(facts.examined) for one in _token(row))]


def _vault(facts: Facts) -> CheckResult:
    worth = WORTH.get(facts.vault) or (SEALED_WORTH if facts.vault.endswith("(sealed)") else KEYRING_WORTH)
    measured = f"tokens are kept in {facts.vault}, {worth}"
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
    secured = ", with a certificate that is good" if str(origin).startswith("https:") else ""
    if isinstance(why, str):
        return of_error("upstream", Severity.PROBLEM, DaemonError(why))
    measured = f"{origin} answers the daemon within {ms} ms{secured}"
    if origin != HUB:
        return CheckResult("upstream", Severity.INFO, f"{measured}; it is not {HUB}, but what upstream.hub says")
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
    again = f"hf-proxy login --account {name}"
    if row.get("state") == "dead":
        return [CheckResult("token", Severity.PROBLEM, f"the Hub no longer accepts the token of account {name}", again)]
    if row.get("state") != "good":
        return [of_error("token", Severity.WARNING, DaemonError(str(row.get("why"))))]
    whose = f"account {name}: the token of {row.get('user')}, role {role}, {_age(row)}"
    return [_role(whose, str(name), role), *_end(str(name), row.get("expires_at"), again)]


def _role(whose: str, name: str, role: object) -> CheckResult:
    if role in CLASSIC:
        measured = f"{whose}; a classic token can do all that its user can; replace it by a fine-grained one"
        return CheckResult("token", Severity.WARNING, measured, f"hf-proxy rotate --account {name}")
    return CheckResult("token", Severity.OK, whose)


def _age(row: Message) -> str:
    created = row.get("created_at")
    if not isinstance(created, int):
        return "made at a time that the Hub does not tell"
    days = int((time.time() - created) // DAY)
    return f"made {days} days ago" + ("; that is long" if days > OLD_DAYS else "")


def _end(name: str, expires_at: object, again: str) -> list[CheckResult]:
    if not isinstance(expires_at, int):
        return []
    days = int((expires_at - time.time()) // DAY)
    severity = Severity.WARNING if days < SOON_DAYS else Severity.OK
    return [
        CheckResult(
            "token-end", severity, f"the token of account {name} ends in {days} days", again if days < SOON_DAYS else ""
        )
    ]
