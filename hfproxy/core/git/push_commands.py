"""The ref updates at the head of a `git-receive-pack` body, and the needs of each.

The list is pkt-lines up to a flush (gitprotocol-pack(5), "Reference Update Request and Packfile Transfer"):
`OLD NEW REF`, the first followed by a NUL and the client's capabilities. A push that is signed, uses another hash, or
names a ref that is neither branch, tag nor pull request is refused (docs/threat-model.md#t18).
"""

import re
from dataclasses import dataclass, field
from itertools import dropwhile

from hfproxy.core.git.refs import is_ref_name
from hfproxy.core.policy.access import SEE_AUDIT, Action, Need, Target
from hfproxy.core.policy.decision import Deny, Refusal

ZERO_ID = "0" * 40
LENGTH = re.compile(rb"[0-9a-fA-F]{4}")
COMMAND = re.compile(r"([0-9a-f]{40}) ([0-9a-f]{40}) ([!-~\x80-\U0010ffff]+)")
OF_REPOSITORIES = ("refs/heads/", "refs/tags/", "refs/pr/")
SHALLOW = re.compile(rb"shallow [0-9a-f]{40}\n?")
# Enough for some 10,000 refs in one push.
MAX_LIST_BYTES = 1024 * 1024
# The longest message to the user; a sideband packet holds at most 65,515 bytes of data (gitprotocol-pack(5)).
MAX_MESSAGE_BYTES = 1000


@dataclass(frozen=True, slots=True)
class RefUpdate:
    """A command to move a ref from commit `old` to `new`; ZERO_ID as `old` creates the ref, as `new` deletes it."""

    old: str
    new: str
    ref: str

    @property
    def may_lose_history(self) -> bool:
        """Whether a branch is moved; harmless only if the new commit descends from the old one (see `packfile`)."""
        return ZERO_ID not in {self.old, self.new} and not self.ref.startswith("refs/tags/")

    def needs(self, target: Target, *, proven: bool) -> tuple[Need, ...]:
        """Return the needs of this update.

        Deleting a ref, moving a tag, and moving a branch may lose history, unless `proven` says that the branch is
        only fast-forwarded.
        """
        target = target.at(self.ref)
        if self.new == ZERO_ID:
            return (Need(Action.DELETE, target),)
        if self.old == ZERO_ID or (proven and self.may_lose_history):
            return (Need(Action.WRITE, target),)
        return Need(Action.WRITE, target), Need(Action.DELETE, target)


@dataclass(frozen=True, slots=True)
class RefUpdates:
    """The ref updates of a push. A push without any is a probe, by which git tests whether it may push at all."""

    all: tuple[RefUpdate, ...]
    capabilities: frozenset[str]

    @property
    def deny(self) -> Deny | None:
        """The refusal of a push that no scope can allow; None if there is no such reason."""
        refs = [command.ref for command in self.all]
        if any(word.startswith("object-format=") and word != "object-format=sha1" for word in self.capabilities):
            return _deny("only SHA-1 repositories are understood")
        if not all(ref.startswith(OF_REPOSITORIES) and is_ref_name(ref) for ref in refs):
            return _deny("only branches, tags and pull requests can be pushed")
        if len(set(refs)) != len(refs):
            return _deny("a ref appears twice in it")
        return None

    @property
    def unproven(self) -> frozenset[RefUpdate]:
        """The updates that the pack could prove to be fast-forwards."""
        return frozenset(command for command in self.all if command.may_lose_history)

    def needs(self, target: Target, proven: frozenset[RefUpdate] = frozenset()) -> tuple[Need, ...]:
        """Return the needs of the push in a repository; `proven` are the updates known to be fast-forwards."""
        if not self.all:
            return (Need(Action.WRITE, target, any_ref=True),)
        return tuple(need for command in self.all for need in command.needs(target, proven=command in proven))

    def refusal(self, why: str) -> bytes | None:
        """Return a git-receive-pack result that refuses all updates with a message; None if the client accepts none.

        An HTTP error would work as well, but once a push has begun git does not print the error's body.
        """
        if not self.all or not self.capabilities & {"report-status", "report-status-v2"}:
            return None
        reports = [b"unpack ok\n", *(f"ng {command.ref} refused by hf-proxy\n".encode() for command in self.all)]
        report = b"".join(map(_packet, reports)) + FLUSH
        if "side-band-64k" not in self.capabilities:
            return report
        parts = [report[start : start + 60_000] for start in range(0, len(report), 60_000)]
        message = b"\x02" + why.encode()[:MAX_MESSAGE_BYTES] + b"\n"
        return b"".join(map(_packet, [message, *(b"\x01" + part for part in parts)])) + FLUSH


FLUSH = b"0000"


def _packet(data: bytes) -> bytes:
    return f"{len(data) + 4:04x}".encode() + data


@dataclass(slots=True)
class RefUpdateReader:
    """Reads the ref updates of a push in pieces of any size."""

    _buffer: bytes = b""
    _lines: list[bytes] = field(default_factory=list)
    _size: int = 0

    def feed(self, data: bytes) -> RefUpdates | Deny | None:
        """Take the next bytes of the body; returns None until the list is complete."""
        self._buffer += data
        while len(self._buffer) >= len(FLUSH):
            head = self._buffer[:4]
            if head == FLUSH:
                return _commands(self._lines)
            length = int(head, 16) if LENGTH.fullmatch(head) else 0
            if length <= len(head):
                return _deny("it is not a list of ref updates")
            if len(self._buffer) < length:
                break
            self._lines.append(self._buffer[4:length])
            self._buffer = self._buffer[length:]
            self._size += length
            if self._size > MAX_LIST_BYTES:
                return _deny(f"its list of refs is longer than {MAX_LIST_BYTES} bytes; push fewer at a time")
        return None

    @property
    def rest(self) -> bytes:
        """The bytes after the list: the beginning of the pack."""
        return self._buffer[len(FLUSH) :]


def _commands(lines: list[bytes]) -> RefUpdates | Deny:
    """Parse the lines: a shallow clone's boundary commits, then the commands, the first with the capabilities."""
    commands = list(dropwhile(SHALLOW.fullmatch, lines))
    first, _, capabilities = (commands[0] if commands else b"").partition(b"\0")
    updates = []
    for line in [first, *commands[1:]] if commands else []:
        match = COMMAND.fullmatch(line.decode("utf-8", "replace").removesuffix("\n"))
        if not match:
            return _deny("it is signed, or not a list of ref updates")
        updates.append(RefUpdate(*match.groups()))
    return RefUpdates(tuple(updates), frozenset(capabilities.decode("utf-8", "replace").split()))


def _deny(why: str) -> Deny:
    return Deny(Refusal.BAD_BODY, f"this push is refused: {why}{SEE_AUDIT}")
