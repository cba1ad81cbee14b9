"""How `make bench` counts what a request costs, step by step: with a clock that only work moves on."""

import asyncio

import pytest
from bench import bench_steps, counted_daemon, figures
from bench.counted_daemon import STEPS, Counters, find, told

FREE = {"call": (0.0, 0.0), "coroutine": (0.0, 0.0)}


class Work:
    """A clock, and work that takes so many nanoseconds of it."""

    def __init__(self) -> None:
        self.now = 0

    def __call__(self, ns: int) -> None:
        self.now += ns


@pytest.fixture
def work(monkeypatch: pytest.MonkeyPatch) -> Work:
    clock = Work()
    monkeypatch.setattr(counted_daemon, "clock", lambda: clock.now)
    return clock


def test_what_is_counted_within_is_taken_off(work: Work) -> None:
    counters = Counters()
    inner = counters.around("inner", lambda: work(7))

    def outer() -> None:
        work(1)
        inner()
        inner()

    counters.around("outer", outer)()
    assert counters.own == {"outer": 1, "inner": 14}
    assert counters.inner == {("outer", "call"): 2}


async def test_what_is_waited_for_is_not_counted(work: Work) -> None:
    counters = Counters()

    async def waits() -> str:
        work(1)
        await asyncio.sleep(0)
        work(2)
        return "done"

    async def others() -> None:
        work(100)

    counted = counters.around("waits", waits)
    assert (await asyncio.gather(counted(), others()))[0] == "done"
    assert counters.own == {"waits": 3}
    assert counters.calls == {("waits", "coroutine"): 1, ("waits", "call"): 1}


async def test_a_coroutine_that_is_broken_off_is_told_so(work: Work) -> None:
    counters, told_so = Counters(), asyncio.Event()

    async def waits() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            work(5)
            told_so.set()
            raise

    task = asyncio.create_task(counters.around("waits", waits)())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert told_so.is_set()
    assert counters.own == {"waits": 5}


def test_an_error_is_counted_and_comes_through(work: Work) -> None:
    counters = Counters()

    def fails() -> None:
        work(3)
        raise KeyError("x")

    with pytest.raises(KeyError, match="x"):
        counters.around("fails", fails)()
    assert counters.own == {"fails": 3}


def test_what_counting_costs_is_taken_off_where_it_arose(work: Work) -> None:
    counters = Counters()
    classify, journal = STEPS["classify"][0], STEPS["journal"][0]
    inner = counters.around(classify, lambda: work(10_000))

    def outer() -> None:
        work(20_000)
        inner()

    counters.around(journal, outer)()
    said = told(counters, {"call": (1000.0, 3000.0)})
    assert said["requests"] == 1
    assert said["steps"]["classify"] == 9
    assert said["steps"]["journal"] == 20 - 1 - 3
    assert said["counting"] == 8


def test_what_nothing_calls_is_named(work: Work) -> None:
    counters = Counters()
    counters.around(STEPS["classify"][0], lambda: None)()
    others = [name for step, names in STEPS.items() if step != "classify" for name in names]
    assert told(counters, FREE)["never"] == others


@pytest.mark.parametrize("name", [name for names in STEPS.values() for name in names])
def test_what_is_counted_is_there(name: str) -> None:
    assert callable(find(name)[2])


@pytest.mark.parametrize(
    "name",
    ["hfproxy.core.hub.classify:none", "hfproxy.none:x", "hfproxy.daemon.proxy.handler:None_.serve", "json:dumps.x"],
)
def test_a_name_that_is_none_ends_it_and_says_where_names_are(name: str) -> None:
    with pytest.raises(SystemExit, match=f"there is no {name}; .*STEPS in"):
        find(name)


def test_the_page_has_every_step() -> None:
    _, _, *lines = figures.between(figures.PAGE.read_text("utf-8"), "steps").splitlines()
    assert [line.split(" | ")[0].removeprefix("| ") for line in lines] == [*STEPS, "rest", "all"]
    assert [*bench_steps.MEANING] == [*STEPS, "rest"]
