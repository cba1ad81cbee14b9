"""The table of attacks by other programs of the same user: what each came to, here and now.

The attempts are made by processes of their own (`attempts`, `hfproxy.vault.probe`). Two are not carried through, since
that would be felt: nothing is put into the config or on PATH, it is only tried whether it could be. What follows from
there is shown by the tests.
"""

import json
import os
import subprocess
import sys

from hfproxy.cli.doctor.facts import Facts
from hfproxy.cli.doctor.report import Attempt, Finding, Got, Mode, Severity

PROBE_SECONDS = 20
OPEN = "open"
NOT_HERE = "not measured here: hf-proxy was never run on this system by us"
NO_DAEMON = "there is no daemon to try it on"
KEPT = {
    "readable": (Got.TOKEN, "another program of this user reads the tokens"),
    "ciphertext": (Got.CIPHERTEXT, "another program of this user reads ciphertext"),
    "kept": (Got.TOKEN, "another program of this user reads ciphertext, and in the kernel the key to it"),
    "locked": (Got.NOTHING, "the keyring is locked at the moment, so another program of this user reads nothing"),
    "denied": (Got.NOTHING, "another program of this user may not open it"),
    "absent": (Got.NOTHING, "another program of this user finds nothing"),
    "unknown": (Got.UNKNOWN, "no keyring answers that could be asked without a prompt"),
}
OF_PROCESS = {
    "environ": "read the daemon's environment",
    "mem": "read the daemon's memory",
    "ptrace": "attach to the daemon",
    "core": "make the daemon leave a core file",
}
PATH_GETS = {Mode.USER: Got.TOKEN, Mode.SEALED: Got.PASSPHRASE, Mode.DEDICATED: Got.LOGIN}


def try_everything(facts: Facts) -> list[Attempt]:
    """Each attack, in the order of the README's table."""
    if sys.platform != "linux":
        attacks = ("keyring", *OF_PROCESS, "socket", "config", "path")
        return [Attempt(attack, Got.UNKNOWN, NOT_HERE) for attack in attacks]
    found = _attempts(facts)
    of_process = [_of_process(found, attack, what) for attack, what in OF_PROCESS.items()]
    return [_kept(facts), *of_process, _socket(found), _config(found, facts), _path(found, facts)]


def findings(attempts: list[Attempt], mode: Mode) -> list[Finding]:
    """What of that deserves a word."""
    kept, *_ = attempts
    worth = Severity.WARNING if kept.got is Got.TOKEN else Severity.INFO if kept.got is Got.UNKNOWN else Severity.OK
    fix = "" if kept.got is not Got.TOKEN else "hf-proxy vault seal" if mode is Mode.USER else "hf-proxy lock"
    of_process = [attempt for attempt in attempts if attempt.attack in OF_PROCESS]
    reached = [attempt for attempt in of_process if attempt.got is Got.TOKEN]
    if reached:
        process = Finding("process", Severity.PROBLEM, "; ".join(one.measured for one in reached), "hf-proxy daemon")
    elif all(attempt.got is Got.NOTHING for attempt in of_process):
        measured = f"another program of this user can neither {', '.join(OF_PROCESS.values())}"
        process = Finding("process", Severity.OK, measured)
    else:
        process = Finding("process", Severity.INFO, of_process[0].measured)
    return [Finding("token-readable", worth, kept.measured, fix), process]


def _kept(facts: Facts) -> Attempt:
    sealed_file = facts.mode is Mode.DEDICATED or facts.vault == "sealed-file"
    if facts.vault == "memory":
        return Attempt("keyring", Got.NOTHING, "the tokens are in the daemon's memory only, and gone with it")
    kind = "sealed-file" if sealed_file else "keyring"
    words = _child("hfproxy.vault.probe", kind, facts.state_dir)
    got, measured = KEPT.get(words.strip(), KEPT["unknown"])
    return Attempt("keyring", got, f"{facts.vault}: {measured}")


def _attempts(facts: Facts) -> dict[str, object]:
    """What the other process found; nothing of the daemon where there is none."""
    words = (str(facts.pid or 0), facts.config_dir, *before_us(facts))
    try:
        found = json.loads(_child("hfproxy.cli.doctor.attempts", *words))
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def before_us(facts: Facts) -> list[str]:
    """The directories of PATH up to the one with our program in it, all of them where it is in none."""
    directories = [one for one in facts.environ.get("PATH", "").split(os.pathsep) if os.path.isabs(one)]
    for number, directory in enumerate(directories):
        if os.path.isfile(os.path.join(directory, "hf-proxy")):
            return directories[: number + 1]
    return directories


def _of_process(found: dict[str, object], attack: str, what: str) -> Attempt:
    said = {found.get(attack), found.get("vm_read")} if attack == "mem" else {found.get(attack)}
    if None in said:
        return Attempt(attack, Got.UNKNOWN, NO_DAEMON)
    if OPEN in said:
        return Attempt(attack, Got.TOKEN, f"another program of this user can {what}")
    why = ", ".join(sorted(map(str, said)))
    return Attempt(attack, Got.NOTHING, f"another program of this user cannot {what} ({why})")


def _socket(found: dict[str, object]) -> Attempt:
    said = found.get("socket")
    if said is None:
        return Attempt("socket", Got.UNKNOWN, NO_DAEMON)
    if said != OPEN:
        return Attempt("socket", Got.NOTHING, f"another program of this user is not served ({said})")
    return Attempt("socket", Got.CREDENTIAL, "another program of this user is served: it gets credentials as you do")


def _config(found: dict[str, object], facts: Facts) -> Attempt:
    said, where = found.get("config"), facts.config_dir
    if said is None:
        return Attempt("config", Got.UNKNOWN, NO_DAEMON)
    if said != OPEN:
        return Attempt("config", Got.NOTHING, f"another program of this user cannot write to {where} ({said})")
    measured = f"another program of this user can write to {where}; tokens go where they were logged in for, as before"
    return Attempt("config", Got.LOGIN, f"{measured}, but the next login goes where the config says")


def _path(found: dict[str, object], facts: Facts) -> Attempt:
    open_to_it = found.get("path")
    if not isinstance(open_to_it, list):
        return Attempt("path", Got.UNKNOWN, NO_DAEMON)
    if not open_to_it:
        return Attempt(
            "path", Got.NOTHING, "another program of this user can write to no directory of PATH before ours"
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
