"""`scan --migrate`: from the clear into the vault. In this order, so that at no moment a token is in neither:

1. The daemon asks the Hub whose the token is, puts it into the vault, reads the vault again, and answers with the
   digest of what it read.
2. If that is the digest of what was found, the token is taken out of the files (`scan.scrub`).

After a crash it is run again, that is all. What the Hub does not accept is not moved, and is taken out only if a person
at a terminal says so: it may be the token of another Hub.
"""

import os
import re
import shlex
from dataclasses import dataclass

from hfproxy.cli.ui import prompt
from hfproxy.cli.ui.render import show
from hfproxy.control_client import request, text
from hfproxy.detect.kinds import LocationKind
from hfproxy.detect.patterns import TokenKind, digest, redacted
from hfproxy.errors import DaemonError, HFProxyError
from hfproxy.scan import rewrite_file
from hfproxy.scan.walk import Finding
from hfproxy.secret import Secret
from hfproxy.wire import Message

MANUAL_STEP = {
    LocationKind.BINARY: "by hand: it is binary",
    LocationKind.PROCESS: "end it, or log in anew if your session started it; then start it with: hf-proxy exec",
    LocationKind.ENVIRONMENT: "unset it, and start this shell again",
}
REWRITTEN = re.compile(rb'(?mi)^\s*\[url "(https://(?:huggingface\.co|hf\.co)/?)"\]')
DONE = {"moved": "moved into the vault", "removed": "removed"}
DEAD = "the Hub does not accept it: revoked, expired, or of another Hub; take it out by hand"
ORPHAN_REFRESH = "by hand: a refresh token whose login was not moved"


@dataclass(slots=True)
class Migration:
    """What is known of a finding, and what becomes of it. `state`: found, would-move, moved, left, dead or removed."""

    finding: Finding
    state: str = "found"
    account: str | None = None
    user: str | None = None
    role: str | None = None
    why: str | None = None

    @property
    def movable(self) -> bool:
        """Whether a program can take it out of where it is."""
        return self.finding.kind not in MANUAL_STEP

    def take(self, answer: Message) -> None:
        """What the daemon said of its token."""
        if answer.get("dead") is True:
            self.state, self.why = "dead", DEAD
        else:
            self.account, self.user, self.role = (text(answer, member) for member in ("account", "user", "role"))


def identify_owners(fates: list[Migration]) -> None:
    """Ask the Hub, through the daemon, whose tokens they are; raises as `client.ask`."""
    for same in _by_token(fates):
        answer = request({"do": "adopt", "token": same[0].finding.token.reveal(), "dry": True}, wait=True)
        for fate in same:
            fate.take(answer)


def plan(fates: list[Migration]) -> None:
    """What `move` would do; nothing is asked and nothing is changed."""
    for fate in fates:
        fate.why = fate.why or MANUAL_STEP.get(fate.finding.kind, "would be moved into the vault")
        fate.state = "would-move" if fate.movable and fate.state != "dead" else fate.state


def migrate(fates: list[Migration], *, asks: bool) -> None:
    """Move what can be moved; says of everything else why not.

    Raises:
        HFProxyError: a person was asked, and said no.
    """
    for fate in fates:
        fate.why = MANUAL_STEP.get(fate.finding.kind)
    coming = [fate for fate in fates if fate.movable]
    if asks and coming and not prompt.confirm(_question(coming)):
        raise HFProxyError("nothing was moved; to see what would be done: hf-proxy scan --dry-run")
    safe = _imported(coming)
    dead = {digest(fate.finding.token) for fate in coming if fate.state == "dead"} - safe
    for_good = f"The Hub does not accept {len(dead)} of them. Take these out as well, for good?"
    if asks and dead and prompt.confirm(for_good):
        safe |= dead
    _scrub([fate for fate in coming if digest(fate.finding.token) in safe], safe)
    for fate in fates:
        if fate.state == "found":
            fate.state = "left"


def _question(coming: list[Migration]) -> str:
    tokens = len({digest(fate.finding.token) for fate in coming})
    files = len({fate.finding.path for fate in coming})
    return f"Move {tokens} tokens into the vault, and take them out of {files} files?"


