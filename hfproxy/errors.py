"""The exceptions of this program. A refusal is not an exception but a value (`hfproxy.core.policy.decision`).

Every message is one line: the failure, and the command that helps. No message carries a token, a credential, a header
or a query. Any other exception that reaches the user is a bug.
"""


class HFProxyError(Exception):
    """The base class; `str()` of an instance is a message for the user's terminal."""


class UsageError(HFProxyError):
    """A scope, duration, option or other argument is malformed (exit code 2)."""


class ConfigError(HFProxyError):
    """The config file cannot be read or is not valid; the message names the key."""


class RefusedError(HFProxyError):
    """The daemon refused a well-formed request (exit code 1; 125 for exec)."""


class AccountError(RefusedError):
    """The account does not exist, or was logged in for another upstream."""


class DaemonError(HFProxyError):
    """No daemon is running, it is not to be trusted with a request, or it does not answer properly."""


class StartError(HFProxyError):
    """The daemon cannot start: the port is taken, another daemon runs, or the runtime does not qualify."""


class ServiceError(HFProxyError):
    """The service cannot be installed, or the installed one has stopped."""


class UpstreamError(HFProxyError):
    """The Hub cannot be reached, its TLS certificate is not valid, or its response cannot be forwarded."""


class JournalError(HFProxyError):
    """The journal cannot be written or does not verify."""


class StoreError(HFProxyError):
    """The grant store cannot be read or written."""


class VaultError(HFProxyError):
    """The vault failed: it is unreadable or damaged, or its backend misbehaves."""


class VaultAbsentError(VaultError):
    """The machine has no vault of this kind: no Secret Service, or no sealed file yet."""


class VaultLockedError(VaultError):
    """The vault is locked, and only the user can unlock it."""


VAULT_LOCKED = "the vault is locked; run: hf-proxy unlock"
"""The message for a vault that the user can open with a command."""


class PassphraseError(VaultError):
    """The passphrase does not open the sealed vault."""
