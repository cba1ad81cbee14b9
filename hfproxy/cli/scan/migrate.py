"""`scan --migrate`: move plaintext tokens into the vault. The order of the steps ensures that no token is ever lost:

1. The daemon identifies the token's user at the Hub, stores the token in the vault, reads the vault again, and returns
   the digest of the token it read.
2. If that is the digest of the found token, the token is removed from the files (`hfproxy.scan.rewrite_file`).

After a crash the command can simply be run again. A token that the Hub does not accept is not moved, and is removed
only if the user confirms it at a terminal, since it may be the token of another Hub.
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
    LocationKind.PROCESS: "end it, or log in again if your session started it; then start it with: hf-proxy exec",
    LocationKind.ENVIRONMENT: "unset it, and restart this shell",
}
REWRITTEN_URL = re.compile(rb'(?mi)^\s*\[url "(https://(?:huggingface\.co|hf\.co)/?)"\]')
DONE = {"moved": "moved into the vault", "removed": "removed"}
NOT_ACCEPTED = "the Hub does not accept it: revoked, expired, or of another Hub; remove it by hand"
ORPHAN_REFRESH = "by hand: a refresh token whose login was not moved"


@dataclass(slots=True)
class Migration:
    """A finding, and the outcome of its migration.

    Attributes:
        finding: the finding.
        state: found, would-move, moved, left, dead or removed.
        account: the account that holds the token, if it is in the vault.
        user: the token's user on the Hub.
        role: the token's role.
        why: a note for the user.
    """

    finding: Finding
    state: str = "found"
    account: str | None = None
    user: str | None = None
    role: str | None = None
    why: str | None = None

    @property
    def movable(self) -> bool:
        """Whether the token can be removed from its place by a program."""
        return self.finding.kind not in MANUAL_STEP

    def take(self, answer: Message) -> None:
        """Record the daemon's answer about the token."""
        if answer.get("dead") is True:
            self.state, self.why = "dead", NOT_ACCEPTED
        else:
            self.account, self.user, self.role = (text(answer, member) for member in ("account", "user", "role"))


def identify_owners(migrations: list[Migration]) -> None:
    """Ask the Hub, through the daemon, for the users of the tokens.

    Raises:
        HFProxyError: the daemon cannot be reached or refuses.
    """
    for group in _by_token(migrations):
        answer = request({"do": "adopt", "token": group[0].finding.token.reveal(), "dry": True}, wait=True)
        for migration in group:
            migration.take(answer)


def plan(migrations: list[Migration]) -> None:
    """Set the outcomes that `migrate` would have, without changing or asking anything."""
    for migration in migrations:
        migration.why = migration.why or MANUAL_STEP.get(migration.finding.kind, "would be moved into the vault")
        migration.state = "would-move" if migration.movable and migration.state != "dead" else migration.state


def migrate(migrations: list[Migration], *, asks: bool) -> None:
    """Move the tokens that can be moved, and note for the others why they cannot; with `asks` confirm it first.

    Raises:
        HFProxyError: the user did not confirm.
    """
    for migration in migrations:
        migration.why = MANUAL_STEP.get(migration.finding.kind)
    movable = [migration for migration in migrations if migration.movable]
    if asks and movable and not prompt.confirm(_question(movable)):
        raise HFProxyError("nothing was moved; to see what would be done: hf-proxy scan --dry-run")
    removable = _import_tokens(movable)
    dead = {digest(migration.finding.token) for migration in movable if migration.state == "dead"} - removable
    if asks and dead and prompt.confirm(f"The Hub does not accept {len(dead)} of them. Delete these for good?"):
        removable |= dead
    _redact([migration for migration in movable if digest(migration.finding.token) in removable], removable)
    for migration in migrations:
        if migration.state == "found":
            migration.state = "left"


def _question(migrations: list[Migration]) -> str:
    tokens = len({digest(migration.finding.token) for migration in migrations})
    files = len({migration.finding.path for migration in migrations})
    return f"Move {tokens} tokens into the vault, and remove them from {files} files?"


def _import_tokens(migrations: list[Migration]) -> set[str]:
    """Send each token to the daemon; return the digests of the tokens that the vault is proven to hold."""
    stored: set[str] = set()
    refresh_tokens = {
        digest(migration.finding.beside): migration.finding.token
        for migration in migrations
        if migration.finding.beside is not None
    }
    for group in _by_token(migrations):
        token = group[0].finding.token
        try:
            stored |= _import_token(group, token, refresh_tokens.get(digest(token)))
        except HFProxyError as error:  # the remaining tokens would fail likewise, each perhaps after a timeout
            for migration in migrations:
                migration.why = migration.why or str(error)
            break
    orphans = _refresh_digests(migrations) - stored
    for migration in migrations:
        if digest(migration.finding.token) in orphans:
            migration.why = ORPHAN_REFRESH
    return stored


