"""The matrix of drills names tests that are there."""

import re
from pathlib import Path

import drills
import pytest

TESTS = Path(__file__).parents[1]
ROWS = [line for line in (drills.__doc__ or "").splitlines() if line.startswith("|")][2:]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.split("|")[1].strip())
def test_each_row_is_shown_by_tests_that_are_there(row: str) -> None:
    shown = row.split("|")[3]
    named = re.findall(r"`([\w/]+\.py)::(test_\w+)`", shown)
    assert len(named) == shown.count("`") / 2 > 0
    for file, name in named:
        assert re.search(rf"^ *(?:async )?def {name}\(", (TESTS / file).read_text("utf-8"), re.MULTILINE), (file, name)
