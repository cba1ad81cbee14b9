"""What `doctor` has to say: findings, and the outcome of each attack."""

from dataclasses import dataclass, field
from enum import StrEnum

from hfproxy.errors import HFProxyError
from hfproxy.wire import Message


class Severity(StrEnum):
    """How bad it is. Only a problem makes `doctor` fail."""

    OK = "ok"
    INFO = "info"
    WARNING = "warning"
    PROBLEM = "problem"


class AttackOutcome(StrEnum):
    """What an attack comes to."""

    TOKEN = "the token"  # noqa: S105
    PASSPHRASE = "the token, once the passphrase is typed"  # noqa: S105
    LOGIN = "the token, if it is typed again"
    CIPHERTEXT = "ciphertext"
    CREDENTIAL = "a credential"
    NOTHING = "nothing"
    UNKNOWN = "not measured"


class Mode(StrEnum):
    """How the token is kept from programs of the same user (docs/threat-model.md#modes)."""

    USER = "user"
    SEALED = "sealed"
    DEDICATED = "dedicated"


@dataclass(frozen=True, slots=True)
class CheckResult:
    """One thing that was measured; `fix` is the command that helps, empty where none is needed."""

    check: str
    severity: Severity
    measured: str
    fix: str = ""

    def public(self) -> Message:
        return {"check": self.check, "severity": self.severity, "measured": self.measured, "fix": self.fix or None}


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attack by another program of the same user, and what it came to."""

    attack: str
    got: AttackOutcome
    measured: str

    def public(self) -> Message:
        return {"attack": self.attack, "got": self.got, "measured": self.measured}


@dataclass(slots=True)
class DoctorReport:
    """All of it."""

    mode: Mode
    findings: list[CheckResult] = field(default_factory=list)
    isolation: list[Attempt] = field(default_factory=list)

    @property
    def problems(self) -> list[CheckResult]:
        return [finding for finding in self.findings if finding.severity is Severity.PROBLEM]

    def public(self) -> Message:
        """As `--json` has it; stable."""
        return {
            "mode": self.mode,
            "findings": [finding.public() for finding in self.findings],
            "isolation": [attempt.public() for attempt in self.isolation],
        }


def of_error(check: str, severity: Severity, error: HFProxyError) -> CheckResult:
    """A failure as a finding: our messages are `what happened; what to do: COMMAND`."""
    measured, _, advice = str(error).rpartition("; ")
    if not measured:
        return CheckResult(check, severity, str(error), "hf-proxy status")
    return CheckResult(check, severity, measured, advice.rpartition(": ")[2])
