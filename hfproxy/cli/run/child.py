"""Runs a command as a child and stays out of its way: its terminal, its signals and its end are its own.

The child is in our process group, so what is typed (Ctrl-C, Ctrl-Z) reaches it without us, and we only see to it that
it is not typed at us. What another process sends to us is meant for the child and handed on. Where the child stops we
stop, so that the shell's `fg` and `bg` work as they do.
"""

import os
import signal
from collections.abc import Mapping

# What a terminal or another process may want of a command.
FORWARDED_SIGNALS = frozenset(
    {
        signal.SIGHUP,
        signal.SIGINT,
        signal.SIGQUIT,
        signal.SIGTERM,
        signal.SIGUSR1,
        signal.SIGUSR2,
        signal.SIGTSTP,
    }
)


def run(command: list[str], environment: Mapping[str, str]) -> int:
    """Run it to its end; returns what `waitpid` says of that.

    Raises:
        OSError: it could not be run.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, FORWARDED_SIGNALS | {signal.SIGCHLD})
    try:
        # Python ignores these two, and the command would inherit that.
        spared = (signal.SIGPIPE, signal.SIGXFSZ)
        pid = os.posix_spawnp(command[0], command, environment, setsigmask=before, setsigdef=spared)
        return _wait_and_forward(pid)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def exit_like(status: int) -> int:
    """The exit code of a command; if a signal ended it, we end by that, so that who called us can tell."""
    code = os.waitstatus_to_exitcode(status)
    if code >= 0:
        return code
    # One core file is enough.
    import resource  # noqa: PLC0415  (only here)

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if -code != signal.SIGKILL:  # which nobody may handle
        signal.signal(-code, signal.SIG_DFL)
    os.kill(os.getpid(), -code)
    return 128 - code


def _wait_and_forward(pid: int) -> int:
    while True:
        sent = signal.sigwaitinfo(FORWARDED_SIGNALS | {signal.SIGCHLD})
        if sent.si_signo != signal.SIGCHLD:
            # A positive code is the kernel's: it was typed, and the child has it already (sigaction(2)).
            if sent.si_code <= 0:
                os.kill(pid, sent.si_signo)
            continue
        known, status = os.waitpid(pid, os.WNOHANG | os.WUNTRACED)
        if known and not os.WIFSTOPPED(status):
            return status
        if known:
            os.kill(os.getpid(), signal.SIGSTOP)
            os.kill(pid, signal.SIGCONT)
