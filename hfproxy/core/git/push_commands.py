"""A push, as git sends it: the commands at the head of a `git-receive-pack` body, and what each of them needs.

The list is pkt-lines up to a flush (gitprotocol-pack(5), "Reference Update Request and Packfile Transfer"):
`OLD NEW REF`, the first followed by a NUL and the client's capabilities. What it cannot be sure of it refuses: a signed
push, another hash, a ref that is neither branch, tag nor pull request (docs/threat-model.md#t18).
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
# Some 10,000 refs in one push.
MAX_LIST_BYTES = 1024 * 1024
# A sideband packet holds at most 65,515 bytes of ours (gitprotocol-pack(5)).
MAX_SAID_BYTES = 1000


@dataclass(frozen=True, slots=True)
class RefUpdate:
    """One ref is to go from `old` to `new`; a commit of zeros stands for none."""

    old: str
    new: str
    ref: str

    @property
    def may_lose_history(self) -> bool:
        """A branch is moved: harmless if the new commit descends from the old one, which the pack may prove."""
        return ZERO_ID not in {self.old, self.new} and not self.ref.startswith("refs/tags/")

    def needs(self, target: Target, *, proven: bool) -> tuple[Need, ...]:
        """Deleting a ref and moving a tag lose history; so does moving a branch, unless the contrary was `proven`."""
        target = target.at(self.ref)
        if self.new == ZERO_ID:
            return (Need(Action.DELETE, target),)
        if self.old == ZERO_ID or (proven and self.may_lose_history):
            return (Need(Action.WRITE, target),)
        return Need(Action.WRITE, target), Need(Action.DELETE, target)


@dataclass(frozen=True, slots=True)
class RefUpdates:
    """The command list of a push. Without any it is a probe, by which git finds out whether it may push at all."""

    all: tuple[RefUpdate, ...]
    capabilities: frozenset[str]

    @property
    def deny(self) -> Deny | None:
        """What no scope could allow."""
        refs = [command.ref for command in self.all]
        if any(word.startswith("object-format=") and word != "object-format=sha1" for word in self.capabilities):
            return _refused("only SHA-1 repositories are understood")
        if not all(ref.startswith(OF_REPOSITORIES) and is_ref_name(ref) for ref in refs):
            return _refused("only branches, tags and pull requests can be pushed")
        if len(set(refs)) != len(refs):
            return _refused("a ref appears twice in it")
        return None

    @property
    def unproven(self) -> frozenset[RefUpdate]:
        """Those that the pack could prove to be harmless."""
        return frozenset(command for command in self.all if command.may_lose_history)

    def needs(self, target: Target, proven: frozenset[RefUpdate] = frozenset()) -> tuple[Need, ...]:
        """What the push does to a repository."""
        if not self.all:
            return (Need(Action.WRITE, target, any_ref=True),)
        return tuple(need for command in self.all for need in command.needs(target, proven=command in proven))

    def refusal(self, why: str) -> bytes | None:
        """A git-receive-pack result that refuses all of it, in words that git prints; None if the client takes none.

        An HTTP error would do, but of its body git says nothing once it has begun to push.
        """
        if not self.all or not self.capabilities & {"report-status", "report-status-v2"}:
            return None
        reports = [b"unpack ok\n", *(f"ng {command.ref} refused by hf-proxy\n".encode() for command in self.all)]
        report = b"".join(map(_packet, reports)) + FLUSH
        if "side-band-64k" not in self.capabilities:
            return report
        parts = [report[start : start + 60_000] for start in range(0, len(report), 60_000)]
        said = b"\x02" + why.encode()[:MAX_SAID_BYTES] + b"\n"
        return b"".join(map(_packet, [said, *(b"\x01" + part for part in parts)])) + FLUSH


FLUSH = b"0000"


def _packet(data: bytes) -> bytes:
    return f"{len(data) + 4:04x}".encode() + data


@dataclass(slots=True)
class RefUpdateReader:
    """Reads the command list as it comes in, in pieces of any size."""

    _buffer: bytes = b""
    _lines: list[bytes] = field(default_factory=list)
    _size: int = 0

    def feed(self, data: bytes) -> RefUpdates | Deny | None:
        """Take more of the body; None as long as the list has not ended."""
        self._buffer += data
        while len(self._buffer) >= len(FLUSH):
            head = self._buffer[:4]
            if head == FLUSH:
                return _commands(self._lines)
            length = int(head, 16) if LENGTH.fullmatch(head) else 0
            if length <= len(head):
                return _refused("it is not a list of ref updates")
            if len(self._buffer) < length:
                break
            self._lines.append(self._buffer[4:length])
            self._buffer = self._buffer[length:]
            self._size += length
            if self._size > MAX_LIST_BYTES:
                return _refused(f"its list of refs is longer than {MAX_LIST_BYTES} bytes; push fewer at a time")
        return None

    @property
    def rest(self) -> bytes:
        """What came behind the list: the beginning of the pack."""
        return self._buffer[len(FLUSH) :]


def _commands(lines: list[bytes]) -> RefUpdates | Deny:
    """A shallow clone says first where it ends; then come the commands, the first of them with the capabilities."""
    commands = list(dropwhile(SHALLOW.fullmatch, lines))
    first, _, said = (commands[0] if commands else b"").partition(b"\0")
    found = []
    for line in [first, *commands[1:]] if commands else []:
        match = COMMAND.fullmatch(line.decode("utf-8", "replace").removesuffix("\n"))
        if not match:
            return _refused("it is signed, or not a list of ref updates")
        found.append(RefUpdate(*match.groups()))
    return RefUpdates(tuple(found), frozenset(said.decode("utf-8", "replace").split()))


def _refused(why: str) -> Deny:
    return Deny(Refusal.BAD_BODY, f"this push is refused: {why}{SEE_AUDIT}")
