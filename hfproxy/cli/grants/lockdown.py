"""`lockdown`: end everything now; nothing is granted until `unlock`."""

from hfproxy.cli.ui import prompt
from hfproxy.cli.ui.arguments import CommandSpec
from hfproxy.cli.ui.progress import waiting
from hfproxy.cli.ui.render import print_error, show, tell_recalled
from hfproxy.control_client import request, rows, texts
from hfproxy.errors import HFProxyError
from hfproxy.wire import Message

SYNTAX = CommandSpec(
    "lockdown",
    "The bad day: end every grant, cut what is running, lock the vault. Nothing is granted until: hf-proxy unlock",
    ("--revoke-upstream", "", "revoke the tokens at the Hub as well: of every account, for everybody, for good"),
    ("--account", "NAME", "with --revoke-upstream: the token of this account only"),
    ("--dry-run", "", "only say what would be done"),
    ("--yes", "", "do not ask"),
)

NEVER = "the vault is locked: whose tokens there are is not to be seen, and they would be revoked at the next unlock"


def run(words: list[str]) -> int:
    """Raises as `client.ask`."""
    arguments = SYNTAX.read(words)
    recall, account = arguments.switch("--revoke-upstream"), arguments.text("--account")
    if account is not None and not recall:
        raise SYNTAX.usage_error("--account says whose token to revoke, so it needs --revoke-upstream")
    wanted: Message = {"do": "lockdown", "recall": recall, "account": account}
    if arguments.switch("--dry-run"):
        _tell_plan(request({**wanted, "dry": True}, wait=True), recall=recall, account=account)
        return 0
    if not arguments.switch("--yes"):
        _agree(wanted)
    with waiting("locking down"):
        done = request(wanted, wait=True)
    _tell(done)
    return 0


def _agree(wanted: Message) -> None:
    """Show what is about to happen, and ask.

    Raises:
        HFProxyError: the answer is no.
    """
    recall = bool(wanted["recall"])
    instead = "hf-proxy lockdown --yes" + (" --revoke-upstream" if recall else "")
    prompt.needs_terminal(instead)
    _tell_plan(request({**wanted, "dry": True}, wait=True), recall=recall, account=wanted["account"])
    if not prompt.confirm("Do it?"):
        raise HFProxyError("nothing was done; to end single grants: hf-proxy revoke ID")


def _tell_plan(plan: Message, *, recall: bool, account: object) -> None:
    for grant in rows(plan, "grants"):
        show(f"would end: {grant.get('id')} {grant.get('program') or grant.get('label') or ''}".rstrip())
    show("would lock: the vault; nothing is granted until: hf-proxy unlock")
    if recall and plan.get("tokens") is None:
        show(f"would revoke: later, since {NEVER}")
    for token in rows(plan, "tokens") if recall and plan.get("tokens") is not None else []:
        show(
            f"would revoke at {token.get('origin')}: the token of account {token.get('account')} (of"
            f" {token.get('user')}), for everybody who has it, for good"
        )
    if recall and plan.get("tokens") == []:
        show(f"would revoke: nothing, there is no account{'' if account is None else f' {account}'}")
    if not recall:
        show("would not revoke: any token at the Hub; for that: --revoke-upstream")


def _tell(done: Message) -> None:
    for grant in texts(done, "ended"):
        show(f"ended: {grant}")
    tell_recalled(done)
    if done.get("recorded") is not True:
        print_error("warning: the journal could not be written, so it does not say that this was done")
    show("locked down: nothing is granted until: hf-proxy unlock")