def _import_token(group: list[Migration], token: Secret, refresh: Secret | None) -> set[str]:
    members: Message = {} if refresh is None else {"refresh": refresh.reveal()}
    answer = request({"do": "adopt", "token": token.reveal(), **members}, wait=True)
    for migration in group:
        migration.take(answer)
    sent = {digest(secret) for secret in (token, refresh) if secret is not None}
    stored = sent & {str(answer.get("digest")), str(answer.get("refresh"))}
    if digest(token) not in stored and answer.get("dead") is not True:
        raise DaemonError("the daemon did not prove that the vault holds it; look at its log, then: hf-proxy accounts")
    return stored


def _redact(migrations: list[Migration], removable: set[str]) -> None:
    """Remove tokens from files, each file once with all of its names."""

    def is_removable(token: Secret) -> bool:
        return digest(token) in removable

    for group in _by_file(migrations):
        names = list(dict.fromkeys(migration.finding.path for migration in group))
        try:
            rewrite_file.redact_file(names, group[0].finding.kind, is_removable)
            why = None
        except rewrite_file.ManualEditError as error:
            why = f"by hand: {error}"
        for migration in group:
            done = "removed" if migration.state == "dead" else "moved"
            migration.state, migration.why = (done, None) if why is None else ("left", why)


def show_next_steps(migrations: list[Migration]) -> None:
    """Print the steps that remain after the migration, since a plaintext token counts as leaked."""
    moved = [migration for migration in migrations if migration.state == "moved"]
    for account in sorted({migration.account for migration in moved if migration.account}):
        user = next(migration.user for migration in moved if migration.account == account)
        show(f"account {account} ({user}): its token was in plaintext and counts as leaked; replace it with:"
             f" hf-proxy rotate --account {account}")  # fmt: skip
    if any(migration.finding.kind is LocationKind.SHELL_HISTORY for migration in moved):
        show("a shell that is still running may write its history again; close it, then: hf-proxy scan")
    for path in _paths_of(moved, LocationKind.NETRC):
        show(f"the entry in {redacted(path)} has an empty password now, which some clients send; delete the entry")
    for path in _paths_of(moved, LocationKind.GIT_CONFIG):
        for base in _direct_urls(path):
            show(
                f"{redacted(path)} leads git to {base}, past hf-proxy; remove that with:"
                f" git config --file {shlex.quote(redacted(path))} --remove-section url.{base}"
            )


def _paths_of(migrations: list[Migration], kind: LocationKind) -> list[str]:
    return sorted({migration.finding.path for migration in migrations if migration.finding.kind is kind})


def _direct_urls(path: str) -> list[str]:
    """Return the bases of sections such as `[url "https://huggingface.co/"] insteadOf = https://huggingface.co/`.

    They remain when the token is removed from `[url "https://user:token@huggingface.co/"]`. Of equally long entries git
    uses the first, and those of `exec` come last.
    """
    try:
        with open(path, "rb") as file:
            bases = REWRITTEN_URL.findall(file.read())
    except OSError:
        return []
    return sorted({base.decode() for base in bases})


def _by_token(migrations: list[Migration]) -> list[list[Migration]]:
    """Group the findings by token, without refresh tokens, which the Hub accepts at no whoami."""
    groups: dict[str, list[Migration]] = {}
    for migration in migrations:
        groups.setdefault(digest(migration.finding.token), []).append(migration)
    refresh_digests = _refresh_digests(migrations)
    return [group for token_digest, group in groups.items() if token_digest not in refresh_digests]


def _refresh_digests(migrations: list[Migration]) -> set[str]:
    """Return the digests of refresh tokens: a token recognized as such in one place is one in all places."""
    return {
        digest(migration.finding.token) for migration in migrations if migration.finding.token_kind is TokenKind.REFRESH
    }


def _by_file(migrations: list[Migration]) -> list[list[Migration]]:
    groups: dict[object, list[Migration]] = {}
    for migration in migrations:
        groups.setdefault(_identity(migration.finding.path), []).append(migration)
    return list(groups.values())


def _identity(path: str) -> object:
    try:
        status = os.lstat(path)
    except OSError:  # gone or inaccessible, which `redact_file` will report
        return path
    return status.st_dev, status.st_ino
