"""The requests of the control socket as strict types; `hfproxy.wire` describes them with their replies.

The decoder refuses unknown tags, unknown members and wrong types. Tags and members are part of the outside contract: a
command of another version may send them.
"""

from typing import Annotated, Literal

import msgspec

from hfproxy.errors import UsageError


class Request(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="do", kw_only=True):
    """A request: one JSON object, whose member `do` is the tag of its class."""


class StatusRequest(Request, frozen=True, tag="status"):
    """The state of the daemon."""


class MetricsRequest(Request, frozen=True, tag="metrics"):
    """The counters and gauges, in Prometheus's text format."""


class DoctorRequest(Request, frozen=True, tag="doctor"):
    """The checks that only the daemon can make: the Hub, and the tokens at the Hub."""


class LoginRequest(Request, frozen=True, tag="login"):
    """Store a token under an account name, after asking the Hub for its owner."""

    account: str
    token: str


class ImportTokenRequest(Request, frozen=True, tag="adopt"):
    """Store a plaintext token that was found on disk, under a free account name, unless the vault holds it already.

    Attributes:
        refresh: the refresh token that was found beside it.
        dry: store nothing; only report the token's owner.
    """

    token: str
    refresh: str | None = None
    dry: bool = False


class AccountsRequest(Request, frozen=True, tag="accounts"):
    """List the caller's accounts."""


class LogoutRequest(Request, frozen=True, tag="logout"):
    """Remove an account and its token; without a name, `default` or the only one."""

    account: str | None = None


class UnlockRequest(Request, frozen=True, tag="unlock"):
    """Open the vault and lift a lockdown.

    Attributes:
        passphrase: None to find out whether one is needed.
        keep: a duration, for which the kernel caches the key of a sealed vault.
    """

    passphrase: str | None = None
    keep: str | None = None


class SealRequest(Request, frozen=True, tag="seal"):
    """Encrypt the vault under a passphrase; with `undo`, store it as plaintext in the keyring again."""

    passphrase: str
    undo: bool = False


class LockRequest(Request, frozen=True, tag="lock"):
    """Close the vault until `unlock`."""


class LockdownRequest(Request, frozen=True, tag="lockdown"):
    """End all grants and close the vault until `unlock`.

    Attributes:
        recall: also revoke tokens at the Hub.
        account: revoke only this account's token.
        dry: change nothing; only report what would end.
    """

    recall: bool = False
    account: str | None = None
    dry: bool = False


class RotateRequest(Request, frozen=True, tag="rotate"):
    """Replace an account's token; without a name, that of `default` or of the only account."""

    token: str
    account: str | None = None


class ProjectFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A project file: its absolute path and its whole content."""

    path: str
    content: str


class MintRequest(Request, frozen=True, tag="mint"):
    """Mint a grant. Durations, sizes and scopes are sent as the user typed them.

    Attributes:
        project: counts only where neither scopes nor a profile are named.
        learn: every scope, whatever is named.
        of: which process `bind` means: the caller, or its parent for a command that ends at once (`mint`, `env`).
        found: the token-shaped strings in the caller's environment.
    """

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


class TrustProjectRequest(Request, frozen=True, tag="allow"):
    """Trust a project file with its present content; with `dry`, only report its scopes."""

    project: ProjectFile
    dry: bool = False


class UntrustProjectRequest(Request, frozen=True, tag="forget"):
    """Remove the trust in a project file's path, whatever its content."""

    path: str


class GrantsRequest(Request, frozen=True, tag="grants"):
    """List the living grants that the caller reaches."""


class RenewRequest(Request, frozen=True, tag="renew"):
    """Extend a grant in place."""

    id: str
    ttl: str


class RevokeRequest(Request, frozen=True, tag="revoke"):
    """Revoke the named grants, or all that the caller reaches."""

    ids: tuple[str, ...] = ()
    all: bool = False


class AuditRequest(Request, frozen=True, tag="audit"):
    """Read the matching journal entries; with `follow`, also those that are still to come."""

    since: str | None = None
    grant: str | None = None
    repo: str | None = None
    action: str | None = None
    denied: bool = False
    follow: bool = False


class AnchorRequest(Request, frozen=True, tag="anchor"):
    """The number and the hash of the journal's last line."""


Digest = Annotated[str, msgspec.Meta(pattern=r"\A[0-9a-f]{64}\Z")]
Mac = Annotated[str, msgspec.Meta(pattern=r"\A[0-9a-f]{16}:[0-9a-f]{64}\Z")]


class CheckMacsRequest(Request, frozen=True, tag="vouch"):
    """Check MACs of journal lines against the journal's key.

    Attributes:
        macs: for each line the SHA-256 of its content and its MAC.
    """

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
    """Decode one request.

    Raises:
        UsageError: it is not a request of this version. The decoder's message is not repeated, since it may quote a
            token.
    """
    try:
        return _decoder.decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise UsageError(
            "the daemon does not understand this request; is it another version? hf-proxy status"
        ) from None
