"""The report of `doctor`: the check results, and the outcome of each attack."""

from dataclasses import dataclass, field
from enum import StrEnum

from hfproxy.errors import HFProxyError
from hfproxy.wire import Message


class Severity(StrEnum):
    """The severity of a result. Only a problem makes `doctor` fail."""

    OK = "ok"
    INFO = "info"
    WARNING = "warning"
    PROBLEM = "problem"


class AttackOutcome(StrEnum):
    """The gain of an attack."""

    TOKEN = "the token"  # noqa: S105
    PASSPHRASE = "the token, once the passphrase is typed"  # noqa: S105
    LOGIN = "the token, if it is typed again"
    CIPHERTEXT = "ciphertext"
    CREDENTIAL = "a credential"
    NOTHING = "nothing"
    UNKNOWN = "not measured"


class Mode(StrEnum):
    """The deployment mode, which determines the protection from programs of the same user
    (docs/threat-model.md#modes)."""

    USER = "user"
    SEALED = "sealed"
    DEDICATED = "dedicated"


@dataclass(frozen=True, slots=True)
class CheckResult:
    """The result of one check.

    Attributes:
        check: the name of the check.
        severity: how bad it is.
        measured: the measurement.
        fix: the command that helps; "" if none is needed.
        is_command: False if `fix` is advice in words instead.
    """

    check: str
    severity: Severity
    measured: str
    fix: str = ""
    is_command: bool = True

    def to_json(self) -> Message:
        """Return the object in `findings` of `--json`."""
        return {"check": self.check, "severity": self.severity, "measured": self.measured, "fix": self.fix or None}


@dataclass(frozen=True, slots=True)
class AttackResult:
    """An attack by another program of the same user, and its outcome."""

    attack: str
    outcome: AttackOutcome
    measured: str

    def to_json(self) -> Message:
        """Return the object in `isolation` of `--json`."""
        return {"attack": self.attack, "got": self.outcome, "measured": self.measured}


@dataclass(slots=True)
class DoctorReport:
    """The whole report."""

    mode: Mode
    results: list[CheckResult] = field(default_factory=list)
    attacks: list[AttackResult] = field(default_factory=list)

    @property
    def problems(self) -> list[CheckResult]:
        return [result for result in self.results if result.severity is Severity.PROBLEM]

    def to_json(self) -> Message:
        """Return the JSON object of `--json`, which is stable."""
        return {
            "mode": self.mode,
            "findings": [result.to_json() for result in self.results],
            "isolation": [attack.to_json() for attack in self.attacks],
        }


def of_error(check: str, severity: Severity, error: HFProxyError) -> CheckResult:
    """Turn an error into a result; messages of hf-proxy have the form `FAILURE; ADVICE: COMMAND (ALTERNATIVE)`, or
    without a command `FAILURE; ADVICE`."""
    measured, _, advice = str(error).rpartition("; ")
    if not measured:
        return CheckResult(check, severity, str(error), "hf-proxy status")
    _, colon, fix = advice.partition(" (")[0].rpartition(": ")
    return CheckResult(check, severity, measured, fix, is_command=bool(colon))
