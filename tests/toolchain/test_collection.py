"""What `conftest.py` sees to while tests are collected: no token in a name, and a skip that workers met is loud as well."""

import re
from pathlib import Path

import pytest

from toolchain.test_not_run import NOT_RUN, PASSES, run

TOKEN = "hf_" + "QwErTyUiOp" * 3 + "AsDf"
PARAMETRIZED = "import pytest\n\n@pytest.mark.parametrize('text', [{parameter}])\ndef test_x(text):\n    pass\n"


@pytest.mark.parametrize("parameter", [f"'x={TOKEN}'", f"b'x={TOKEN}'"], ids=["text", "bytes"])
def test_a_token_among_the_parameters_is_not_in_the_name(tmp_path: Path, parameter: str) -> None:
    code, printed = run(tmp_path, "true", "--verbose", names=PARAMETRIZED.format(parameter=parameter))
    assert code == 0
    assert "test_x[x=hf_TOKEN]" in printed


def test_a_token_in_an_id_is_refused(tmp_path: Path) -> None:
    code, printed = run(tmp_path, "", names=PARAMETRIZED.format(parameter=f"pytest.param(1, id='{TOKEN}')"))
    assert code == pytest.ExitCode.USAGE_ERROR
    assert "0 tests" not in printed


@pytest.mark.parametrize("kind", NOT_RUN)
def test_what_did_not_run_in_a_worker_fails_in_ci(tmp_path: Path, kind: str) -> None:
    code, printed = run(tmp_path, "true", "-n", "1", runs=PASSES, other=NOT_RUN[kind])
    assert code == 1
    _, section = printed.split("NOT RUN, AND IN CI THAT IS A FAILURE")
    assert "no bus here" in section


def test_a_group_runs_in_one_worker_and_the_rest_in_any(tmp_path: Path) -> None:
    for folder in ("drills", "unit"):
        (tmp_path / folder).mkdir()
        source = "import pytest\n\n@pytest.mark.parametrize('number', range(6))\ndef test_x(number):\n    pass\n"
        (tmp_path / folder / f"test_{folder}.py").write_text(source)
    code, printed = run(tmp_path, "", "-n", "2", "--dist", "loadgroup", "--verbose")
    assert code == 0
    ran = re.findall(r"\[(gw\d)\] .* PASSED (\w+)/", printed)
    assert len(ran) == 12
    assert len({worker for worker, folder in ran if folder == "drills"}) == 1
