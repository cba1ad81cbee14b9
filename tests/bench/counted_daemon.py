"""The daemon with counters around named functions: `counted_daemon.py FILE`. SIGUSR1 sets them to zero, SIGUSR2 writes FILE.

Only the processor's time of the thread is counted, so nothing that is waited for, be it an answer or a processor; of a
coroutine, each stretch between two waits. What a counted function calls and is counted itself is taken off. What the
counters cost is measured with empty functions and taken off as well.
"""

import functools
import inspect
import json
import signal
import sys
import threading
import time
import types
from collections import Counter
from collections.abc import Callable, Coroutine, Generator
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any

# What belongs to which step: module:function, coroutines too. A name that is none, or that nothing calls, is an error.
STEPS = {
    "parse": ("hfproxy.daemon.listen.fast_http:HeaderBlockCache.parse",),
    "classify": ("hfproxy.core.hub.classify:classify",),
    "authorize": ("hfproxy.daemon.proxy.handler:ProxyHandler.handle",),
    "journal": (
        "hfproxy.daemon.proxy.recorder:RequestRecorder.decided",
        "hfproxy.daemon.proxy.recorder:RequestRecorder.completed",
        "hfproxy.daemon.journal.writer:JournalWriter._chain_pending",
        "hfproxy.daemon.journal.writer:JournalWriter._write",  # in its thread
    ),
    "upstream": (
        "hfproxy.daemon.proxy.forward:Forwarder.forward",
        "hfproxy.daemon.upstream.connection:UpstreamConnection.data_received",
    ),
    "rewrite": ("hfproxy.daemon.proxy.relay:ResponseRelay.relay",),
}
# Called once for each request.
REQUEST = STEPS["classify"][0]
TRIES = 100_000
clock = time.thread_time_ns


class Counters:
    """By name: nanoseconds in it alone, its calls by kind, and the calls of counted others that it made, by kind."""

    def __init__(self) -> None:
        self.own: Counter[str] = Counter()
        self.calls: Counter[tuple[str, str]] = Counter()
        self.inner: Counter[tuple[str, str]] = Counter()
        self.since = time.process_time_ns()
        self._here = threading.local()

    def reset(self) -> None:
        for counter in (self.own, self.calls, self.inner):
            counter.clear()
        self.since = time.process_time_ns()

    def run(self, name: str, kind: str, function: Callable[..., Any], *given: Any, **named: Any) -> Any:
        """Call it and count it."""
        try:
            stack = self._here.stack
        except AttributeError:
            stack = self._here.stack = []
        frame: list[Any] = [name, 0]
        stack.append(frame)
        start = clock()
        try:
            return function(*given, **named)
        finally:
            taken = clock() - start
            stack.pop()
            self.own[name] += taken - frame[1]
            self.calls[name, kind] += 1
            if stack:
                stack[-1][1] += taken
                self.inner[stack[-1][0], kind] += 1

    def around(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """The same function, counted."""
        if not inspect.iscoroutinefunction(function):
            return functools.wraps(function)(lambda *given, **named: self.run(name, "call", function, *given, **named))

        @functools.wraps(function)
        async def counted(*given: Any, **named: Any) -> Any:
            return await self._stretches(name, function(*given, **named))

        return counted

    @types.coroutine
    def _stretches(self, name: str, work: Coroutine[Any, Any, Any]) -> Generator[Any, Any, Any]:
        """Drive a coroutine; its first stretch costs more to count than the others, which are like calls."""
        kind, go, given = "coroutine", work.send, None
        while True:
            try:
                wanted = self.run(name, kind, go, given)
            except StopIteration as end:
                return end.value
            kind = "call"
            try:
                go, given = work.send, (yield wanted)
            except BaseException as thrown:
                go, given = work.throw, thrown


def nothing() -> None:
    """Costs what counting costs."""


async def nothing_later() -> None:
    """The same, as a coroutine."""


def costs() -> dict[str, tuple[float, float]]:
    """What counting adds, for each kind, in ns: to what is counted, and to who calls it."""
    counters = Counters()
    call, later = counters.around("call", nothing), counters.around("coroutine", nothing_later)

    async def bare() -> None:
        for _ in range(TRIES):
            pass

    async def calls() -> None:
        for _ in range(TRIES):
            call()

    async def coroutines() -> None:
        for _ in range(TRIES):
            await later()

    for loop in (bare, calls, coroutines):
        with suppress(StopIteration):
            counters.around(loop.__name__, loop)().send(None)
    own = {name: ns / TRIES for name, ns in counters.own.items()}
    return {kind: (own[kind], own[f"{kind}s"] - own["bare"]) for kind in ("call", "coroutine")}


def find(name: str) -> tuple[Any, str, Callable[..., Any]]:
    """Where a function is, what it is called there, and itself."""
    module, _, path = name.partition(":")
    *owners, last = path.split(".")
    try:
        owner = functools.reduce(getattr, owners, import_module(module))
        function = vars(owner)[last]
    except (ImportError, AttributeError, KeyError):
        sys.exit(f"there is no {name}; put what does its work now into STEPS in {__file__}")
    if (
        not inspect.isfunction(function)
        or inspect.isasyncgenfunction(function)
        or inspect.isgeneratorfunction(function)
    ):
        sys.exit(f"{name} is no function or coroutine, and cannot be counted; see STEPS in {__file__}")
    return owner, last, function


def told(counters: Counters, cost: dict[str, tuple[float, float]]) -> dict[str, Any]:
    """The requests, the microseconds of each step, and of the rest of the process; and what was never called."""
    used = time.process_time_ns() - counters.since
    own, calls, inner = counters.own.copy(), counters.calls.copy(), counters.inner.copy()
    for (name, kind), times in calls.items():
        own[name] -= times * cost[kind][0]
    for (name, kind), times in inner.items():
        own[name] -= times * cost[kind][1]
    counting = sum(times * sum(cost[kind]) for (_, kind), times in calls.items())
    steps = {step: sum(own[name] for name in names) / 1000 for step, names in STEPS.items()}
    return {
        "requests": sum(times for (name, _), times in calls.items() if name == REQUEST),
        "steps": {**steps, "rest": (used - counting) / 1000 - sum(steps.values())},
        "counting": counting / 1000,
        "never": [name for names in STEPS.values() for name in names if name not in {called for called, _ in calls}],
    }


def main(file: Path) -> None:
    """Run the daemon."""
    counters, cost = Counters(), costs()
    for names in STEPS.values():
        for name in names:
            owner, last, function = find(name)
            setattr(owner, last, counters.around(name, function))
    from hfproxy.daemon import main as daemon  # noqa: PLC0415

    def tell(*_: object) -> None:
        file.with_suffix(".new").write_text(json.dumps(told(counters, cost)))
        file.with_suffix(".new").rename(file)

    signal.signal(signal.SIGUSR1, lambda *_: counters.reset())
    signal.signal(signal.SIGUSR2, tell)
    daemon.hardening.restart_isolated = lambda _: None  # it would come back without counters
    daemon.run(None, "warning")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
