"""The README names what is there."""

import re
from pathlib import Path

import pytest

from hfproxy.cli.commands import COMMANDS

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text("utf-8")
TESTS = sorted(set(re.findall(r"`((?:[\w-]+/)*test_\w+\.py)", README)))
ROOMS = sorted(set(re.findall(r"`((?:core|daemon|cli|vault)/(?!test_)\w+\.py)`", README)))


@pytest.mark.parametrize("name", TESTS)
def test_a_test_that_shows_something_is_there(name: str) -> None:
    assert (ROOT / "tests" / name.removeprefix("tests/")).is_file()


@pytest.mark.parametrize("name", ROOMS)
def test_a_room_where_something_is_stopped_is_there(name: str) -> None:
    assert (ROOT / "hfproxy" / name).is_file()


def test_every_command_that_is_shown_is_one() -> None:
    shown = set(re.findall(r"^ {4}(?:\$ )?hf-proxy ([a-z-]+)", README, re.MULTILINE))
    assert len(shown) > 8
    assert shown <= COMMANDS.keys()
