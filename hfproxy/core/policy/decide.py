"""From the objections of all caveats to one decision, worded with the command that would allow the access."""

from dataclasses import replace

from hfproxy.core.policy.access import Access
from hfproxy.core.policy.decision import Allow, AllowAnonymous, Decision, Deny, Objection, Refusal, join_reasons
from hfproxy.core.policy.scope import scope_for

RETRY_LATER = "; wait a minute, or ask for more: hf-proxy exec --max-rate N"
RUN_AGAIN = "; run the command again under: hf-proxy exec"


def decide(access: Access, objections: tuple[Objection, ...], *, bound: bool = False) -> Decision:
    """Return the decision on an access: allowed, forwarded without the token, or denied.

    A read that only scopes (or the ceiling) object to is forwarded without the token, so that public models stay
    readable under a narrow grant. Any other objection denies.

    Args:
        access: The needs of the request.
        objections: All objections of all caveats.
        bound: Whether the grant is bound to a process: the advice then is for a shell outside of it.
    """
    if not objections:
        return Allow()
    others = [no.refusal for no in objections if no.refusal is not Refusal.SCOPE]
    # An objection that no scope would avoid is the refusal; `strict`, which a scope would, only if there is no other.
    others.sort(key=lambda refusal: refusal is Refusal.STRICT)
    deny = Deny(others[0] if others else Refusal.SCOPE, join_reasons(no.why for no in objections), objections)
    if not others and access.is_read_only:
        return AllowAnonymous(
            objections, f"{deny.why}, so hf-proxy asked without your token{advice(access, deny, bound=bound)}"
        )
    return replace(deny, why=deny.why + advice(access, deny, bound=bound))


def advice(access: Access, deny: Deny, *, bound: bool) -> str:
    """Return the command that would allow the access, as the end of a sentence.

    `bound`: a command inside of the grant's process can only ask for less, so the advice is to run it outside.
    """
    if deny.retry_after_s is not None:
        return RETRY_LATER
    if deny.refusal not in {Refusal.SCOPE, Refusal.STRICT}:
        return RUN_AGAIN
    scopes = dict.fromkeys(f"--scope {scope_for(need)}" for need in access.needs)
    outside = ", outside of this command" if bound else ""
    return f"; allow it with: hf-proxy exec {' '.join(scopes)} -- CMD{outside}"
