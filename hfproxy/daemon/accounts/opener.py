"""Opens a sealed vault without asking a person.

The passphrase comes from a descriptor, a key file or a systemd credential; or the key that the passphrase gave is still
in the kernel's key cache. systemd passes a credential as a file in a directory that only the service's user can read,
and names that directory in `CREDENTIALS_DIRECTORY` (systemd.exec(5), CREDENTIALS).
"""

import os
from typing import Final

import structlog

from hfproxy import private_file
from hfproxy.daemon.accounts.registry import AccountRegistry
from hfproxy.errors import PassphraseError, RefusedError, UsageError, VaultError
from hfproxy.secret import Secret
from hfproxy.vault.kernel_key_cache import KernelKeyCache

log = structlog.get_logger()
CREDENTIAL: Final = "hf-proxy-passphrase"
MAX_CACHE_S: Final = 7 * 86400


def from_descriptor(fd: int) -> Secret:
    """Read the passphrase from an inherited descriptor and close it.

    Raises:
        UsageError: the descriptor is not open for reading.
        VaultError: it does not contain a passphrase.
    """
    try:
        with open(fd, "rb", closefd=True) as file:
            content = file.read(private_file.PASSPHRASE_BYTES + 1)
    except OSError:
        raise UsageError(f"descriptor {fd} is not open for reading; use: --passphrase-fd 3 3<FILE") from None
    return private_file.parse_passphrase(content, f"descriptor {fd}")


class VaultOpener:
    """Opens the vault when the daemon starts, and for `hf-proxy unlock` where the user types no passphrase."""

    def __init__(self, accounts: AccountRegistry, key_file: str | None, key_cache: KernelKeyCache) -> None:
        """`key_file`: `vault.key_file` of the config."""
        self._accounts, self._key_file, self._key_cache = accounts, key_file, key_cache

    def passphrase(self) -> Secret | None:
        """Read the passphrase from the config's key file, or else from systemd's credential; None without both.

        Raises:
            VaultError: the file is missing, readable for others, or not a passphrase.
        """
        if self._key_file is not None:
            return private_file.passphrase(self._key_file)
        credential = self._credential
        return private_file.passphrase(credential, of_root=True) if credential and os.path.lexists(credential) else None

    @property
    def _credential(self) -> str | None:
        directory = os.environ.get("CREDENTIALS_DIRECTORY")
        return f"{directory}/{CREDENTIAL}" if directory else None

    async def open_at_start(self, passphrase: Secret | None) -> None:
        """Open a sealed vault, if there is a passphrase or a cached key for it.

        Args:
            passphrase: the passphrase of `--passphrase-fd`, if there was one.

        Raises:
            PassphraseError: the passphrase is wrong.
            VaultError: the key file or the credential contains no passphrase; or `passphrase` was given and the vault
                cannot be opened now.
        """
        if passphrase is not None:
            await self._accounts.unlock(passphrase)
        elif self._accounts.cache.locked:
            await self._open(self.passphrase())

    async def _open(self, passphrase: Secret | None) -> None:
        try:
            if passphrase is not None:
                await self._accounts.unlock(passphrase)
            elif (key := self._key_cache.get()) is not None:
                await self._open_with_cached_key(key)
        except PassphraseError:
            raise self.wrong_passphrase() from None
        except VaultError as error:  # a keyring that does not answer yet may do so later; the vault stays locked
            log.warning("vault_not_opened", reason=str(error))

    async def _open_with_cached_key(self, key: Secret) -> None:
        try:
            await self._accounts.unlock_with_key(key)
        except PassphraseError as error:
            self._key_cache.remove()
            log.warning("kept_key_removed", reason=str(error))

    def wrong_passphrase(self) -> PassphraseError:
        """Return the error for a passphrase that came from `passphrase` and does not open the vault."""
        source = self._key_file or self._credential
        return PassphraseError(
            f"the passphrase in {source} is not the vault's; correct it, then start the daemon: hf-proxy daemon"
        )

    def cache_key(self, seconds: int) -> None:
        """Store the key of the open vault in the kernel's key cache for a time.

        Raises:
            UsageError: the time is longer than MAX_CACHE_S.
            RefusedError: the vault has no key.
            VaultError: the kernel does not store it.
        """
        if seconds > MAX_CACHE_S:
            raise UsageError("a key is kept for 7d at most; try: hf-proxy unlock --keep 12h")
        key = self._accounts.vault.key
        if key is None:
            raise RefusedError("this vault has no key of its own to keep; seal it first: hf-proxy vault seal")
        self._key_cache.put(key, seconds)

    def drop_cached_key(self) -> None:
        """Remove the vault's key from the kernel's key cache."""
        self._key_cache.remove()
