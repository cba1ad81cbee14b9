"""The vault in the user's keyring: one item, either plaintext to programs that can open the keyring, or sealed.

A sealed item is an envelope in base64, recognizable by its prefix. A mark file in the state directory records the
sealing as well, so that a missing or plaintext item is never mistaken for the sealed one, and a sealed document is
never overwritten with plaintext. Either sign is enough. An attacker who removes the mark *and* replaces the item can
make hf-proxy forget the vault, but not open it.
"""

import base64
import os
from pathlib import Path
from typing import Final

from hfproxy import atomic_file
from hfproxy.errors import VAULT_LOCKED, VaultError, VaultLockedError
from hfproxy.secret import Secret
from hfproxy.vault.envelope import DEFAULT_COST, MAGIC, MIN_COST, Cost, Sealer
from hfproxy.vault.keyring_item import ITEM, SERVICE, KeyringItem

# MAGIC has 18 bytes, a multiple of three, so its base64 is an exact prefix of the base64 of every envelope.
SEALED_PREFIX: Final = base64.b64encode(MAGIC).decode()
MARK_TEXT: Final = b"The item of hf-proxy in the keyring is sealed. The way back: hf-proxy vault unseal\n"


class KeyringVault:
    """A vault that stores its document in an item of the keyring."""

    exists = True

    def __init__(self, item: KeyringItem, mark: Path, cost: Cost = DEFAULT_COST, least: Cost = MIN_COST) -> None:
        """Create the vault without opening the keyring.

        Args:
            item: the item in the keyring.
            mark: the file that exists while the item is sealed.
            cost: the cost for a new passphrase.
            least: the lowest cost accepted from an existing envelope.
        """
        self._item, self._mark, self._sealer = item, mark, Sealer("the item in the keyring", cost, least)
        self._seen_sealed = False

    @property
    def name(self) -> str:
        return f"{self._item.name} (sealed)" if self._sealed else self._item.name

    @property
    def locked(self) -> bool:
        """Whether the passphrase is needed; the keyring's own lock shows only on access."""
        return self._sealed and self._sealer.locked

    @property
    def key(self) -> Secret | None:
        return None if self._sealer.locked else self._sealer.key

    def read(self) -> Secret | None:
        """Return the document; may wait for the user to unlock the keyring.

        Raises:
            VaultLockedError: the passphrase is needed, or the prompt did not unlock the keyring.
            VaultError: no keyring answers, or the sealed item is gone, damaged or replaced.
        """
        if self.locked:
            raise VaultLockedError(VAULT_LOCKED)
        item = self._inspect_item()
        if self.locked:  # the item has turned out to be sealed
            raise VaultLockedError(VAULT_LOCKED)
        return self._sealer.open(_envelope(item)) if item and self._sealed else item or None

    def write(self, document: Secret) -> None:
        """Replace the document; a sealed vault stays sealed.

        Raises:
            VaultLockedError: the passphrase is needed, or the prompt did not unlock the keyring.
            VaultError: no keyring answers, or the sealed item is gone, damaged or replaced.
        """
        self.read()  # raises if the present item is not the expected one: such an item is not overwritten
        self._item.write(_text(self._sealer.seal(document)) if self._sealed else document)

    def unlock(self, passphrase: Secret) -> None:
        """Derive the key, and verify it on the item.

        Raises:
            PassphraseError: the passphrase is empty, or does not open the item.
            VaultLockedError: the prompt did not unlock the keyring.
            VaultError: no keyring answers, the item is not sealed, or the sealed item is gone, damaged or replaced.
        """
        self._sealer.unlock(passphrase, self._envelope())

    def unlock_with_key(self, key: Secret) -> None:
        self._sealer.unlock_with_key(key, self._envelope())

    def lock(self) -> None:
        """Forget the key; the keyring itself stays unlocked, since it belongs to the desktop session."""
        self._sealer.lock()

    def user_is_present(self) -> None:
        self._item.user_is_present()

    def seal(self, passphrase: Secret) -> None:
        """Seal the document under a passphrase. Nothing changes until the item itself is replaced.

        Raises:
            PassphraseError: the passphrase is empty.
            VaultError: the item is sealed already or cannot be written, or it does not read back as written.
        """
        document = self.read() or Secret("")
        if self._sealed:
            raise VaultError("the vault is sealed already; to change its passphrase, first: hf-proxy vault unseal")
        self._sealer.set_passphrase(passphrase)
        try:
            self._put(_text(self._sealer.seal(document)), document)
        except VaultError:
            self._sealer.lock()
            raise
        self._mark_sealed()

    def unseal(self, passphrase: Secret) -> None:
        """Store the document as plaintext again; needs the passphrase even if the vault is unlocked.

        The mark is removed first: an envelope without a mark still counts as sealed, but plaintext with a mark counts
        as an attack.

        Raises:
            PassphraseError: the passphrase does not open the item.
            VaultError: the item is not sealed or cannot be written, or it does not read back as written.
        """
        sealed = self._envelope()
        self._sealer.unlock(passphrase, sealed)
        document = self._sealer.open(sealed) or Secret("")
        try:
            atomic_file.remove(self._mark)
        except OSError as error:
            raise VaultError(
                f"{self._mark} cannot be removed ({error.strerror}), the vault stays sealed; see: ls -l {self._mark}"
            ) from None
        self._seen_sealed = False  # if the rest fails, the prefix of the item decides
        self._put(document, _text(sealed))
        self._sealer.lock()

    def _put(self, text: Secret, before: Secret) -> None:
        """Write the item and read it back; if the two differ, restore the previous text and raise VaultError."""
        self._item.write(text)
        if self._item.read() != text:
            self._item.write(before)
            raise VaultError("the keyring does not return what was written, and was restored; see: hf-proxy status")

    @property
    def _sealed(self) -> bool:
        return self._seen_sealed or os.path.lexists(self._mark)

    def _inspect_item(self) -> Secret | None:
        """Return the stored item; if it is sealed, write the mark.

        Raises:
            VaultError: the item should be sealed, and is not.
        """
        item = self._item.read()
        if item is not None and item.reveal().startswith(SEALED_PREFIX):
            self._mark_sealed()
        elif self._sealed:
            raise VaultError(self._displacement(item))
        return item

    def _displacement(self, item: Secret | None) -> str:
        if item is None:
            return (
                "the sealed item is gone from the keyring, and nothing was written in its place; to begin with an"
                f" empty vault, stop the daemon, then: rm {self._mark}"
            )
        return (
            "the sealed item in the keyring was replaced by a plaintext one, which is not used; delete that one:"
            f" secret-tool clear service {SERVICE} username {ITEM}"
        )

    def _envelope(self) -> bytes:
        """Return the item's envelope. Raises VaultError if the item should be sealed and is not, or is not sealed."""
        item = self._inspect_item()
        if item is None or not self._sealed:
            raise VaultError(
                "the item in the keyring is not sealed, so no passphrase opens it; run: hf-proxy unlock without one,"
                " or: hf-proxy vault seal"
            )
        return _envelope(item)

    def _mark_sealed(self) -> None:
        """Record that the item is sealed, and write the mark if it is missing."""
        self._seen_sealed = True
        if not os.path.lexists(self._mark):
            try:
                atomic_file.write(self._mark, MARK_TEXT)
            except OSError as error:
                raise VaultError(
                    f"{self._mark} cannot be written: {error.strerror}; the vault stays sealed; make room, then:"
                    " hf-proxy unlock"
                ) from None


def _text(envelope: bytes) -> Secret:
    return Secret(base64.b64encode(envelope).decode())


def _envelope(text: Secret) -> bytes:
    """Decode an envelope; damaged text gives b"", which is too short for an envelope."""
    try:
        return base64.b64decode(text.reveal(), validate=True)
    except ValueError:
        return b""
