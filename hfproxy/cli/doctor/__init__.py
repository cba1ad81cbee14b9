"""`doctor`: measure how well the tokens are protected. Works without a daemon, though some checks then measure nothing.

Every result states a measurement, not an expectation; a check that could not be made says so.
"""

from hfproxy.cli.doctor import clients, installation, isolation, plaintext_tokens, sockets, token_checks
from hfproxy.cli.doctor.context import gather
from hfproxy.cli.doctor.report import CheckResult, DoctorReport, Mode, Severity
from hfproxy.cli.ui.arguments import CommandSpec
from hfproxy.cli.ui.render import print_error, show, show_json, show_table

SYNTAX = CommandSpec(
    "doctor",
    "Measure which programs can get the tokens, and what bypasses hf-proxy. The exit code is 1 if there is a problem.",
    ("--json", "", "as one object"),
)
MODES = {
    Mode.USER: "user: the daemon runs as you; see below what your other programs can reach",
    Mode.SEALED: "sealed: the stored tokens are ciphertext, decrypted in the daemon only",
    Mode.DEDICATED: "dedicated user: the daemon and its vault belong to another user",
}
MARKS = {Severity.OK: "ok", Severity.INFO: "note", Severity.WARNING: "WARNING", Severity.PROBLEM: "PROBLEM"}


def run(words: list[str]) -> int:
    """Print the report; return 1 if there is a problem.

    Raises:
        UsageError: an argument is malformed.
        ConfigError: the directories cannot be determined.
    """
    arguments = SYNTAX.read(words)
    report = examine()
    if arguments.switch("--json"):
        show_json(report.to_json())
    else:
        _show(report)
    if not report.problems:
        return 0
    first = report.problems[0]
    others = f" (and {len(report.problems) - 1} more)" if len(report.problems) > 1 else ""
    print_error(f"{first.measured}{others}; {'run: ' if first.is_command else ''}{first.fix}")
    return 1


def examine() -> DoctorReport:
    """Run all checks, in the order in which the user should read them."""
    facts = gather()
    attempts = isolation.run_attacks(facts)
    results = [
        *installation.run_checks(facts),
        *token_checks.run_checks(facts),
        *isolation.attack_results(attempts, facts.mode),
        *sockets.run_checks(facts),
        *clients.run_checks(facts),
        *plaintext_tokens.run_checks(facts),
    ]
    return DoctorReport(facts.mode, results, attempts)


def _show(report: DoctorReport) -> None:
    show(f"mode: {MODES[report.mode]}")
    for result in report.results:
        _show_result(result)
    show("attacks by another program of this user")
    show_table(
        ("ATTACK", "GETS", "MEASURED"),
        [(attempt.attack, attempt.outcome, attempt.measured) for attempt in report.attacks],
    )


def _show_result(result: CheckResult) -> None:
    show(f"{MARKS[result.severity]:<8} {result.check}: {result.measured}")
    if result.fix:
        show(f"{'':<8} -> {result.fix}")
