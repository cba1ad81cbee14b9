"""`lockdown`: end every grant and lock the vault; nothing is granted until `unlock`."""

from hfproxy.cli.ui import prompt
from hfproxy.cli.ui.arguments import CommandSpec
from hfproxy.cli.ui.progress import show_progress
from hfproxy.cli.ui.render import print_error, print_revocations, show
from hfproxy.control_client import request, rows, texts
from hfproxy.errors import HFProxyError
from hfproxy.wire import Message

SYNTAX = CommandSpec(
    "lockdown",
    "In an incident: end all grants, abort transfers, lock the vault. Nothing is granted until: hf-proxy unlock",
    ("--revoke-upstream", "", "also revoke the tokens of all accounts at the Hub: permanently, on all machines"),
    ("--account", "NAME", "with --revoke-upstream: the token of this account only"),
    ("--dry-run", "", "only print what would be done"),
    ("--yes", "", "do not ask"),
)

LATER = "the vault is locked, so its accounts are unknown; their tokens would be revoked at the next unlock"


def run(words: list[str]) -> int:
    """Lock down.

    Raises:
        UsageError: the options contradict each other, or there is no terminal to ask on.
        HFProxyError: the user did not confirm, or the daemon cannot be reached or refuses.
    """
    arguments = SYNTAX.read(words)
    recall, account = arguments.switch("--revoke-upstream"), arguments.text("--account")
    if account is not None and not recall:
        raise SYNTAX.usage_error("--account names the token to revoke, so it needs --revoke-upstream")
    message: Message = {"do": "lockdown", "recall": recall, "account": account}
    if arguments.switch("--dry-run"):
        _show_plan(request({**message, "dry": True}, wait=True), recall=recall, account=account)
        return 0
    if not arguments.switch("--yes"):
        _confirm(message)
    with show_progress("locking down"):
        result = request(message, wait=True)
    _show_result(result)
    return 0


def _confirm(message: Message) -> None:
    """Show the plan, and ask the user.

    Raises:
        UsageError: there is no terminal to ask on.
        HFProxyError: the answer is no.
    """
    recall = bool(message["recall"])
    instead = "hf-proxy lockdown --yes" + (" --revoke-upstream" if recall else "")
    prompt.require_terminal(instead)
    _show_plan(request({**message, "dry": True}, wait=True), recall=recall, account=message["account"])
    if not prompt.confirm("Do it?"):
        raise HFProxyError("nothing was done; to end single grants: hf-proxy revoke ID")


def _show_plan(plan: Message, *, recall: bool, account: object) -> None:
    for grant in rows(plan, "grants"):
        show(f"would end: {grant.get('id')} {grant.get('program') or grant.get('label') or ''}".rstrip())
    show("would lock: the vault; nothing is granted until: hf-proxy unlock")
    if recall and plan.get("tokens") is None:
        show(f"would revoke: later, since {LATER}")
    for token in rows(plan, "tokens") if recall and plan.get("tokens") is not None else []:
        show(
            f"would revoke at {token.get('origin')}: the token of account {token.get('account')} (of"
            f" {token.get('user')}), permanently, on all machines"
        )
    if recall and plan.get("tokens") == []:
        show(f"would revoke: nothing, there is no account{'' if account is None else f' {account}'}")
    if not recall:
        show("would not revoke: any token at the Hub; for that: --revoke-upstream")


def _show_result(result: Message) -> None:
    for grant in texts(result, "ended"):
        show(f"ended: {grant}")
    print_revocations(result)
    if result.get("recorded") is not True:
        print_error("warning: the journal could not be written, so it has no record of this lockdown")
    show("locked down: nothing is granted until: hf-proxy unlock")