def _imported(coming: list[Migration]) -> set[str]:
    """Bring each token to the daemon; the digests of those that the vault is proven to hold."""
    safe: set[str] = set()
    renewing = {digest(one.finding.beside): one.finding.token for one in coming if one.finding.beside is not None}
    for same in _by_token(coming):
        token = same[0].finding.token
        try:
            safe |= _import_token(same, token, renewing.get(digest(token)))
        except HFProxyError as error:  # so would the rest, and each may have to be waited for
            for fate in coming:
                fate.why = fate.why or str(error)
            break
    alone = _renewing(coming) - safe
    for fate in coming:
        if digest(fate.finding.token) in alone:
            fate.why = ORPHAN_REFRESH
    return safe


def _import_token(same: list[Migration], token: Secret, refresh: Secret | None) -> set[str]:
    more: Message = {} if refresh is None else {"refresh": refresh.reveal()}
    answer = request({"do": "adopt", "token": token.reveal(), **more}, wait=True)
    for fate in same:
        fate.take(answer)
    brought = {digest(one) for one in (token, refresh) if one is not None}
    safe = brought & {str(answer.get("digest")), str(answer.get("refresh"))}
    if digest(token) not in safe and answer.get("dead") is not True:
        raise DaemonError("the daemon did not prove that the vault holds it; look at its log, then: hf-proxy accounts")
    return safe


def _scrub(coming: list[Migration], safe: set[str]) -> None:
    """Take tokens out of files: each file once, with all of its names."""

    def gone(token: Secret) -> bool:
        return digest(token) in safe

    for here in _by_file(coming):
        names = list(dict.fromkeys(fate.finding.path for fate in here))
        try:
            rewrite_file.redact_file(names, here[0].finding.kind, gone)
            why = None
        except rewrite_file.ManualEditError as error:
            why = f"by hand: {error}"
        for fate in here:
            done = "removed" if fate.state == "dead" else "moved"
            fate.state, fate.why = (done, None) if why is None else ("left", why)


def tell_after(fates: list[Migration]) -> None:
    """What is left to do once tokens were moved: what lay in the clear counts as leaked."""
    moved = [fate for fate in fates if fate.state == "moved"]
    for account in sorted({fate.account for fate in moved if fate.account}):
        user = next(fate.user for fate in moved if fate.account == account)
        show(f"account {account} ({user}): its token lay in the clear and counts as leaked; replace it with:"
             f" hf-proxy rotate --account {account}")  # fmt: skip
    if any(fate.finding.kind is LocationKind.SHELL_HISTORY for fate in moved):
        show("a shell that is still running may write its history again; close it, then: hf-proxy scan")
    for path in sorted({fate.finding.path for fate in moved if fate.finding.kind is LocationKind.NETRC}):
        show(f"the entry in {redacted(path)} has an empty password now, which some clients send; delete the entry")
    for path in sorted({fate.finding.path for fate in moved if fate.finding.kind is LocationKind.GIT_CONFIG}):
        for base in _kept_to_the_hub(path):
            show(
                f"{redacted(path)} keeps git to {base}, past hf-proxy; remove that with:"
                f" git config --file {shlex.quote(redacted(path))} --remove-section url.{base}"
            )


def _kept_to_the_hub(path: str) -> list[str]:
    """What is left of `[url "https://user:token@huggingface.co/"] insteadOf = https://huggingface.co/`: of equally long
    ones git takes the first, and those of `exec` come last."""
    try:
        with open(path, "rb") as file:
            found = REWRITTEN.findall(file.read())
    except OSError:
        return []
    return sorted({base.decode() for base in found})


def _by_token(fates: list[Migration]) -> list[list[Migration]]:
    """What lies in several places, together; without refresh tokens, which the Hub does not accept from anybody."""
    groups: dict[str, list[Migration]] = {}
    for fate in fates:
        groups.setdefault(digest(fate.finding.token), []).append(fate)
    renewing = _renewing(fates)
    return [same for one, same in groups.items() if one not in renewing]


def _renewing(fates: list[Migration]) -> set[str]:
    """The digests of refresh tokens: one that is known as such is one wherever it lies."""
    return {digest(fate.finding.token) for fate in fates if fate.finding.shape is TokenKind.REFRESH}


def _by_file(fates: list[Migration]) -> list[list[Migration]]:
    groups: dict[object, list[Migration]] = {}
    for fate in fates:
        groups.setdefault(_identity(fate.finding.path), []).append(fate)
    return list(groups.values())


def _identity(path: str) -> object:
    try:
        status = os.lstat(path)
    except OSError:  # gone, or not to be seen: `scrub` will say so
        return path
    return status.st_dev, status.st_ino
