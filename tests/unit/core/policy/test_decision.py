"""Decisions: the closed list of refusals, and when a denied request may be retried."""

import pytest

from hfproxy.core.policy.decision import Deny, Objection, Refusal, join_reasons


def test_the_refusal_words_are_a_closed_list() -> None:
    """Clients, the journal and the metrics know these words."""
    assert [str(refusal) for refusal in Refusal] == (
        "host origin peer no_credential unknown_credential expired revoked holder scope strict minting unknown_route"
        " bad_target bad_body limit journal locked account upstream"
    ).split()


@pytest.mark.parametrize(
    ("waits", "retry_after_s"),
    [([], None), ([None], None), ([60], 60), ([60, 5], 60), ([5, 60], 60), ([60, None], None), ([None, 60], None)],
)
def test_a_retry_waits_for_the_last_objection_and_for_none_that_stays(
    waits: list[int | None], retry_after_s: int | None
) -> None:
    objections = tuple(Objection(Refusal.LIMIT, "why", wait) for wait in waits)
    assert Deny(Refusal.LIMIT, "why", objections).retry_after_s == retry_after_s


def test_a_reason_is_given_once_and_in_order() -> None:
    assert join_reasons(["b", "a", "b", "c", "a"]) == "b; a; c"
