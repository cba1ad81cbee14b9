"""The vault in the user's keyring: one item, in the clear to whoever opens the keyring, or sealed.

Sealed, the item is an envelope in base64, and so says by itself what it is. A mark in the state directory says it as
well, so that an item that is gone, or lies there in the clear, is never taken for what was put there, and never
replaced in the clear. Either of the two is enough. Who can remove the mark *and* replace the item can make hf-proxy
forget the vault, never open it.
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

# 18 bytes, so that it is the beginning of the base64 of every envelope and of nothing else.
SEALED_PREFIX: Final = base64.b64encode(MAGIC).decode()
MARK_TEXT: Final = b"The item of hf-proxy in the keyring is sealed. The way back: hf-proxy vault unseal\n"


class KeyringVault:
    """The document in an item of the keyring."""

    exists = True

    def __init__(self, item: KeyringItem, mark: Path, cost: Cost = DEFAULT_COST, least: Cost = MIN_COST) -> None:
        """`mark` is the file that is there while the item is sealed; the costs as for `Seal`."""
        self._item, self._mark, self._seal = item, mark, Sealer("the item in the keyring", cost, least)
        self._seen_sealed = False

    @property
    def name(self) -> str:
        return f"{self._item.name} (sealed)" if self._sealed else self._item.name

    @property
    def locked(self) -> bool:
        """The keyring's own lock is met when it is asked."""
        return self._sealed and self._seal.locked

    @property
    def key(self) -> Secret | None:
        return None if self._seal.locked else self._seal.key

    def read(self) -> Secret | None:
        """The document; may wait for a person to unlock the keyring.

        Raises:
            VaultLockedError: it needs its passphrase, or the keyring was not unlocked when asked for.
            VaultError: no keyring answers, or the sealed item is gone, damaged or replaced.
        """
        if self.locked:
            raise VaultLockedError(VAULT_LOCKED)
        found = self._inspect_item()
        if self.locked:  # as it turns out
            raise VaultLockedError(VAULT_LOCKED)
        return self._seal.open(_envelope(found)) if found and self._sealed else found or None

    def write(self, document: Secret) -> None:
        """Replace the document, sealed where it was sealed; raises as `read`."""
        self.read()  # what is not as it should be is not replaced
        self._item.write(_text(self._seal.seal(document)) if self._sealed else document)

    def unlock(self, passphrase: Secret) -> None:
        """Derive the key, and prove it on the item.

        Raises:
            PassphraseError: it does not open it.
            VaultError: as for `read`, or it is not sealed.
        """
        self._seal.unlock(passphrase, self._envelope())

    def unlock_with_key(self, key: Secret) -> None:
        self._seal.unlock_with_key(key, self._envelope())

    def lock(self) -> None:
        """The keyring stays as it is: it is not ours to lock."""
        self._seal.lock()

    def user_is_present(self) -> None:
        self._item.user_is_present()

    def seal(self, passphrase: Secret) -> None:
        """Put the document under a passphrase. Until the item itself is replaced, all is as before.

        Raises:
            VaultError: it is sealed already, or cannot be, or what was written is not what is read back.
        """
        document = self.read() or Secret("")
        if self._sealed:
            raise VaultError("it is sealed already; for another passphrase first: hf-proxy vault unseal")
        self._seal.set_passphrase(passphrase)
        try:
            self._put(_text(self._seal.seal(document)), document)
        except VaultError:
            self._seal.lock()
            raise
        self._remember()

    def unseal(self, passphrase: Secret) -> None:
        """Put the document in the clear again; needs the passphrase whether it is open or not; raises as `seal`.

        The mark goes first: what is sealed without a mark is still sealed, and a mark over clear text is an attack.
        """
        sealed = self._envelope()
        self._seal.unlock(passphrase, sealed)
        document = self._seal.open(sealed) or Secret("")
        try:
            atomic_file.remove(self._mark)
        except OSError as error:
            raise VaultError(
                f"{self._mark} cannot be removed ({error.strerror}), it stays sealed; see: ls -l {self._mark}"
            ) from None
        self._seen_sealed = False  # if the rest fails, the item says which it is
        self._put(document, _text(sealed))
        self._seal.lock()

    def _put(self, text: Secret, before: Secret) -> None:
        """Write the item and read it back; if that is not what was written, what was there before is put back."""
        self._item.write(text)
        if self._item.read() != text:
            self._item.write(before)
            raise VaultError("the keyring does not give back what was written; it is as it was: hf-proxy status")

    @property
    def _sealed(self) -> bool:
        return self._seen_sealed or os.path.lexists(self._mark)

    def _inspect_item(self) -> Secret | None:
        """The item as it lies there; what is found sealed is marked so.

        Raises:
            VaultError: it should be sealed, and is not.
        """
        found = self._item.read()
        if found is not None and found.reveal().startswith(SEALED_PREFIX):
            self._remember()
        elif self._sealed:
            raise VaultError(self._displaced(found))
        return found

    def _displaced(self, found: Secret | None) -> str:
        if found is None:
            return (
                "the sealed item is gone from the keyring, and nothing was written in its place; to begin with an"
                f" empty vault, stop the daemon, then: rm {self._mark}"
            )
        return (
            "the sealed item in the keyring was replaced by one in the clear, which is not used; delete that one:"
            f" secret-tool clear service {SERVICE} username {ITEM}"
        )

    def _envelope(self) -> bytes:
        """What is sealed in the item; raises as `_look`, or because it is not sealed."""
        found = self._inspect_item()
        if found is None or not self._sealed:
            raise VaultError(
                "the item in the keyring is not sealed, so no passphrase opens it; run: hf-proxy unlock without one,"
                " or: hf-proxy vault seal"
            )
        return _envelope(found)

    def _remember(self) -> None:
        """Mark it as sealed, if it is not."""
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
    """Nothing, where the text is damaged: no envelope is as short."""
    try:
        return base64.b64decode(text.reveal(), validate=True)
    except ValueError:
        return b""
