"""Blocking calls in daemon threads.

`asyncio.to_thread` runs a call in the loop's default executor. The interpreter joins its threads at exit: one keyring
that does not answer would keep the process alive. A daemon thread is abandoned at exit (threading, "Thread Objects").
"""

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import ParamSpec, TypeVar

T = TypeVar("T")
P = ParamSpec("P")


async def run_in_daemon_thread(call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run a call in a daemon thread of its own; returns its result, or raises its exception.

    A caller that is cancelled stops waiting. The call goes on, and its result is dropped.
    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()

    def resolve(result: T | None, error: BaseException | None) -> None:
        if done.cancelled():  # its caller was
            return
        if error is None:
            done.set_result(result)  # type: ignore[arg-type]
        else:
            done.set_exception(error)

    def run() -> None:
        result, error = None, None
        try:
            result = call(*args, **kwargs)
        except BaseException as raised:  # noqa: BLE001  (it is raised again, in the caller)
            error = raised
        with suppress(RuntimeError):  # the loop is closed: the daemon is about to exit
            loop.call_soon_threadsafe(resolve, result, error)

    threading.Thread(target=run, name=call.__name__, daemon=True).start()
    return await done
