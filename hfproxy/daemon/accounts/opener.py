"""What opens a sealed vault without anybody being asked: a passphrase from a file, a credential or a descriptor, or a
key that the kernel kept.

systemd hands a credential over as a file in a directory that only the service's user can enter, and names it in
`CREDENTIALS_DIRECTORY` (systemd.exec(5), CREDENTIALS).
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
    """The passphrase that was handed over; the descriptor is closed, so that it is read once.

    Raises:
        UsageError: it is not open for reading.
        VaultError: there is no passphrase in it.
    """
    try:
        with open(fd, "rb", closefd=True) as file:
            content = file.read(private_file.PASSPHRASE_BYTES + 1)
    except OSError:
        raise UsageError(f"descriptor {fd} is not open for reading; use: --passphrase-fd 3 3<FILE") from None
    return private_file.parse_passphrase(content, f"descriptor {fd}")


class VaultOpener:
    """Opens the vault at start, and again when a person wants it opened and gives no passphrase."""

    def __init__(self, accounts: AccountRegistry, key_file: str | None, kept: KernelKeyCache) -> None:
        self._accounts, self._key_file, self._kept = accounts, key_file, kept

    def passphrase(self) -> Secret | None:
        """From the config's key file, or else systemd's credential; None where there is neither.

        Raises:
            VaultError: it is there and not as it has to be.
        """
        if self._key_file is not None:
            return private_file.passphrase(self._key_file)
        credential = self._credential
        return private_file.passphrase(credential, of_root=True) if credential and os.path.lexists(credential) else None

    @property
    def _credential(self) -> str | None:
        directory = os.environ.get("CREDENTIALS_DIRECTORY")
        return f"{directory}/{CREDENTIAL}" if directory else None

    async def open_at_start(self, handed_over: Secret | None) -> None:
        """Open a sealed vault, if something here opens it.

        Raises:
            PassphraseError: the passphrase that was to open it does not.
            VaultError: there is no passphrase where one should be; or for one `handed_over`, it cannot be opened now.
        """
        if handed_over is not None:
            await self._accounts.unlock(handed_over)
        elif self._accounts.locked:
            await self._open(self.passphrase())

    async def _open(self, passphrase: Secret | None) -> None:
        """A keyring that does not answer yet may do so later: until then the vault stays locked."""
        try:
            if passphrase is not None:
                await self._accounts.unlock(passphrase)
            elif (key := self._kept.get()) is not None:
                await self._open_with_cached_key(key)
        except PassphraseError:
            raise self.wrong_passphrase() from None
        except VaultError as error:
            log.warning("vault_not_opened", reason=str(error))

    async def _open_with_cached_key(self, key: Secret) -> None:
        try:
            await self._accounts.unlock_with_key(key)
        except PassphraseError as error:
            self._kept.remove()
            log.warning("kept_key_removed", reason=str(error))

    def wrong_passphrase(self) -> PassphraseError:
        """What to say where `passphrase` gave one, and it does not open the vault."""
        source = self._key_file or self._credential
        return PassphraseError(
            f"the passphrase in {source} is not the vault's; correct it, then start the daemon: hf-proxy daemon"
        )

    def cache_key(self, seconds: int) -> None:
        """Keep the key of the open vault in the kernel.

        Raises:
            UsageError: for longer than is allowed.
            RefusedError: the vault has none.
            VaultError: the kernel keeps none.
        """
        if seconds > MAX_CACHE_S:
            raise UsageError("a key is kept for 7d at most; try: hf-proxy unlock --keep 12h")
        key = self._accounts.vault.key
        if key is None:
            raise RefusedError("this vault has no key of its own to keep; seal it first: hf-proxy vault seal")
        self._kept.put(key, seconds)

    def drop_cached_key(self) -> None:
        """Remove the key that the kernel keeps."""
        self._kept.remove()
