"""Calls that may block, each in a thread of its own that nobody has to wait for.

asyncio's own threads are waited for when the daemon ends: one keyring that does not answer would keep it alive.
"""

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import ParamSpec, TypeVar

T = TypeVar("T")
P = ParamSpec("P")


async def run_in_daemon_thread(call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """What the call returns or raises. Whoever is cancelled while waiting leaves it to itself."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()

    def resolve(result: T | None, error: BaseException | None) -> None:
        if done.cancelled():
            return
        if error is None:
            done.set_result(result)  # type: ignore[arg-type]
        else:
            done.set_exception(error)

    def run() -> None:
        result, error = None, None
        try:
            result = call(*args, **kwargs)
        except BaseException as raised:  # noqa: BLE001  (it is raised again, where it is waited for)
            error = raised
        with suppress(RuntimeError):  # the daemon has ended
            loop.call_soon_threadsafe(resolve, result, error)

    threading.Thread(target=run, name=call.__name__, daemon=True).start()
    return await done
