"""What this program can fail at. A refusal is not in here: a refusal is a value (`core.access`).

Every message is one line: what happened, and the command that helps. No message carries a token,
a credential, a header or a query. Each class ends in `Error`. Anything else that is raised is a
bug of ours.
"""


class HFProxyError(Exception):
    """The root. `str()` of it is fit for a person's terminal."""


class UsageError(HFProxyError):
    """What was typed cannot mean anything: a malformed scope, duration or option (exit 2)."""


class ConfigError(HFProxyError):
    """The config file cannot be read, or holds something unknown; names the key."""


class RefusedError(HFProxyError):
    """The daemon understood and said no (exit 1; 125 for exec)."""


class AccountError(RefusedError):
    """There is no such account, or it was logged in for another upstream."""


class DaemonError(HFProxyError):
    """No daemon, or not one to be trusted with the next byte."""


class StartError(HFProxyError):
    """The daemon cannot start: port taken, second daemon, unfit runtime."""


class ServiceError(HFProxyError):
    """The daemon cannot be made a service, or is not one any more."""


class UpstreamError(HFProxyError):
    """The Hub could not be reached, or its TLS certificate is not good."""


class JournalError(HFProxyError):
    """The journal cannot be written or does not verify."""


class StoreError(HFProxyError):
    """What is known of the grants cannot be read or written."""


class VaultError(HFProxyError):
    """The vault failed: unreadable, damaged, or its answer makes no sense."""


class VaultAbsentError(VaultError):
    """There is no such vault on this machine: no Secret Service, no sealed file yet."""


class VaultLockedError(VaultError):
    """The vault is there but closed, and opening it needs the user."""


VAULT_LOCKED = "the vault is locked; run: hf-proxy unlock"
"""The message for a vault that a command of the user opens."""


class PassphraseError(VaultError):
    """The passphrase does not open the sealed vault."""
