"""The attacks that other programs of the same user could make, and their outcomes as measured here.

Separate processes make the attempts (`hfproxy.cli.doctor.attack_probe`, `hfproxy.vault.probe`). Two attacks are not
carried out, since they would change the system: whether the config and the directories of PATH are writable is tried,
but nothing is written there. The tests show the consequences.
"""

import json
import os
import subprocess
import sys

from hfproxy.cli.doctor.context import Facts
from hfproxy.cli.doctor.report import AttackOutcome, AttackResult, CheckResult, Mode, Severity

PROBE_SECONDS = 20
OPEN = "open"
NOT_HERE = "not measured here: hf-proxy is untested on this system"
NO_DAEMON = "there is no daemon to try it on"
PROBE_OUTCOMES = {
    "readable": (AttackOutcome.TOKEN, "another program of this user reads the tokens"),
    "ciphertext": (AttackOutcome.CIPHERTEXT, "another program of this user reads ciphertext"),
    "kept": (AttackOutcome.TOKEN, "another program of this user reads ciphertext, and its key from the kernel"),
    "locked": (
        AttackOutcome.NOTHING,
        "the keyring is locked at the moment, so another program of this user reads nothing",
    ),
    "denied": (AttackOutcome.NOTHING, "another program of this user may not open it"),
    "absent": (AttackOutcome.NOTHING, "another program of this user finds nothing"),
    "unknown": (AttackOutcome.UNKNOWN, "no keyring answers that could be read without a prompt"),
}
PROCESS_ATTACKS = {
    "environ": "read the daemon's environment",
    "mem": "read the daemon's memory",
    "ptrace": "attach to the daemon",
    "core": "make the daemon leave a core file",
}
PATH_OUTCOMES = {
    Mode.USER: AttackOutcome.TOKEN,
    Mode.SEALED: AttackOutcome.PASSPHRASE,
    Mode.DEDICATED: AttackOutcome.LOGIN,
}


def run_attacks(facts: Facts) -> list[AttackResult]:
    """Run all attacks, in the order of the table in docs/guide/modes.md."""
    if sys.platform != "linux":
        attacks = ("keyring", *PROCESS_ATTACKS, "socket", "config", "path")
        return [AttackResult(attack, AttackOutcome.UNKNOWN, NOT_HERE) for attack in attacks]
    results = _probe(facts)
    on_process = [_on_process(results, attack, action) for attack, action in PROCESS_ATTACKS.items()]
    return [_on_vault(facts), *on_process, _on_socket(results), _on_config(results, facts), _on_path(results, facts)]


def attack_results(attempts: list[AttackResult], mode: Mode) -> list[CheckResult]:
    """Return the check results for the attacks on the vault and on the daemon's process."""
    vault, *_ = attempts
    severities = {AttackOutcome.TOKEN: Severity.WARNING, AttackOutcome.UNKNOWN: Severity.INFO}
    severity = severities.get(vault.outcome, Severity.OK)
    fix = "hf-proxy vault seal" if mode is Mode.USER else "hf-proxy lock"
    vault_result = CheckResult("token-readable", severity, vault.measured, fix if severity is Severity.WARNING else "")
    return [vault_result, _process_result([attempt for attempt in attempts if attempt.attack in PROCESS_ATTACKS])]


def _process_result(attempts: list[AttackResult]) -> CheckResult:
    succeeded = [attempt.measured for attempt in attempts if attempt.outcome is AttackOutcome.TOKEN]
    if succeeded:
        return CheckResult("process", Severity.PROBLEM, "; ".join(succeeded), "hf-proxy daemon")
    if all(attempt.outcome is AttackOutcome.NOTHING for attempt in attempts):
        measured = f"another program of this user can neither {', '.join(PROCESS_ATTACKS.values())}"
        return CheckResult("process", Severity.OK, measured)
    return CheckResult("process", Severity.INFO, attempts[0].measured)


