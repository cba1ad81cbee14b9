"""From objections to one decision, and the command in its words."""

import pytest

from hfproxy.core.policy.access import Access, Action, Need, RepoType, Target
from hfproxy.core.policy.caveats import MINUTE_S
from hfproxy.core.policy.decision import decide
from hfproxy.core.policy.decision import Allow, AllowAnonymous, Deny, Objection, Refusal

MODEL = Target(RepoType.MODELS, "me", "a")
READ = Access((Need(Action.READ, MODEL),))
WRITE = Access((Need(Action.WRITE, MODEL), Need(Action.WRITE, MODEL, any_ref=True)))
ALLOW_READ = "; allow it with: hf-proxy exec --scope read:models/me/a -- CMD"
ALLOW_WRITE = "; allow it with: hf-proxy exec --scope write:models/me/a -- CMD"
RUN_AGAIN = "; run the command again under: hf-proxy exec"
RETRY = "; wait a minute, or ask for more: hf-proxy exec --max-rate N"


def no(refusal: Refusal, why: str | None = None, retry_after_s: int | None = None) -> Objection:
    return Objection(refusal, why or f"no by {refusal}", retry_after_s)


def test_no_objection_is_a_yes() -> None:
    assert decide(WRITE, ()) == Allow()


def test_a_read_outside_of_the_scopes_goes_without_the_token() -> None:
    objections = (no(Refusal.SCOPE), no(Refusal.SCOPE, "also this"))
    why = f"no by scope; also this, so hf-proxy asked without your token{ALLOW_READ}"
    assert decide(READ, objections) == AllowAnonymous(objections, why)


def test_a_write_outside_of_the_scopes_is_denied() -> None:
    objections = (no(Refusal.SCOPE),)
    assert decide(WRITE, objections) == Deny(Refusal.SCOPE, f"no by scope{ALLOW_WRITE}", objections)


@pytest.mark.parametrize("refusal", [refusal for refusal in Refusal if refusal is not Refusal.SCOPE])
@pytest.mark.parametrize("access", [READ, WRITE], ids=["read", "write"])
def test_any_other_objection_is_a_no_and_comes_before_the_scope(refusal: Refusal, access: Access) -> None:
    decision = decide(access, (no(Refusal.SCOPE), no(refusal)))
    assert isinstance(decision, Deny)
    assert decision.refusal is refusal
    assert decision.why.startswith(f"no by scope; no by {refusal}; ")


@pytest.mark.parametrize("reverse", [False, True])
def test_a_limit_comes_before_strict_since_no_scope_helps_against_it(*, reverse: bool) -> None:
    objections = (no(Refusal.STRICT), no(Refusal.EXPIRED))
    decision = decide(READ, objections[::-1] if reverse else objections)
    assert isinstance(decision, Deny)
    assert decision.refusal is Refusal.EXPIRED
    assert decision.why.endswith(RUN_AGAIN)


def test_of_several_that_no_scope_helps_against_the_first_is_named() -> None:
    for refusals in ((Refusal.LIMIT, Refusal.EXPIRED), (Refusal.EXPIRED, Refusal.LIMIT)):
        decision = decide(READ, (no(Refusal.STRICT), *map(no, refusals)))
        assert isinstance(decision, Deny)
        assert decision.refusal is refusals[0]


@pytest.mark.parametrize(
    ("objections", "advice"),
    [
        ((no(Refusal.STRICT),), ALLOW_READ),
        ((no(Refusal.EXPIRED),), RUN_AGAIN),
        ((no(Refusal.LIMIT),), RUN_AGAIN),
        ((no(Refusal.LIMIT, retry_after_s=MINUTE_S),), RETRY),
        ((no(Refusal.LIMIT, retry_after_s=MINUTE_S), no(Refusal.EXPIRED)), RUN_AGAIN),
    ],
)
def test_the_reason_ends_with_the_command_that_would_help(objections: tuple[Objection, ...], advice: str) -> None:
    decision = decide(READ, objections)
    assert isinstance(decision, Deny)
    assert decision.why == "; ".join(dict.fromkeys(objection.why for objection in objections)) + advice


@pytest.mark.parametrize("access", [READ, WRITE], ids=["read", "write"])
def test_inside_of_a_bound_command_the_advice_is_to_leave_it(access: Access) -> None:
    decision = decide(access, (no(Refusal.SCOPE),), bound=True)
    assert not isinstance(decision, Allow)
    command = f"hf-proxy exec --scope {access.needs[0].action}:models/me/a -- CMD"
    assert decision.why.endswith(f"; to allow it, run outside this command: {command}")
