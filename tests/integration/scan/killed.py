"""Runs hf-proxy and kills it in the middle: right before its Nth call into the operating system.

    python -I killed.py MODULE,MODULE... WHEN NUMBER -- PYTHON -I -m hfproxy WORD...

Counted are calls made from these modules (files, sockets, names), once the function WHEN (`module:name` or `module:class.name`)
was called. The product knows nothing of it: the interpreter's own profiling hook sees each call before it is made. Ends
as the program does if there are fewer.
"""

import functools
import os
import signal
import sys
import threading
from collections.abc import Callable
from importlib import import_module
from types import FrameType
from typing import Any

from hfproxy.__main__ import main as run
from hfproxy.daemon.runtime import hardening


class Killer:
    """Counts, and kills."""

    def __init__(self, modules: set[str], number: int) -> None:
        self._modules, self._number = modules, number
        self._armed, self._count = False, 0

    def armed(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """The same function, with which the counting begins."""

        @functools.wraps(function)
        def called(*words: Any, **named: Any) -> Any:
            self._armed = True
            sys.setprofile(self)
            return function(*words, **named)

        return called

    def __call__(self, frame: FrameType, event: str, call: object) -> None:
        if event == "c_call" and self._armed and frame.f_globals.get("__name__") in self._modules and reaches_out(call):
            self._count += 1
            if self._count == self._number:
                os.kill(os.getpid(), signal.SIGKILL)


def reaches_out(call: object) -> bool:
    """Whether a function of C may change something outside of this process."""
    owner = getattr(call, "__self__", None)
    return type(owner).__module__ in {"_io", "_socket", "socket"} or getattr(owner, "__name__", "") == "posix"


def main() -> int:
    """Returns what the program does."""
    modules, when, number, *_ = sys.argv[1:]
    if hardening.scrubbed_environment(os.environ) != dict(os.environ):  # or the daemon would become another process
        os.execve(sys.executable, [sys.executable, "-I", *sys.argv], hardening.scrubbed_environment(os.environ))
    sys.argv = sys.argv[sys.argv.index("hfproxy") :]
    killer = Killer(set(modules.split(",")), int(number))
    module, _, path = when.partition(":")
    *classes, name = path.split(".")
    owner = functools.reduce(getattr, classes, import_module(module))
    setattr(owner, name, killer.armed(getattr(owner, name)))
    threading.setprofile(killer)  # those that the daemon makes for what blocks
    return run()


if __name__ == "__main__":
    sys.exit(main())