def _on_vault(facts: Facts) -> AttackResult:
    sealed_file = facts.mode is Mode.DEDICATED or facts.vault == "sealed-file"
    if facts.vault == "memory":
        return AttackResult(
            "keyring", AttackOutcome.NOTHING, "the tokens are in the daemon's memory only, and end with it"
        )
    kind = "sealed-file" if sealed_file else "keyring"
    word = _child("hfproxy.vault.probe", kind, facts.state_dir).strip()
    outcome, measured = PROBE_OUTCOMES.get(word, PROBE_OUTCOMES["unknown"])
    return AttackResult("keyring", outcome, f"{facts.vault}: {measured}")


def _probe(facts: Facts) -> dict[str, object]:
    """Return the results of the attack probe by attack, without those on the daemon if there is none."""
    words = (str(facts.pid or 0), facts.config_dir, *writable_path_entries(facts))
    try:
        results = json.loads(_child("hfproxy.cli.doctor.attack_probe", *words))
    except ValueError:
        return {}
    return results if isinstance(results, dict) else {}


def writable_path_entries(facts: Facts) -> list[str]:
    """Return the directories of PATH up to the one that holds hf-proxy, or all if none does."""
    directories = [path for path in facts.environ.get("PATH", "").split(os.pathsep) if os.path.isabs(path)]
    for number, directory in enumerate(directories):
        if os.path.isfile(os.path.join(directory, "hf-proxy")):
            return directories[: number + 1]
    return directories


def _on_process(results: dict[str, object], attack: str, action: str) -> AttackResult:
    answers = {results.get(attack), results.get("vm_read")} if attack == "mem" else {results.get(attack)}
    if None in answers:
        return AttackResult(attack, AttackOutcome.UNKNOWN, NO_DAEMON)
    if OPEN in answers:
        return AttackResult(attack, AttackOutcome.TOKEN, f"another program of this user can {action}")
    reasons = ", ".join(sorted(map(str, answers)))
    return AttackResult(attack, AttackOutcome.NOTHING, f"another program of this user cannot {action} ({reasons})")


def _on_socket(results: dict[str, object]) -> AttackResult:
    answer = results.get("socket")
    if answer is None:
        return AttackResult("socket", AttackOutcome.UNKNOWN, NO_DAEMON)
    if answer != OPEN:
        return AttackResult("socket", AttackOutcome.NOTHING, f"another program of this user is not served ({answer})")
    measured = "another program of this user is served: it gets credentials as you do"
    return AttackResult("socket", AttackOutcome.CREDENTIAL, measured)


def _on_config(results: dict[str, object], facts: Facts) -> AttackResult:
    answer, directory = results.get("config"), facts.config_dir
    if answer is None:
        return AttackResult("config", AttackOutcome.UNKNOWN, NO_DAEMON)
    if answer != OPEN:
        measured = f"another program of this user cannot write to {directory} ({answer})"
        return AttackResult("config", AttackOutcome.NOTHING, measured)
    measured = (
        f"another program of this user can write to {directory}; stored tokens still go only to the origin they were"
        " logged in for, but the next login goes where the config says"
    )
    return AttackResult("config", AttackOutcome.LOGIN, measured)


def _on_path(results: dict[str, object], facts: Facts) -> AttackResult:
    writable = results.get("path")
    if not isinstance(writable, list):
        return AttackResult("path", AttackOutcome.UNKNOWN, NO_DAEMON)
    if not writable:
        measured = "another program of this user can write to no directory of PATH before hf-proxy's"
        return AttackResult("path", AttackOutcome.NOTHING, measured)
    measured = f"another program of this user can put a false hf-proxy into {writable[0]}"
    return AttackResult("path", PATH_OUTCOMES[facts.mode], measured)


def _child(module: str, *words: str) -> str:
    """Run a module as a separate process, and return its output; "" if it fails or does not end."""
    command = [sys.executable, "-I", "-m", module, *words]
    try:
        result = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=PROBE_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return result.stdout.decode("utf-8", "replace")
