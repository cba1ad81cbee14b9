"""The byte meter: what passes is counted, and at the limit nothing more passes."""

from collections.abc import AsyncGenerator
from contextlib import aclosing

import pytest

from hfproxy.core.policy.broker import Broker
from hfproxy.core.policy.caveats import InScopes, MaxBytes
from hfproxy.core.policy.decision import Refusal
from hfproxy.core.policy.grant import Grant, GrantTerms
from hfproxy.core.policy.scope import parse
from hfproxy.daemon.proxy.byte_meter import ByteMeter, OverLimitError

T = 1_800_000_000


def metered(up: int | None = None, down: int | None = None) -> tuple[ByteMeter, Grant]:
    broker = Broker()
    scopes = (parse("read"),)
    terms = GrantTerms("default", scopes, 60, (InScopes(scopes), MaxBytes(up, down)))
    grant, _ = broker.mint(terms, bytes(24), T)
    return ByteMeter(broker, grant), grant


def test_each_way_is_counted_for_the_grant() -> None:
    meter, grant = metered()
    meter.count_up(3)
    meter.count_down(5)
    meter.count_down(1)
    assert (meter.up, meter.down, meter.refused) == (3, 6, None)
    assert (grant.bytes_up, grant.bytes_down) == (3, 6)


def test_each_way_stops_at_its_own_limit() -> None:
    meter, grant = metered(up=3, down=5)
    meter.count_up(3)
    meter.count_down(5)
    for count in (meter.count_up, meter.count_down, meter.check_quota):
        with pytest.raises(OverLimitError) as stopped:
            count(1)
        assert stopped.value.deny.refusal is Refusal.LIMIT
        assert str(stopped.value) == stopped.value.deny.why
        assert meter.refused is stopped.value.deny
    assert (meter.up, meter.down) == (grant.bytes_up, grant.bytes_down) == (3, 5)


def test_a_check_counts_nothing() -> None:
    meter, grant = metered(down=5)
    meter.check_quota(5)
    with pytest.raises(OverLimitError):
        meter.check_quota(6)
    assert (meter.up, meter.down, grant.bytes_down) == (0, 0, 0)
    meter.count_down(5)


def test_a_limit_of_one_way_does_not_stop_the_other() -> None:
    meter, _ = metered(up=0)
    meter.count_down(1000)
    meter.check_quota(1000)
    meter, _ = metered(down=0)
    meter.count_up(1000)


def test_without_a_grant_there_is_no_limit() -> None:
    meter = ByteMeter(Broker(), None)
    meter.count_up(10**12)
    meter.count_down(10**12)
    meter.check_quota(10**12)
    assert (meter.up, meter.down, meter.refused) == (10**12, 10**12, None)


async def test_a_body_is_broken_off_where_the_limit_is() -> None:
    async def body() -> AsyncGenerator[bytes, None]:
        for part in (b"ab", b"c", b"de"):
            yield part

    meter, _ = metered(up=4)
    passed = []
    async with aclosing(body()) as unmetered:
        with pytest.raises(OverLimitError):
            async for part in meter.metered(unmetered):
                passed.append(part)
    assert passed == [b"ab", b"c"]
    assert meter.up == 3
    assert [part async for part in metered(up=5)[0].metered(body())] == [b"ab", b"c", b"de"]
