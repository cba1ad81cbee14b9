"""The daemon's clock, between two clocks of the machine of which one may be set."""

from dataclasses import dataclass, field

import pytest

from hfproxy.daemon.runtime.clock import _Clock


@dataclass
class Machine:
    """Its wall clock and the one that only goes forward; `stops`: how long it stands still after a look at either."""

    wall: float = 1_000_000.0
    boot: float = 100.0
    stops: list[float] = field(default_factory=list)
    CLOCK_BOOTTIME: int = 7

    def time(self) -> float:
        return self._looked(self.wall)

    def clock_gettime(self, _: int) -> float:
        return self._looked(self.boot)

    def passes(self, seconds: float) -> None:
        self.wall += seconds
        self.boot += seconds

    def _looked(self, seen: float) -> float:
        self.passes(self.stops.pop(0) if self.stops else 0)
        return seen


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    found = Machine()
    monkeypatch.setattr("hfproxy.daemon.runtime.clock.time", found)
    return found


def test_it_is_as_late_as_the_wall_clock_ever_was_and_goes_on_from_there(machine: Machine) -> None:
    clock = _Clock()
    assert clock.now() == 1_000_000
    machine.wall += 86_400
    assert clock.now() == 1_086_400
    machine.wall -= 86_400
    machine.passes(5)
    assert clock.now() == 1_086_405


@pytest.mark.parametrize("stops", [[3600], [0, 3600], [3600, 3600]])
def test_a_machine_that_sleeps_while_it_is_looked_at_is_not_ahead_afterwards(
    machine: Machine, stops: list[float]
) -> None:
    clock = _Clock()
    clock.now()
    machine.stops = stops
    clock.now()
    assert clock.now() == int(machine.wall)
