"""Calls in threads that nobody has to wait for."""

import asyncio
import threading

import pytest

from hfproxy.daemon.runtime.blocking import run_in_daemon_thread


async def test_it_gives_what_the_call_returns_and_raises() -> None:
    assert await run_in_daemon_thread(divmod, 7, 2) == (3, 1)
    with pytest.raises(ZeroDivisionError):
        await run_in_daemon_thread(divmod, 1, 0)


async def test_the_loop_goes_on_meanwhile() -> None:
    goes_on = threading.Event()
    waiting = asyncio.create_task(run_in_daemon_thread(goes_on.wait, 20))
    await asyncio.sleep(0)
    assert not waiting.done()
    goes_on.set()
    assert await waiting


def test_a_call_that_never_returns_does_not_keep_the_loop_from_ending() -> None:
    never, began = threading.Event(), threading.Event()

    def call() -> None:
        began.set()
        never.wait()

    async def start() -> None:
        task = asyncio.create_task(run_in_daemon_thread(call))
        await run_in_daemon_thread(began.wait, 20)
        task.cancel()

    asyncio.run(start())
    assert not never.is_set()
    never.set()


def test_one_that_returns_after_the_end_harms_nobody(capfd: pytest.CaptureFixture[str]) -> None:
    goes_on = threading.Event()
    threads: list[threading.Thread] = []

    def call() -> None:
        threads.append(threading.current_thread())
        goes_on.wait()

    async def start() -> None:
        task = asyncio.create_task(run_in_daemon_thread(call))
        while not threads:
            await asyncio.sleep(0.001)
        task.cancel()

    asyncio.run(start())
    goes_on.set()
    threads[0].join(20)
    assert capfd.readouterr().err == ""
