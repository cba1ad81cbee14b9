"""A driven coroutine does what it would do in a task, only sooner."""

import asyncio
from collections.abc import Callable, Coroutine
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import law

from hfproxy.daemon.runtime.eager import DirectFuture, EagerCoroutine, needs_task

# What a coroutine waits for, one after the other: something of ours that is there at once, comes, or fails; a turn of
# the loop; a future of asyncio's.
WAITS = st.lists(st.sampled_from(["there", "comes", "fails", "turn", "future"]), max_size=6)


async def apart(do: Callable[[], object]) -> None:
    """Call it as the event loop calls a protocol: in no task."""
    done = asyncio.get_running_loop().create_future()

    def call() -> None:
        try:
            do()
        except LookupError as error:
            done.set_exception(error)
        else:
            done.set_result(None)

    asyncio.get_running_loop().call_soon(call)
    await done


class World:
    """Runs a coroutine that notes all that happens to it."""

    def __init__(self, waits: list[str], *, stubborn: bool) -> None:
        self.waits, self.stubborn = waits, stubborn
        self.seen: list[str] = []
        self.open: list[DirectFuture[str] | asyncio.Future[str]] = []
        self.ended = asyncio.Event()

    async def work(self) -> None:
        try:
            for wait in self.waits:
                try:
                    self.seen.append(f"{wait}: {await self.wait_for(wait)}")
                except LookupError as error:
                    self.seen.append(f"{wait}: {error!r}")
        except asyncio.CancelledError:
            self.seen.append("cancelled")
            if self.stubborn:  # cleaning up takes a while
                await asyncio.sleep(0)
                self.seen.append("cleaned")
            raise
        finally:
            self.ended.set()

    async def wait_for(self, wait: str) -> str:
        match wait:
            case "turn":
                await asyncio.sleep(0)
                return "over"
            case "future":
                there = asyncio.get_running_loop().create_future()
                self.open.append(there)
                return await there
            case _:
                found = DirectFuture[str]()
                if wait == "there":
                    found.set_result("was there")
                else:
                    self.open.append(found)
                return await found

    async def drive(self, cancel: Callable[[], object], cancel_at: int) -> list[str]:
        """Settle what it waits for, or cancel it at that point; returns what it saw."""
        settled = 0
        for _ in range(10 * len(self.waits) + 10):
            await asyncio.sleep(0)
            if self.ended.is_set():
                break
            if self.open:
                if settled == cancel_at:
                    await apart(cancel)
                    break
                settled += 1
                await apart(partial(self.settle, self.open.pop()))
        await asyncio.wait_for(self.ended.wait(), 5)
        return self.seen

    def settle(self, waiting: "DirectFuture[str] | asyncio.Future[str]") -> None:
        fails = isinstance(waiting, DirectFuture) and self.waits[len(self.seen)] == "fails"
        match waiting:
            case DirectFuture() if fails:
                waiting.set_exception(LookupError("gone"))
            case DirectFuture():
                waiting.set_result("came")
            case _:
                waiting.set_result("done")


@law()
@given(waits=WAITS, cancel_at=st.integers(0, 6), stubborn=st.booleans())
def test_it_sees_and_does_what_it_would_in_a_task(waits: list[str], cancel_at: int, *, stubborn: bool) -> None:
    async def driven() -> list[str]:
        world = World(waits, stubborn=stubborn)
        work = EagerCoroutine(world.work())
        await apart(work.resume)
        seen = await world.drive(work.cancel, cancel_at)
        await work.join(5)
        assert work.done
        return seen

    async def in_a_task() -> list[str]:
        world = World(waits, stubborn=stubborn)
        task = asyncio.create_task(world.work())
        seen = await world.drive(task.cancel, cancel_at)
        await asyncio.wait([task])
        return seen

    assert asyncio.run(driven()) == asyncio.run(in_a_task())


async def test_what_it_waits_for_goes_on_with_it_at_once() -> None:
    seen, awaited = [], DirectFuture[str]()

    async def work() -> None:
        seen.append(await awaited)

    driven = EagerCoroutine(work())
    await apart(driven.resume)
    assert (seen, driven.done) == ([], False)
    await apart(lambda: awaited.set_result("there"))
    assert (seen, driven.done) == (["there"], True)
    await apart(driven.cancel)  # which changes nothing any more


async def test_what_came_after_it_was_cancelled_is_nobody_s() -> None:
    seen, awaited = [], DirectFuture[str]()

    async def work() -> None:
        seen.append(await awaited)

    driven = EagerCoroutine(work())
    await apart(driven.resume)
    await apart(driven.cancel)
    await apart(lambda: awaited.set_result("there"))
    await apart(lambda: awaited.set_exception(LookupError()))
    assert (seen, driven.done) == ([], True)


async def test_who_waits_for_its_end_waits_no_longer_than_they_say() -> None:
    driven = EagerCoroutine(asyncio.sleep(60))
    await apart(driven.resume)
    await driven.join(0.01)
    assert not driven.done
    await apart(driven.cancel)
    await driven.join(5)
    assert driven.done


async def test_what_goes_wrong_in_it_is_raised_where_it_happens() -> None:
    async def work() -> None:
        raise LookupError

    driven = EagerCoroutine(work())
    with pytest.raises(LookupError):
        await apart(driven.resume)
    assert driven.done


async def test_what_is_cancelled_before_its_task_has_begun_is_told() -> None:
    seen: list[str] = []

    async def work() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            seen.append("cleaned")

    driven = EagerCoroutine(work())

    def begin_and_cancel() -> None:
        driven.resume()
        driven.cancel()

    await apart(begin_and_cancel)
    await driven.join(5)
    assert (seen, driven.done) == (["cleaned"], True)


class TestNeedsTask:
    """`asyncio.timeout` raises RuntimeError where there is no current task."""

    async def test_a_function_that_needs_a_task_has_one_in_a_coroutine_without(self) -> None:
        seen: list[object] = []

        async def times_out() -> None:
            async with asyncio.timeout(0.01):
                await asyncio.sleep(60)

        async def work(name: str, function: Callable[[], Coroutine[object, object, None]]) -> None:
            try:
                await function()
            except (RuntimeError, TimeoutError) as error:
                seen.append((name, type(error)))

        for name, function in (("bare", times_out), ("wrapped", needs_task(times_out))):
            eager = EagerCoroutine(work(name, function))
            await apart(eager.resume)
            await eager.join(10)
        assert seen == [("bare", RuntimeError), ("wrapped", TimeoutError)]

    async def test_arguments_and_result_pass_through(self) -> None:
        @needs_task
        async def add(left: int, *, right: int) -> int:
            """Add."""
            return left + right

        assert await add(1, right=2) == 3
        assert (add.__name__, add.__doc__) == ("add", "Add.")
