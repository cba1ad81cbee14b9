"""The table of attacks by other programs of the same user: what each came to, here and now.

The attempts are made by processes of their own (`attempts`, `hfproxy.vault.probe`). Two are not carried through, since
that would be felt: nothing is put into the config or on PATH, it is only tried whether it could be. What follows from
there is shown by the tests.
"""

import json
import os
import subprocess
import sys

from hfproxy.cli.doctor.context import Facts
from hfproxy.cli.doctor.report import AttackOutcome, Attempt, CheckResult, Mode, Severity

PROBE_SECONDS = 20
OPEN = "open"
NOT_HERE = "not measured here: hf-proxy was never run on this system by us"
NO_DAEMON = "there is no daemon to try it on"
KEPT = {
    "readable": (AttackOutcome.TOKEN, "another program of this user reads the tokens"),
    "ciphertext": (AttackOutcome.CIPHERTEXT, "another program of this user reads ciphertext"),
    "kept": (AttackOutcome.TOKEN, "another program of this user reads ciphertext, and in the kernel the key to it"),
    "locked": (
        AttackOutcome.NOTHING,
        "the keyring is locked at the moment, so another program of this user reads nothing",
    ),
    "denied": (AttackOutcome.NOTHING, "another program of this user may not open it"),
    "absent": (AttackOutcome.NOTHING, "another program of this user finds nothing"),
    "unknown": (AttackOutcome.UNKNOWN, "no keyring answers that could be asked without a prompt"),
}
OF_PROCESS = {
    "environ": "read the daemon's environment",
    "mem": "read the daemon's memory",
    "ptrace": "attach to the daemon",
    "core": "make the daemon leave a core file",
}
PATH_GETS = {Mode.USER: AttackOutcome.TOKEN, Mode.SEALED: AttackOutcome.PASSPHRASE, Mode.DEDICATED: AttackOutcome.LOGIN}


def run_attacks(facts: Facts) -> list[Attempt]:
    """Each attack, in the order of the README's table."""
    if sys.platform != "linux":
        attacks = ("keyring", *OF_PROCESS, "socket", "config", "path")
        return [Attempt(attack, AttackOutcome.UNKNOWN, NOT_HERE) for attack in attacks]
    found = _attempts(facts)
    of_process = [_of_process(found, attack, what) for attack, what in OF_PROCESS.items()]
    return [_kept(facts), *of_process, _socket(found), _config(found, facts), _path(found, facts)]


def findings(attempts: list[Attempt], mode: Mode) -> list[CheckResult]:
    """What of that deserves a word."""
    kept, *_ = attempts
    worth = (
        Severity.WARNING
        if kept.got is AttackOutcome.TOKEN
        else Severity.INFO
        if kept.got is AttackOutcome.UNKNOWN
        else Severity.OK
    )
    fix = "" if kept.got is not AttackOutcome.TOKEN else "hf-proxy vault seal" if mode is Mode.USER else "hf-proxy lock"
    of_process = [attempt for attempt in attempts if attempt.attack in OF_PROCESS]
    reached = [attempt for attempt in of_process if attempt.got is AttackOutcome.TOKEN]
    if reached:
        process = CheckResult(
            "process", Severity.PROBLEM, "; ".join(one.measured for one in reached), "hf-proxy daemon"
        )
    elif all(attempt.got is AttackOutcome.NOTHING for attempt in of_process):
        measured = f"another program of this user can neither {', '.join(OF_PROCESS.values())}"
        process = CheckResult("process", Severity.OK, measured)
    else:
        process = CheckResult("process", Severity.INFO, of_process[0].measured)
    return [CheckResult("token-readable", worth, kept.measured, fix), process]


def _kept(facts: Facts) -> Attempt:
    sealed_file = facts.mode is Mode.DEDICATED or facts.vault == "sealed-file"
    if facts.vault == "memory":
        return Attempt("keyring", AttackOutcome.NOTHING, "the tokens are in the daemon's memory only, and gone with it")
    kind = "sealed-file" if sealed_file else "keyring"
    words = _child("hfproxy.vault.probe", kind, facts.state_dir)
    got, measured = KEPT.get(words.strip(), KEPT["unknown"])
    return Attempt("keyring", got, f"{facts.vault}: {measured}")


def _attempts(facts: Facts) -> dict[str, object]:
    """What the other process found; nothing of the daemon where there is none."""
    words = (str(facts.pid or 0), facts.config_dir, *writable_path_entries(facts))
    try:
        found = json.loads(_child("hfproxy.cli.doctor.attack_probe", *words))
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def writable_path_entries(facts: Facts) -> list[str]:
    """The directories of PATH up to the one with our program in it, all of them where it is in none."""
    directories = [one for one in facts.environ.get("PATH", "").split(os.pathsep) if os.path.isabs(one)]
    for number, directory in enumerate(directories):
        if os.path.isfile(os.path.join(directory, "hf-proxy")):
            return directories[: number + 1]
    return directories


def _of_process(found: dict[str, object], attack: str, what: str) -> Attempt:
    said = {found.get(attack), found.get("vm_read")} if attack == "mem" else {found.get(attack)}
    if None in said:
        return Attempt(attack, AttackOutcome.UNKNOWN, NO_DAEMON)
    if OPEN in said:
        return Attempt(attack, AttackOutcome.TOKEN, f"another program of this user can {what}")
    why = ", ".join(sorted(map(str, said)))
    return Attempt(attack, AttackOutcome.NOTHING, f"another program of this user cannot {what} ({why})")


def _socket(found: dict[str, object]) -> Attempt:
    said = found.get("socket")
    if said is None:
        return Attempt("socket", AttackOutcome.UNKNOWN, NO_DAEMON)
    if said != OPEN:
        return Attempt("socket", AttackOutcome.NOTHING, f"another program of this user is not served ({said})")
    return Attempt(
        "socket", AttackOutcome.CREDENTIAL, "another program of this user is served: it gets credentials as you do"
    )


def _config(found: dict[str, object], facts: Facts) -> Attempt:
    said, where = found.get("config"), facts.config_dir
    if said is None:
        return Attempt("config", AttackOutcome.UNKNOWN, NO_DAEMON)
    if said != OPEN:
        return Attempt(
            "config", AttackOutcome.NOTHING, f"another program of this user cannot write to {where} ({said})"
        )
    measured = f"another program of this user can write to {where}; tokens go where they were logged in for, as before"
    return Attempt("config", AttackOutcome.LOGIN, f"{measured}, but the next login goes where the config says")


def _path(found: dict[str, object], facts: Facts) -> Attempt:
    open_to_it = found.get("path")
    if not isinstance(open_to_it, list):
        return Attempt("path", AttackOutcome.UNKNOWN, NO_DAEMON)
    if not open_to_it:
        return Attempt(
            "path", AttackOutcome.NOTHING, "another program of this user can write to no directory of PATH before ours"
        )
    first = str(open_to_it[0])
    return Attempt(
        "path", PATH_GETS[facts.mode], f"another program of this user can put an hf-proxy of its own into {first}"
    )


def _child(module: str, *words: str) -> str:
    """What a process of its own printed; nothing where it failed, or did not end."""
    command = [sys.executable, "-I", "-m", module, *words]
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=PROBE_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.decode("utf-8", "replace")
