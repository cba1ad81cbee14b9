"""From the objections of all caveats to one answer, in words that name the command which would allow it."""

from dataclasses import replace

from hfproxy.core.policy.access import Access
from hfproxy.core.policy.decision import Allow, AllowAnonymous, Decision, Deny, Objection, Refusal, join_reasons
from hfproxy.core.policy.scope import scope_for

RETRY_LATER = "; wait a minute, or ask for more: hf-proxy exec --max-rate N"
RUN_AGAIN = "; run the command again under: hf-proxy exec"


def decide(access: Access, objections: tuple[Objection, ...], *, bound: bool = False) -> Decision:
    """Turn the objections into an answer: yes, yes without the token, or no.

    Only what comes from a scope may be read anonymously: a public model stays readable in a narrow
    grant. Every other objection is a no.
    """
    if not objections:
        return Allow()
    others = [no.refusal for no in objections if no.refusal is not Refusal.SCOPE]
    # What no other scope would help against comes first.
    others.sort(key=lambda refusal: refusal is Refusal.STRICT)
    deny = Deny(others[0] if others else Refusal.SCOPE, join_reasons(no.why for no in objections), objections)
    if not others and access.is_read_only:
        return AllowAnonymous(
            objections, f"{deny.why}, so hf-proxy asked without your token{advice(access, deny, bound=bound)}"
        )
    return replace(deny, why=deny.why + advice(access, deny, bound=bound))


def advice(access: Access, deny: Deny, *, bound: bool) -> str:
    """The command that would allow it. From inside of a command that a grant is bound to it could only ask for less."""
    if deny.retry_after_s is not None:
        return RETRY_LATER
    if deny.refusal not in {Refusal.SCOPE, Refusal.STRICT}:
        return RUN_AGAIN
    scopes = dict.fromkeys(f"--scope {scope_for(need)}" for need in access.needs)
    outside = ", outside of this command" if bound else ""
    return f"; allow it with: hf-proxy exec {' '.join(scopes)} -- CMD{outside}"
