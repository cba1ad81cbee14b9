"""`doctor`: what is weak here, measured. Needs no daemon, though without one there is less to measure.

Every finding says what was found by looking or by trying, not what should be; what could not be tried is said to be so.
"""

from hfproxy.cli.doctor import clients, installation, isolation, plaintext_tokens, sockets, token_checks
from hfproxy.cli.doctor.context import gather
from hfproxy.cli.doctor.report import CheckResult, DoctorReport, Mode, Severity
from hfproxy.cli.ui.arguments import CommandSpec
from hfproxy.cli.ui.render import print_error, show, show_json, show_table

SYNTAX = CommandSpec(
    "doctor",
    "Measure what holds the token, who gets at it, what is in the way. The exit code is 1 if there is a problem.",
    ("--json", "", "as one object"),
)
MODES = {
    Mode.USER: "user: whatever runs as you can ask the unlocked keyring, as hf-proxy does",
    Mode.SEALED: "sealed: what is stored is ciphertext, opened in the daemon only",
    Mode.DEDICATED: "dedicated user: the daemon and its vault are another user's",
}
MARKS = {Severity.OK: "ok", Severity.INFO: "note", Severity.WARNING: "WARNING", Severity.PROBLEM: "PROBLEM"}


def run(words: list[str]) -> int:
    """Raises ConfigError: the directories are not to be had."""
    arguments = SYNTAX.read(words)
    report = examine()
    if arguments.switch("--json"):
        show_json(report.public())
    else:
        _tell(report)
    if not report.problems:
        return 0
    first = report.problems[0]
    more = f" (and {len(report.problems) - 1} more)" if len(report.problems) > 1 else ""
    print_error(f"{first.measured}{more}; run: {first.fix}")
    return 1


def examine() -> DoctorReport:
    """Look at everything, in the order in which one should read it."""
    facts = gather()
    attempts = isolation.run_attacks(facts)
    found = [
        *installation.findings(facts),
        *token_checks.findings(facts),
        *isolation.findings(attempts, facts.mode),
        *sockets.findings(facts),
        *clients.findings(facts),
        *plaintext_tokens.findings(facts),
    ]
    return DoctorReport(facts.mode, found, attempts)


def _tell(report: DoctorReport) -> None:
    show(f"mode: {MODES[report.mode]}")
    for finding in report.findings:
        _tell_one(finding)
    show("what another program of this user gets")
    show_table(("ATTACK", "GETS", "MEASURED"), [(one.attack, one.got, one.measured) for one in report.isolation])


def _tell_one(finding: CheckResult) -> None:
    show(f"{MARKS[finding.severity]:<8} {finding.check}: {finding.measured}")
    if finding.fix:
        show(f"{'':<8} -> {finding.fix}")
