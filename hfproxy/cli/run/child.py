"""Runs a command as a child process, transparently: terminal, signals and exit status behave as without the parent.

The child is in the parent's process group, so signals from the terminal (Ctrl-C, Ctrl-Z) reach it directly, and the
parent blocks them for itself. Signals from other processes are forwarded to the child. When the child stops, the parent
stops as well, so that the shell's `fg` and `bg` work.
"""

import os
import signal
from collections.abc import Mapping

# Signals that a terminal or another process sends to a command.
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
    """Run a command until it ends, and return its wait status (waitpid(2)).

    Raises:
        OSError: the command could not be started.
    """
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, FORWARDED_SIGNALS | {signal.SIGCHLD})
    try:
        # Python ignores these two, and the command would inherit that.
        ignored = (signal.SIGPIPE, signal.SIGXFSZ)
        pid = os.posix_spawnp(command[0], command, environment, setsigmask=mask, setsigdef=ignored)
        return _wait_and_forward(pid)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def exit_like(status: int) -> int:
    """Return the exit code of a wait status; if a signal ended the command, end this process by that signal.

    The caller can then tell that a signal ended the command.
    """
    code = os.waitstatus_to_exitcode(status)
    if code >= 0:
        return code
    # The command has dumped its core already, if it could.
    import resource  # noqa: PLC0415  (only here)

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if -code != signal.SIGKILL:  # which cannot have a handler
        signal.signal(-code, signal.SIG_DFL)
    os.kill(os.getpid(), -code)
    return 128 - code


def _wait_and_forward(pid: int) -> int:
    while True:
        sent = signal.sigwaitinfo(FORWARDED_SIGNALS | {signal.SIGCHLD})
        if sent.si_signo != signal.SIGCHLD:
            # A positive si_code means the kernel, so the terminal, which has signalled the child too (sigaction(2)).
            if sent.si_code <= 0:
                os.kill(pid, sent.si_signo)
            continue
        waited_pid, status = os.waitpid(pid, os.WNOHANG | os.WUNTRACED)
        if waited_pid and not os.WIFSTOPPED(status):
            return status
        if waited_pid:
            os.kill(os.getpid(), signal.SIGSTOP)
            os.kill(pid, signal.SIGCONT)
