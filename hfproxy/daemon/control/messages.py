"""What the control socket understands: `hfproxy.wire`'s words as strict types.

Unknown words, unknown members and wrong types are refused by the decoder.
"""

from typing import Annotated, Literal

import msgspec

from hfproxy.errors import UsageError


class Message(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="do", kw_only=True):
    """One request of a command."""


class StatusRequest(Message, frozen=True, tag="status"):
    """Is it up?"""


class MetricsRequest(Message, frozen=True, tag="metrics"):
    """What was counted since the start."""


class DoctorRequest(Message, frozen=True, tag="doctor"):
    """What `doctor` cannot find out by itself: the Hub, and what it says of the tokens."""


class LoginRequest(Message, frozen=True, tag="login"):
    """Store a token, once whoami said whose it is."""

    account: str
    token: str


class ImportTokenRequest(Message, frozen=True, tag="adopt"):
    """Store a token that was found lying about, under a free name, unless the vault holds it already. `refresh`: the
    refresh token that lay beside it; `dry`: only say whose it is."""

    token: str
    refresh: str | None = None
    dry: bool = False


class AccountsRequest(Message, frozen=True, tag="accounts"):
    """List them."""


class LogoutRequest(Message, frozen=True, tag="logout"):
    """Forget one."""

    account: str | None = None


class UnlockRequest(Message, frozen=True, tag="unlock"):
    """Open a vault; without a passphrase, ask whether it needs one. `keep`: a duration, how long the kernel is to keep
    what opens it."""

    passphrase: str | None = None
    keep: str | None = None


class SealRequest(Message, frozen=True, tag="seal"):
    """Put what the keyring holds under a passphrase; with `undo`, in the clear again."""

    passphrase: str
    undo: bool = False


class LockRequest(Message, frozen=True, tag="lock"):
    """Forget every token until `unlock`."""


class LockdownRequest(Message, frozen=True, tag="lockdown"):
    """End everything, until `unlock`. `recall`: tokens at the Hub as well, of one account or of all; `dry`: only say
    what would be done."""

    recall: bool = False
    account: str | None = None
    dry: bool = False


class RotateRequest(Message, frozen=True, tag="rotate"):
    """A new token in the place of an account's old one."""

    token: str
    account: str | None = None


class ProjectFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A project's file: where it is, and all that it says."""

    path: str
    content: str


class MintRequest(Message, frozen=True, tag="mint"):
    """A new grant. `found`: token-shaped strings of the caller's environment; `of` the parent is how a command
    that ends at once (`mint`, `env`) binds to the shell that called it; `project` counts where neither scopes nor a
    profile are named; `learn` is every scope there is, whatever is named."""

    scopes: tuple[str, ...] = ()
    profile: str | None = None
    project: ProjectFile | None = None
    learn: bool = False
    ttl: str | None = None
    account: str | None = None
    label: str | None = None
    bind: Literal["none", "pid", "tree"] = "none"
    of: Literal["caller", "parent"] = "caller"
    container: bool = False
    strict: bool = False
    ambient: bool = False
    max_uses: int | None = None
    max_rate: int | None = None
    max_up: str | None = None
    max_down: str | None = None
    program: str | None = None
    found: tuple[str, ...] = ()


class TrustProjectRequest(Message, frozen=True, tag="allow"):
    """Trust a project's file as it is. `dry`: only say what it asks for."""

    project: ProjectFile
    dry: bool = False


class UntrustProjectRequest(Message, frozen=True, tag="forget"):
    """Trust nothing in the place of a project's file any more."""

    path: str


class GrantsRequest(Message, frozen=True, tag="grants"):
    """List the living ones."""


class RenewRequest(Message, frozen=True, tag="renew"):
    """Move a grant's end away."""

    id: str
    ttl: str


class RevokeRequest(Message, frozen=True, tag="revoke"):
    """End some, or all."""

    ids: tuple[str, ...] = ()
    all: bool = False


class AuditRequest(Message, frozen=True, tag="audit"):
    """Journal entries that fit."""

    since: str | None = None
    grant: str | None = None
    repo: str | None = None
    action: str | None = None
    denied: bool = False
    follow: bool = False


class AnchorRequest(Message, frozen=True, tag="anchor"):
    """Where the journal's chain stands."""


Digest = Annotated[str, msgspec.Meta(pattern=r"\A[0-9a-f]{64}\Z")]
Mac = Annotated[str, msgspec.Meta(pattern=r"\A[0-9a-f]{16}:[0-9a-f]{64}\Z")]


class CheckMacsRequest(Message, frozen=True, tag="vouch"):
    """Which of these journal lines were MACed with the journal's key; each by the digest of what it says."""

    macs: tuple[tuple[Digest, Mac], ...]


ControlRequest = (
    StatusRequest
    | MetricsRequest
    | DoctorRequest
    | LoginRequest
    | ImportTokenRequest
    | AccountsRequest
    | LogoutRequest
    | UnlockRequest
    | SealRequest
    | LockRequest
    | LockdownRequest
    | RotateRequest
    | MintRequest
    | TrustProjectRequest
    | UntrustProjectRequest
    | GrantsRequest
    | RenewRequest
    | RevokeRequest
    | AuditRequest
    | AnchorRequest
    | CheckMacsRequest
)

_decoder: msgspec.json.Decoder[ControlRequest] = msgspec.json.Decoder(ControlRequest)


def decode(line: bytes) -> ControlRequest:
    """Read one request.

    Raises:
        UsageError: it is not one of ours. The decoder's own words are kept out of the message: they may quote a
            value.
    """
    try:
        return _decoder.decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise UsageError(
            "the daemon does not understand this request; is it another version? hf-proxy status"
        ) from None
