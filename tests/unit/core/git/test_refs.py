"""Ref names: what git-check-ref-format(1) refuses, and the ref that no push may name."""

import pytest

from hfproxy.core.git.refs import is_ref_name
from hfproxy.core.policy.access import NEW_PULL_REQUEST


@pytest.mark.parametrize(
    "text", ["main", "refs/heads/main", "v1.0", "refs/pr/12", "a-b_c/d", "0123456789abcdef", "é", "a@b"]
)
def test_names_of_refs_and_commits(text: str) -> None:
    assert is_ref_name(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a b",
        "a\tb",
        "a\nb",
        "main~3",
        "main^",
        "a:b",
        "a?",
        "a*",
        "a[b",
        "a\\b",
        "a..b",
        "main@{1}",
        NEW_PULL_REQUEST,
    ],
)
def test_a_revision_expression_or_a_pattern_is_no_ref_name(text: str) -> None:
    assert not is_ref_name(text)
